"""`stepwarden audit prove`."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gateway.cli.options import reach, reach_options


@click.command("prove")
@click.argument("what", metavar="INDEX|EXCHANGE")
@click.option("--steps", is_flag=True, help="Of an exchange: that its record and steps are sealed.")
@click.option("-o", "out", type=click.Path(path_type=Path), metavar="F", help="Write F.tlog-proof and F.json.")
@reach_options
def prove(
    what: str,
    steps: bool,  # noqa: FBT001 - a flag by nature
    out: Path | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Show the proof that an entry is in the log: its index, or the exchange whose acceptance it says.

    Prints a C2SP tlog-proof with the newest checkpoint; what it proves are the exact bytes of the entry, which
    come with -o or --json.
    """
    from gateway.cli.screen import print_json

    with reach(config_file, url) as api:
        found = _entry(api, int(what)) if what.isdecimal() else _exchange(api, what, steps=steps)
    if out is not None:
        out.with_name(f"{out.name}.tlog-proof").write_text(found["proof"])
        out.with_name(f"{out.name}.json").write_text(found["entry"])
    if as_json:
        print_json(found)
    elif out is None:
        click.echo(found["proof"], nl=False)


def _entry(api: Any, index: int) -> dict[str, Any]:
    entry = api.download(f"/api/audit/entries/{index}").decode()
    return {"index": index, "entry": entry, "proof": api.download(f"/api/audit/proof/{index}").decode()}


def _exchange(api: Any, exchange_id: str, *, steps: bool) -> dict[str, Any]:
    receipt = api.get(f"/api/exchanges/{quote(exchange_id, safe='')}/receipt")
    found: dict[str, Any] = receipt["recorded" if steps else "accepted"]
    return found
