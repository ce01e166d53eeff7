"""`stepwarden optimize`."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.options import reach, reach_options


@click.command()
@click.option("--dry-run", is_flag=True, help="Keep nothing, and look at nothing that is kept from optimizers.")
@click.option(
    "--with", "ask", multiple=True, metavar="NAME",
    type=click.Choice(["analysis", "reflective", "back-propagation", "trace-propagation"]),
    help="An optimizer that asks the supervisor's model, on its budget; may be given again.",
)  # fmt: skip
@click.option("--app", metavar="A", help="Only for this app [default: every app with policies].")
@reach_options
def optimize(
    dry_run: bool,  # noqa: FBT001 - a flag by nature
    ask: tuple[str, ...],
    app: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Propose better guards from what was said of recorded steps. Nothing is put in force.

    Labels, decisions on holds and critiques say which recorded sessions went wrong. Optimizers that ask no model look
    for changes of the clauses in force that would have judged them rightly; each is held against history, against
    sessions kept back, and against honest ones, and waits for a person or is refused with its reason. With --with a
    model is asked, too: for lines of instructions, guidance and thresholds. A run that was cut short goes on.
    """
    from gateway.cli.following import followed
    from gateway.cli.proposed import run_told
    from gateway.cli.screen import out, print_json

    wanted: dict[str, Any] = {"dry_run": dry_run, "ask": list(ask)} | ({} if app is None else {"app": app})
    with reach(config_file, url) as api:
        report = followed(api, "/api/optimize", wanted, doing="optimizing", quiet=as_json)
    if as_json:
        print_json(report)
        return
    if not report["apps"]:
        raise click.UsageError(f"no policy is in force for an app {app!r}" if app else "no app names a policy")
    console = out()
    for each in report["apps"]:
        for part in run_told(each, dry=report["dry"]):
            console.print(part)
