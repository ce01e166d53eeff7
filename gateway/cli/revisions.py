"""`stepwarden revisions`."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gateway.cli.options import reach, reach_options


@click.group()
def revisions() -> None:
    """What is and was in force in place of the policy files, and the way back."""


@revisions.command("list")
@click.option("--app", metavar="A", help="Only this app's.")
@reach_options
def list_revisions(app: str | None, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Revisions, newest first; the first of each app is what its policy files said."""
    from gateway.cli.proposed import revision_table
    from gateway.cli.screen import err, out, print_json

    with reach(config_file, url) as api:
        listed = api.get("/api/revisions", app=app)
    if as_json:
        print_json(listed)
    elif listed["revisions"]:
        out().print(revision_table(listed["revisions"]))
    else:
        err().print("no revisions: the policy files are in force, and nothing else ever was")


@revisions.command("show")
@click.argument("name", metavar="ID")
@reach_options
def show_revision(name: str, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """One revision: who made it, on what it rests, and with which figures. ID may be shortened."""
    from gateway.cli.proposed import revision_told
    from gateway.cli.screen import out, print_json

    with reach(config_file, url) as api:
        found = api.get(f"/api/revisions/{quote(name, safe='')}")
    if as_json:
        print_json(found)
        return
    for part in revision_told(found):
        out().print(part)


@revisions.command("diff")
@click.argument("name", metavar="ID")
@click.argument("against", metavar="[OTHER]", required=False)
@reach_options
def diff_revision(
    name: str,
    against: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """What a revision has otherwise than another, by default than the one before it."""
    from gateway.cli.proposed import diff_told
    from gateway.cli.screen import err, out, print_json

    with reach(config_file, url) as api:
        found = api.get(f"/api/revisions/{quote(name, safe='')}/diff", against=against)
    if as_json:
        print_json(found)
        return
    if not found["diff"]:
        err().print("it is the first: there is nothing before it" if found["against"] is None else "both are alike")
    for part in diff_told(found["diff"]):
        out().print(part)


@revisions.command("activate")
@click.argument("name", metavar="ID")
@click.option("--by", required=True, metavar="WHO", help="The person on whose word this is done.")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the change.")
@reach_options
def activate_revision(
    name: str,
    by: str,
    reason: str,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Put in force what was in force once, whatever came since: a new revision with the content of an old one."""
    with reach(config_file, url) as api:
        kept = api.post(f"/api/revisions/{quote(name, safe='')}/activate", {"by": by, "reason": reason})
    _say(kept, as_json=as_json)


@revisions.command("rollback")
@click.option("--app", metavar="A", default="default", show_default=True, help="Whose revision.")
@click.option("--to", metavar="ID", help="An earlier revision [default: the one before].")
@click.option("--by", required=True, metavar="WHO", help="The person on whose word this is done.")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the change.")
@reach_options
def roll_back(
    app: str,
    to: str | None,
    by: str,
    reason: str,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Take back what was put in force last. It holds from the next request on, in every worker.

    What was rolled back, and what it touched, is not proposed again for seven days.
    """
    ask = {"app": app, "by": by, "reason": reason} | ({} if to is None else {"to": to})
    with reach(config_file, url) as api:
        kept = api.post("/api/rollback", ask)
    _say(kept, as_json=as_json)


def _say(kept: dict[str, Any], *, as_json: bool) -> None:
    from gateway.cli.screen import clean, err, print_json

    if as_json:
        print_json(kept)
    else:
        err().print(
            f"in force for app {clean(kept['app'])}: revision {kept['revision'][:12]} ({clean(kept['author'])})"
        )
