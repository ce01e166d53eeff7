"""`stepwarden optimize`."""

from pathlib import Path

import click

from gateway.cli.options import reach, reach_options


@click.command()
@click.option("--dry-run", is_flag=True, help="Keep nothing, and look at nothing that is kept from optimizers.")
@click.option("--app", metavar="A", help="Only for this app [default: every app with policies].")
@reach_options
def optimize(dry_run: bool, app: str | None, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - flags by nature
    """Propose better guards from what was said of recorded steps. Nothing is put in force.

    Labels, decisions on holds and critiques say which recorded sessions went wrong. Optimizers that ask no model look
    for changes of the clauses in force that would have judged them rightly; each is held against history, against
    sessions kept back, and against honest ones, and waits for a person or is refused with its reason.
    """
    from gateway.cli.following import followed
    from gateway.cli.proposed import run_told
    from gateway.cli.screen import out, print_json

    ask = {"dry_run": dry_run} | ({} if app is None else {"app": app})
    with reach(config_file, url) as api:
        report = followed(api, "/api/optimize", ask, doing="optimizing", quiet=as_json)
    if as_json:
        print_json(report)
        return
    if not report["apps"]:
        raise click.UsageError(f"no policy is in force for an app {app!r}" if app else "no app names a policy")
    console = out()
    for each in report["apps"]:
        for part in run_told(each, dry=report["dry"]):
            console.print(part)
