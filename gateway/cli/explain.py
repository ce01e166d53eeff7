"""`stepwarden explain`."""

from pathlib import Path
from urllib.parse import quote

import click

from gateway.cli.options import reach, reach_options


@click.command()
@click.argument("exchange_id", metavar="EXCHANGE")
@reach_options
def explain(exchange_id: str, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Why a step was stopped or changed, in sentences, and what to do about it.

    EXCHANGE is in the `stepwarden-exchange` response header, in the refusal itself, and in every notice to an agent;
    it may be shortened while it stays unambiguous. With a key of the role `app` the reason and the advice are told;
    operators also see the clauses, what matched where, and which guards ran.
    """
    from gateway.cli.reasons import told
    from gateway.cli.screen import out, print_json

    with reach(config_file, url) as api:
        explanation = api.get(f"/api/exchanges/{quote(exchange_id, safe='')}/explanation")
    if as_json:
        print_json(explanation)
        return
    console = out()
    for part in told(explanation):
        console.print(part)
