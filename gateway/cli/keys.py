"""`stepwarden keys`."""

import re
import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import AMOUNT, TIME, reach, reach_options
from policies.vocabulary.keys import ROLES


@click.group()
def keys() -> None:
    """Gateway keys: shown once, stored hashed, with app, role, budget and expiry."""


@keys.command("create")
@click.option("--name", default="unnamed", show_default=True, metavar="N", help="What or whom the key is for.")
@click.option("--role", type=click.Choice(ROLES), default="app", show_default=True, help="What it may do.")
@click.option("--app", default="default", show_default=True, metavar="A", help="Its app; `*` sees all (not for app).")
@click.option("--expires", type=TIME, metavar="T", help="When it ends: RFC 3339, or from now such as 30d.")
@click.option("--budget", type=AMOUNT, metavar="USD", help="What it may spend in its life.")
@reach_options
def create_key(
    name: str,
    role: str,
    app: str,
    expires: str | None,
    budget: float | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Make a key. The secret is the only line on stdout and is never shown again.

    Roles: app (data plane only), viewer (reads), auditor (reads, exact bodies, export), operator (reads,
    decides holds and proposals, labels, terminates), admin (everything).
    """
    from gateway.api.keys import APP_PATTERN
    from gateway.cli.screen import clean, err, print_json
    from gateway.times import later_ns, rfc3339

    if not re.fullmatch(APP_PATTERN, app):
        allowed = "1 to 64 lower-case letters, digits, `_` and `-`, starting with a letter or digit; or `*` for all"
        raise click.BadParameter(f"an app's name is {allowed}.", param_hint="'--app'")
    wanted: dict[str, Any] = {"name": name, "role": role, "app": app, "budget_usd": budget}
    wanted["expires_at"] = None if expires is None else rfc3339(later_ns(expires, now_ns=time.time_ns()))
    with reach(config_file, url, create=True) as api:
        created = api.post("/api/keys", wanted)
    if as_json:
        print_json(created)
        return
    key = created["key"]
    err().print(
        f"key {clean(key['key_id'])} ({key['role']}, app {clean(key['app'])}); keep the secret, it is not stored:"
    )
    click.echo(created["secret"])
    if key["role"] == "app":
        err().print(
            "From now on every caller shows such a key where its SDK puts an API key; "
            "the provider's own comes from `key_env` of its section."
        )


@keys.command("list")
@reach_options
def list_keys(config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Every key ever made, without secrets."""
    from gateway.cli.screen import err, out, print_json
    from gateway.cli.tables import key_table

    with reach(config_file, url) as api:
        listed = api.get("/api/keys")
    if as_json:
        print_json(listed)
    elif listed["keys"]:
        out().print(key_table(listed["keys"]))
    else:
        err().print("no keys: on loopback, callers use their own provider keys and need none")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@reach_options
def revoke_key(key_id: str, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Refuse a key from now on. It stays in the list."""
    from urllib.parse import quote

    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        revoked = api.post(f"/api/keys/{quote(key_id, safe='')}/revoke")
    if as_json:
        print_json(revoked)
    else:
        err().print(f"revoked {clean(revoked['key_id'])} ({clean(revoked['name'])})")
