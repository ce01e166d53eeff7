"""`stepwarden proposals`."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.options import reach, reach_options

STATES = ("waiting", "refused", "rejected", "canary", "active", "rolled_back")


@click.group()
def proposals() -> None:
    """Suggested changes of what is in force, with their evidence."""


@proposals.command("list")
@click.option("--app", metavar="A", help="Only this app's.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@reach_options
def list_proposals(
    app: str | None,
    state: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Proposals, newest first: who suggests what, and the rung each came to."""
    from gateway.cli.proposed import proposal_table
    from gateway.cli.screen import err, out, print_json

    with reach(config_file, url) as api:
        listed = api.get("/api/proposals", app=app, only=state)
    if as_json:
        print_json(listed)
    elif listed["proposals"]:
        out().print(proposal_table(listed["proposals"]))
    else:
        err().print("no proposals: `stepwarden optimize` makes some once enough steps are labelled")


@proposals.command("show")
@click.argument("number", type=click.IntRange(1), metavar="NUMBER")
@reach_options
def show_proposal(number: int, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """One proposal: its evidence, what each rung and live traffic said, what became of it, and the diff."""
    from gateway.cli.proposed import proposal_told
    from gateway.cli.screen import out, print_json

    with reach(config_file, url) as api:
        found = api.get(f"/api/proposals/{number}")
    if as_json:
        print_json(found)
        return
    for part in proposal_told(found):
        out().print(part)


@proposals.command("approve")
@click.argument("number", type=click.IntRange(1), metavar="NUMBER")
@click.option("--by", required=True, metavar="WHO", help="The person on whose word this is done.")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the decision.")
@click.option("--at-once", is_flag=True, help="For every session that begins, without shadow and canary.")
@reach_options
def approve_proposal(
    number: int,
    by: str,
    reason: str,
    at_once: bool,  # noqa: FBT001 - a flag by nature
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Agree to a proposal that waits for a person: it goes to its canary, on a share of the sessions that begin.

    What a rung refused cannot be approved: a person's word does not stand in for evidence. In force or in its canary,
    it is taken back by itself where it harms.
    """
    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        kept = api.post(f"/api/proposals/{number}/approve", {"by": by, "reason": reason, "at_once": at_once})
    if as_json:
        print_json(kept)
        return
    app = clean(kept["app"])
    where = {
        "canary": f"in its canary, on a share of the sessions of app {app} that begin from now on",
        "active": f"in force for every session of app {app} that begins from now on",
    }.get(kept["state"], "it begins its canary once the change before it is watched no more")
    err().print(f"proposal {number}, by {clean(by)}: {where}")
    if kept["state"] == "active":
        err().print(f"take it back with `stepwarden revisions rollback --app {app} --by .. --reason ..`")


@proposals.command("reject")
@click.argument("number", type=click.IntRange(1), metavar="NUMBER")
@click.option("--by", required=True, metavar="WHO", help="The person on whose word this is done.")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the decision.")
@reach_options
def reject_proposal(
    number: int,
    by: str,
    reason: str,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Refuse a proposal; the same is not made again."""
    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        found: Any = api.post(f"/api/proposals/{number}/reject", {"by": by, "reason": reason})
    if as_json:
        print_json(found)
    else:
        err().print(f"rejected proposal {number}, by {clean(found['decided_by'])}")
