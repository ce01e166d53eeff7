"""`stepwarden label`."""

from pathlib import Path
from urllib.parse import quote

import click

from gateway.cli.options import reach, reach_options
from policies.vocabulary.labels import STEP_LABELS


@click.command()
@click.argument("step", metavar="STEP")
@click.argument("verdict", type=click.Choice(STEP_LABELS))
@click.option("--clause", metavar="C", help="The clause it is about, as policy/clause [default: the step as a whole].")
@click.option("--reason", metavar="R", help="Why.")
@click.option("--by", required=True, metavar="WHO", help="Who says so.")
@reach_options
def label(
    step: str,
    verdict: str,
    clause: str | None,
    reason: str | None,
    by: str,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Say of a recorded step whether it was in order; supervisors are measured by what persons say.

    STEP is EXCHANGE.NUMBER, as `stepwarden sessions show` lists them; the exchange may be shortened while it stays
    unambiguous.
    """
    from gateway.cli.screen import clean, err, print_json

    given = {"label": verdict, "by": by, "clause": clause, "reason": reason}
    with reach(config_file, url) as api:
        kept = api.post(f"/api/steps/{quote(step, safe='')}/label", given)
    if as_json:
        print_json(kept)
    else:
        err().print(f"labelled {clean(kept['step_id'])}: {clean(kept['label'])}, by {clean(kept['by'])}")
