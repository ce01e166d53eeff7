"""`stepwarden clauses`."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.later import NotBuiltYet
from gateway.cli.options import reach, reach_options


@click.group()
def clauses() -> None:
    """Clauses in force, app by app."""


@clauses.command("list")
@click.option("--app", metavar="A", help="Only this app's.")
@reach_options
def list_clauses(app: str | None, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Clauses in force: how severe, what they do, and how often each found something lately."""
    from gateway.cli.screen import clean, err, out, print_json
    from gateway.cli.tables import clause_table

    with reach(config_file, url) as api:
        listed = api.get("/api/clauses")
    shown: list[dict[str, Any]] = [each for each in listed["apps"] if app in (None, each["app"])]
    if as_json:
        print_json({**listed, "apps": shown})
        return
    if not shown:
        err().print('no policy is in force: name one in [app.default] `policy = ["agent-baseline"]`')
        return
    console = out()
    for each in shown:
        does = "enforced" if each["enforce"] else "not enforced: everything flags at most"
        console.print(f"app {clean(each['app'])}  ({does}; what no guard can read: {each['unseen']})\n")
        console.print(clause_table(each["clauses"]))
        console.print()
    console.print(
        f"fired: in how many of the newest {listed['counted']} exchanges a clause found something", style="dim"
    )


@clauses.command("mode", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def mode(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Take a clause out of force for a while. Not in this version: set `mode = "shadow"` in its file and restart."""
    del arguments
    raise NotBuiltYet(ctx.command_path)
