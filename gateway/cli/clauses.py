"""`stepwarden clauses`."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.options import SPAN, reach, reach_options


@click.group()
def clauses() -> None:
    """Clauses in force, app by app."""


@clauses.command("list")
@click.option("--app", metavar="A", help="Only this app's.")
@reach_options
def list_clauses(app: str | None, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Clauses in force: how severe, what they do, and how often each found something lately."""
    from gateway.cli.screen import clean, err, out, print_json
    from gateway.cli.tables import clause_table, out_of_force

    with reach(config_file, url) as api:
        listed = api.get("/api/clauses")
    shown: list[dict[str, Any]] = [each for each in listed["apps"] if app in (None, each["app"])]
    known = sorted(each["app"] for each in listed["apps"])
    if app is not None and known and not shown:
        raise click.UsageError(f"no policy is in force for an app {app!r}; apps with one: {', '.join(known)}")
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
        for clause in each["clauses"]:
            if clause["out_of_force"]:
                console.print(out_of_force(clause["out_of_force"]))
        console.print()
    console.print(
        f"fired: in how many of the newest {listed['counted']} exchanges a clause found something", style="dim"
    )


@clauses.command("wrongs")
@click.option("--app", metavar="A", help="Only this app's.")
@reach_options
def wrongs(app: str | None, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """How often each guard was wrong: false alarms and misses, of the steps of which enough was said.

    Labels, decisions on holds, critiques, disagreements and plain outcomes say what a step was. Intervals are 95 %.
    """
    from gateway.cli.proposed import wrongs_told
    from gateway.cli.screen import out, print_json

    with reach(config_file, url) as api:
        listed = api.get("/api/clauses/wrongs", app=app)
    if as_json:
        print_json(listed)
        return
    for each in listed["apps"]:
        for part in wrongs_told(each):
            out().print(part)


@clauses.command("mode")
@click.argument("clause", metavar="ID")
@click.argument("mode", type=click.Choice(["shadow", "enforce"]))
@click.option(
    "--for", "span", type=SPAN, metavar="T", help="How long it is out of force, at most 7d; for `shadow` only."
)
@click.option("--by", required=True, metavar="WHO", help="The person on whose word this is done.")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the change.")
@click.option("--app", metavar="A", help="Only this app's [default: every app's].")
@reach_options
def mode(  # noqa: PLR0913, PLR0917 - the options of one command, as click hands them over
    clause: str,
    mode: str,
    span: int | None,
    by: str,
    reason: str,
    app: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Break glass: take a clause out of force for a while, on a named person's word; or put it back.

    ID is `policy/clause`, as `clauses list` shows it, or `clause` where one policy alone has it. In `shadow` the clause
    does nothing, what it would have done is recorded, and it ends by itself. `enforce` ends it earlier and gives the
    clause no more force than its policy does. It holds from the next request on in every worker, and after a restart. A
    protected clause needs the role `admin`.
    """
    from gateway.cli.screen import clean, err, local, print_json

    if (span is None) != (mode == "enforce"):
        raise click.UsageError("`shadow` needs --for, and `enforce` takes none")
    ask: dict[str, Any] = {"clause": clause, "mode": mode, "by": by, "reason": reason}
    if span is not None:
        ask["seconds"] = span // 1_000_000_000
        if not ask["seconds"]:
            raise click.UsageError("--for takes at least 1s; to put a clause back at once, use `enforce`")
    if app is not None:
        ask["app"] = app
    with reach(config_file, url) as api:
        changed = api.post("/api/clauses/mode", ask)
    if as_json:
        print_json(changed)
        return
    until = f"out of force until {local(changed['until'])}" if changed["until"] else "as its policy has it"
    whose = "every app" if changed["app"] == "*" else f"app {clean(changed['app'])}"
    err().print(f"{clean(changed['clause'])}: {until}, for {whose}, by {clean(changed['by'])}")
