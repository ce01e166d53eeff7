"""`stepwarden audit rotate`."""

from pathlib import Path

import click

from gateway.cli.options import reach, reach_options


@click.command()
@click.option("--by", required=True, metavar="WHO", help="The person on whose word this is done.")
@click.option("--reason", required=True, metavar="R", help="Why; kept with the change.")
@reach_options
def rotate(by: str, reason: str, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Hand the audit log over to a new signing key, on a named person's word. Needs the role `admin`.

    Both keys sign the entry that says so and the next head; from then on only the new key signs, and the old one is
    gone. Whoever trusts the old vkey goes on verifying: the log itself leads from one to the other. Give the new vkey
    to witnesses, who see heads only.
    """
    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        done = api.post("/api/audit/rotate", {"by": by, "reason": reason})
    if as_json:
        print_json(done)
        return
    click.echo(clean(done["vkey"]))
    err().print(f"signs the log from entry {done['index']} on; {clean(done['retired'])} does no more", soft_wrap=True)
