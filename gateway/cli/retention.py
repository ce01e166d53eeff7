"""`stepwarden retention`."""

from pathlib import Path
from urllib.parse import quote

import click

from gateway.cli.options import reach, reach_options


@click.group()
def retention() -> None:
    """What is kept beyond its time."""


@retention.command("hold")
@click.argument("session_id", metavar="SESSION")
@click.option("--release", is_flag=True, help="Keep it no longer than others.")
@click.option("--by", required=True, metavar="WHO", help="Who decided.")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the decision.")
@reach_options
def hold(
    session_id: str,
    release: bool,  # noqa: FBT001 - a flag by nature
    by: str,
    reason: str,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Keep SESSION for a case: retention leaves it alone, and it cannot be erased until it is released."""
    from gateway.cli.screen import clean, err, print_json

    what = "release" if release else "hold"
    with reach(config_file, url) as api:
        changed = api.post(f"/api/sessions/{quote(session_id, safe='')}/{what}", {"by": by, "reason": reason})
    if as_json:
        print_json(changed)
        return
    said = "is kept until it is released" if changed["held"] else "is kept no longer than others"
    err().print(f"session {clean(changed['session_id'])} {said}")
