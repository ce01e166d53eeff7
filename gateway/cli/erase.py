"""`stepwarden audit erase`."""

from pathlib import Path

import click

from gateway.cli.options import reach, reach_options


@click.command("erase")
@click.argument("scope", metavar="SCOPE")
@click.option("--basis", required=True, metavar="B", help="The ground in law or contract; stands in the log for good.")
@click.option("--by", required=True, metavar="WHO", help="Who decided; the log knows them by an alias.")
@reach_options
def erase(
    scope: str,
    basis: str,
    by: str,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Destroy what is recorded of SCOPE, and the keys it lies under; the log still verifies.

    SCOPE is `session:ID`, `user:ID` (an end user as the client names one: all sessions they took part in) or
    `app:NAME`. No byte of it is left in any file of the data directory; copies elsewhere stay sealed as long as keys.db
    is not restored from a backup of before. A session under legal hold is not erased. There is no way back.
    """
    from gateway.cli.screen import clean, err, noun, print_json

    with reach(config_file, url) as api:
        done = api.post("/api/erasures", {"scope": scope, "basis": basis, "by": by})
    if as_json:
        print_json(done)
        return
    sessions, exchanges = len(done["sessions"]), done["exchanges"]
    err().print(
        f"erased {sessions} {noun(sessions, 'session')}, {exchanges} {noun(exchanges, 'exchange')}; "
        f"in the audit log: content.erased {clean(done['scope'])}"
    )
