"""`stepwarden critique`."""

import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click

from gateway.cli.options import AMOUNT, reach, reach_options

_EVERY_SECONDS: Final = 0.5


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--list", "only_list", is_flag=True, help="Only show what was said so far; ask nobody.")
@click.option(
    "--wait",
    "seconds",
    type=AMOUNT,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the supervisor; it goes on without this command.",
)
@reach_options
def critique(
    session_id: str,
    only_list: bool,  # noqa: FBT001 - a flag by nature
    seconds: float,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> int:
    """Let the supervisor read a recorded session now, and show what it says of each clause, with the words it means.

    It is asked about the clauses that have a `judge` guard, or about all where none has one; bands act on what it
    says, as if the session had just happened. SESSION may be shortened while it stays unambiguous. Exit code 1:
    there are steps that could not be judged, or not yet.
    """
    from gateway.cli.critiques import told
    from gateway.cli.screen import err, out, print_json

    name = quote(session_id, safe="")
    with reach(config_file, url) as api:
        if not only_list:
            asked = api.post(f"/api/sessions/{name}/critique")
            err().print(f"{asked['steps']} steps put before the supervisor, for {len(asked['clauses'])} clauses")
        said = _settled(api, f"/api/sessions/{name}/critiques", 0.0 if only_list else seconds)
    if as_json:
        print_json(said)
    else:
        console = out()
        for part in told(said):
            console.print(part)
    newest = {step: critique["failure"] for critique in said["critiques"] for step in critique["steps"]}
    return int(bool(said["waiting"]) or any(newest.values()))


def _settled(api: Any, path: str, seconds: float) -> Any:
    """What is said once nothing of the session waits any more, or the time is up."""
    until = time.monotonic() + seconds
    said = api.get(path)
    while said["waiting"] and time.monotonic() < until:
        time.sleep(_EVERY_SECONDS)
        said = api.get(path)
    return said
