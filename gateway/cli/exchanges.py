"""`stepwarden exchanges`."""

from pathlib import Path
from urllib.parse import quote

import click

from gateway.cli.options import reach, reach_options


@click.group()
def exchanges() -> None:
    """Exchanges: one HTTP request and its response each."""


@exchanges.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
@reach_options
def list_exchanges(limit: int, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Exchanges, newest first, those without a session too."""
    from gateway.cli.screen import err, out, print_json
    from gateway.cli.tables import exchange_table

    with reach(config_file, url) as api:
        listed = api.get("/api/exchanges", limit=limit)
    if as_json:
        print_json(listed)
    elif listed["exchanges"]:
        out().print(exchange_table(listed["exchanges"]))
    else:
        err().print("no exchanges yet: point an SDK at the gateway, or see `stepwarden demo`")


@exchanges.command("show")
@click.argument("exchange_id", metavar="ID")
@reach_options
def show_exchange(exchange_id: str, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """One exchange: timings, evidence, usage, cost, steps.

    ID is in the `stepwarden-exchange` response header, and may be shortened while it stays unambiguous.
    """
    from gateway.cli.facts import exchange_facts
    from gateway.cli.screen import out, print_json

    with reach(config_file, url) as api:
        detail = api.get(f"/api/exchanges/{quote(exchange_id, safe='')}", text=10_000_000 if as_json else 400)
    if as_json:
        print_json(detail)
        return
    console = out()
    for part in exchange_facts(detail, width=console.width):
        console.print(part)
