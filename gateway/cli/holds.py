"""`stepwarden holds`."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gateway.cli.options import reach, reach_options


@click.group()
def holds() -> None:
    """Steps that wait for a person: a clause says that somebody has to look first."""


@holds.command("list")
@click.option("--all", "every", is_flag=True, help="Decided and expired ones too.")
@reach_options
def list_holds(every: bool, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - flags by nature
    """What waits, newest first: the tool, its arguments, the clause that asks, and how long it still waits."""
    from gateway.cli.screen import err, out, print_json
    from gateway.cli.tables import hold_table

    with reach(config_file, url) as api:
        listed = api.get("/api/holds", only=None if every else "waiting")
    if as_json:
        print_json(listed)
    elif listed["holds"]:
        out().print(hold_table(listed["holds"]))
    else:
        err().print("no holds" if every else "nothing waits; --all shows what was decided")


@holds.command("approve")
@click.argument("hold_id", metavar="ID")
@click.option("--by", metavar="WHO", help="Who decides [default: the key, or the owner of this machine].")
@click.option("--reason", metavar="R", help="Why; kept with the decision.")
@reach_options
def approve_hold(
    hold_id: str,
    by: str | None,
    reason: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Let exactly this step pass, once: the same tool, the same arguments, under the same clause.

    Where its caller has given up waiting, the approval is good for its next try within an hour.
    """
    _decide("approve", hold_id, by, reason, reach(config_file, url), as_json=as_json)


@holds.command("reject")
@click.argument("hold_id", metavar="ID")
@click.option("--by", metavar="WHO", help="Who decides [default: the key, or the owner of this machine].")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the decision.")
@reach_options
def reject_hold(
    hold_id: str,
    by: str | None,
    reason: str,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Refuse this step; the same step is refused again when it is retried."""
    _decide("reject", hold_id, by, reason, reach(config_file, url), as_json=as_json)


def _decide(what: str, hold_id: str, by: str | None, reason: str | None, api: Any, *, as_json: bool) -> None:
    from gateway.cli.screen import clean, err, print_json

    answer = {name: value for name, value in (("by", by), ("reason", reason)) if value is not None}
    with api:
        decided = api.post(f"/api/holds/{quote(hold_id, safe='')}/{what}", answer)
    if as_json:
        print_json(decided)
        return
    step = decided["tool"] or decided["kind"]
    err().print(
        f"{clean(decided['state'])} {clean(decided['hold_id'])}: {clean(step)}, by {clean(decided['decided_by'])}"
    )
