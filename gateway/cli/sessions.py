"""`stepwarden sessions`."""

from pathlib import Path
from urllib.parse import quote

import click

from gateway.cli.options import TIME, reach, reach_options

PREVIEW = 400
"""Characters of a step's text that are fetched for a tree."""


@click.group()
def sessions() -> None:
    """Sessions: conversations and agent runs, rebuilt from stateless calls by recorded evidence."""


@sessions.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
@click.option("--since", type=TIME, metavar="T", help="Only those active since: RFC 3339, or back from now such as 2h.")
@click.option("--app", metavar="A", help="Only this app's.")
@click.option("--before", metavar="ID", help="The page after the session named here.")
@reach_options
def list_sessions(
    limit: int,
    since: str | None,
    app: str | None,
    before: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Sessions, newest activity first."""
    from gateway.cli.screen import err, out, print_json
    from gateway.cli.tables import session_table

    with reach(config_file, url) as api:
        listed = api.get("/api/sessions", limit=limit, since=since, app=app, before=before)
    if as_json:
        print_json(listed)
        return
    if not listed["sessions"]:
        narrowed = since or app or before
        none = "no such sessions: widen --since, --app or --before, or leave them out"
        err().print(none if narrowed else "no sessions yet: point an SDK at the gateway, or see `stepwarden demo`")
        return
    out().print(session_table(listed["sessions"]))
    if listed["next"]:
        err().print(f"more: --before {listed['next']}")


@sessions.command("show")
@click.argument("session_id", metavar="ID")
@click.option("--full", is_flag=True, help="Every text in full instead of its first line.")
@reach_options
def show_session(
    session_id: str,
    full: bool,  # noqa: FBT001 - a flag by nature
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """One session as a tree: branches, exchanges, steps. ID may be shortened while it stays unambiguous."""
    from gateway.cli.critiques import told
    from gateway.cli.reported import reported
    from gateway.cli.screen import out, print_json
    from gateway.cli.tree import session_tree

    name = quote(session_id, safe="")
    with reach(config_file, url) as api:
        detail = api.get(f"/api/sessions/{name}")
        steps = api.get(f"/api/sessions/{name}/steps", text=10_000_000 if full or as_json else PREVIEW)
        said = api.get(f"/api/sessions/{name}/critiques")
        told_itself = api.get(
            f"/api/sessions/{name}/reported", limit=10_000 if full or as_json else 200, detail=as_json
        )
    if as_json:
        shown = {"steps": steps["steps"], "critiques": said["critiques"], "labels": said["labels"]}
        print_json({**detail, **shown, "reported": told_itself["spans"]})
        return
    console = out()
    for part in session_tree(detail, steps["steps"], full=full, width=console.width):
        console.print(part)
    if told_itself["spans"]:
        for part in reported(told_itself):
            console.print(part)
    if said["critiques"] or said["labels"] or said["waiting"]:
        for part in told(said):
            console.print(part)


@sessions.command("terminate")
@click.argument("session_id", metavar="ID")
@reach_options
def terminate_session(session_id: str, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Refuse every later request of a session."""
    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        ended = api.post(f"/api/sessions/{quote(session_id, safe='')}/terminate")
    if as_json:
        print_json(ended)
    else:
        err().print(f"terminated {clean(ended['session_id'])}: its later requests are refused")


@sessions.command("trust")
@click.argument("session_id", metavar="ID")
@click.option("--by", required=True, metavar="WHO", help="Who says so.")
@reach_options
def trust_session(session_id: str, by: str, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """End the distrust that a critique brought on it.

    Its calls wait for nobody any more.
    """
    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        ended = api.post(f"/api/sessions/{quote(session_id, safe='')}/trust", {"by": by})
    if as_json:
        print_json(ended)
    elif ended["ended"]:
        err().print(f"trusted {clean(ended['session_id'])}, by {clean(by)}")
    else:
        err().print(f"{clean(ended['session_id'])} was not distrusted; nothing was changed")
