"""The sections `[alert.NAME]`: whom to tell of what."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.config.table import Table
from gateway.config.units import Seconds
from gateway.config.variables import variable_mistakes
from gateway.config.written import Mistake, mistaken

Occasion: TypeAlias = Literal[
    "hold", "flag", "redact", "rewrite", "reject", "terminate", "failed", "spent", "budget", "guard_not_run", "dropped",
    "audit_failing", "not_verified", "supervisor_blind", "proposal", "rolled_back",
]  # fmt: skip

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "webhook": ("url_env",),
    "slack": ("url_env",),
    "email": ("smtp", "mail_from", "mail_to"),
}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to tell of what. Messages hold names, ids and codes, never content."""

    name: str
    """The table's own name."""

    on: tuple[Occasion, ...]
    """What to tell of: `hold` (a step waits), a verdict (`flag redact rewrite reject terminate`), `failed` (a call had
    no whole answer), `spent` (see `over_usd`), `budget` (a call was refused: its key's budget does not cover it),
    `guard_not_run`, `dropped` (something could not be recorded), `audit_failing`, `not_verified`
    (`POST /api/audit/verify` found something), `supervisor_blind` (it judges canaries wrongly),
    `proposal` (one waits for a person), `rolled_back` (a revision was taken back by itself)."""

    apps: tuple[str, ...] = ()
    """Only of these apps; empty is every app."""

    to: Literal["webhook", "slack", "email"] = "webhook"
    """`webhook`: JSON, signed as Standard Webhooks has it; `slack`: Slack and what takes its format; `email`."""

    url_env: str | None = None
    """Name of the environment variable with the address to post to: such addresses are often secrets."""

    secret_env: str | None = None
    """Name of the environment variable with the secret that webhooks are signed with."""

    mail_from: str | None = None
    """Sender, for `email`."""

    mail_to: tuple[str, ...] = ()
    """Receivers, for `email`."""

    smtp: str | None = None
    """`smtp://HOST:PORT` (STARTTLS, but on loopback) or `smtps://HOST:PORT`, for `email`."""

    smtp_user: str | None = None
    """User name at the mail server."""

    smtp_password_env: str | None = None
    """Name of the environment variable with its password."""

    at: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """How many must happen within `within_seconds`, in one app, before anybody is told."""

    within_seconds: Seconds = 60.0
    """The time in which they count, and in which `spent` adds up."""

    quiet_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    """How long nothing more is said of the same in the same app; then comes one message with all there was."""

    over_usd: Annotated[float, Meta(gt=0, le=1_000_000_000)] | None = None
    """For `spent`: US dollars within `within_seconds`."""


def alert_mistakes(alert: Alert, table: Table) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings: whether it can tell anybody, and will ever."""
    label, on = f"alert `{alert.name}`", table.get("on")
    if not alert.on:
        yield mistaken(on, f"{label} tells of nothing", 'Write on = ["hold", "reject"], say.')
    if ("spent" in alert.on) != (alert.over_usd is not None):
        remedy = 'Write over_usd = 50.0 with on = ["spent"]; leave it out with anything else alone.'
        yield mistaken(table.get("over_usd") or on, f"{label}: `spent` and `over_usd` go together", remedy)
    if missing := [each for each in _NEEDED[alert.to] if not getattr(alert, each)]:
        remedy = f"Add {' and '.join(f'{each} = ...' for each in missing)} to [alert.{alert.name}]."
        yield mistaken(table.get("to") or on, f"{label} goes to {alert.to} and says not where", remedy)
    for key in ("url_env", "secret_env", "smtp_password_env"):
        yield from variable_mistakes(table.get(key), getattr(alert, key), f"`{key}` of {label}")
    if alert.smtp is not None and not _is_mail_server(alert.smtp):
        yield mistaken(table.get("smtp"), f"`smtp` of {label} is no mail server", "Write smtp://mail.example.com:587.")
    for each in (*alert.mail_to, alert.mail_from or ""):
        if any(ord(character) < ord(" ") for character in each):
            yield mistaken(table.get("mail_to"), f"{label} has an address with a control character", "Take it out.")


def _is_mail_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
