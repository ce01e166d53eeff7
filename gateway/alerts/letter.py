"""Letters: a notice as a webhook, Slack or a mailbox takes it. Pure: bytes and headers out."""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from contextlib import suppress
from email.message import EmailMessage
from typing import Final
from urllib.parse import quote

import msgspec

from gateway.alerts.watch import Notice
from gateway.config import Alert
from gateway.shown import clean

_SAID: Final = {
    "hold": "a step waits for a person",
    "flag": "flagged",
    "redact": "redacted",
    "rewrite": "rewritten",
    "reject": "rejected",
    "terminate": "a session was ended",
    "failed": "a call failed",
    "spent": "spending is over its mark",
    "budget": "a call was refused: its key's budget does not cover it",
    "guard_not_run": "a guard did not run",
    "dropped": "an exchange could not be recorded",
    "audit_failing": "the audit log cannot be written or published",
    "not_verified": "the audit log does not verify",
    "supervisor_blind": "the supervisor judges steps wrongly whose label is known",
    "proposal": "a proposal waits for a person",
    "rolled_back": "live traffic spoke against a revision, which was taken back",
}

_PAGES: Final = {"hold": "holds", "supervisor_blind": "supervision", "budget": "costs"}
"""Where to look for what is not about one exchange that was recorded."""


def summary(notice: Notice) -> str:
    """One sentence for people, in one line: some of it is what a provider called its error."""
    newest = notice.newest
    times = f" ({notice.count} times)" if notice.count > 1 and notice.usd is None else ""
    app = f" in {newest.app}" if newest.app else ""
    money = f": ${notice.usd:.2f}" if notice.usd is not None else ""
    why = f": {', '.join(newest.clauses)}" if newest.clauses else f": {newest.reason}" if newest.reason else ""
    return clean(f"{_SAID[newest.occasion]}{app}{times}{money or why}")


def link(notice: Notice, dashboard: str) -> str:
    """Where in the dashboard to look."""
    newest = notice.newest
    if newest.proposal is not None:
        return f"{dashboard}/#/proposals/{newest.proposal}"
    if newest.occasion in _PAGES:
        return f"{dashboard}/#/{_PAGES[newest.occasion]}"
    if newest.session and newest.exchange:
        return f"{dashboard}/#/sessions/{quote(newest.session, safe='')}?turn={quote(newest.exchange, safe='')}"
    if newest.exchange:
        return f"{dashboard}/#/exchanges/{quote(newest.exchange, safe='')}"
    return f"{dashboard}/#/audit"


def webhook(notice: Notice, dashboard: str, at: str) -> bytes:
    """JSON with every fact of it; `at` is RFC 3339."""
    newest = notice.newest
    return msgspec.json.encode({
        "type": f"stepwarden.{newest.occasion}",
        "timestamp": at,
        "data": {
            "alert": notice.alert,
            "app": newest.app or None,
            "count": notice.count,
            "usd": notice.usd,
            "summary": summary(notice),
            "link": link(notice, dashboard),
            "hold": newest.hold,
            "exchange": newest.exchange,
            "session": newest.session,
            "proposal": newest.proposal,
            "clauses": newest.clauses,
            "reason": newest.reason,
        },
    })  # fmt: skip


def slack(notice: Notice, dashboard: str) -> bytes:
    """As Slack, and what speaks its format, takes it."""
    said = summary(notice).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return msgspec.json.encode({"text": f"*Stepwarden* {said}\n<{link(notice, dashboard)}|Look at it>"})


def mail(notice: Notice, dashboard: str, alert: Alert) -> EmailMessage:
    """A plain message."""
    message = EmailMessage()
    message["From"] = alert.mail_from
    message["To"] = ", ".join(alert.mail_to)
    message["Subject"] = f"[Stepwarden] {summary(notice)}"[:200]
    message.set_content(f"{summary(notice)}\n\n{link(notice, dashboard)}\n\nAlert: {alert.name}\n")
    return message


def signature(secret: str, message_id: str, seconds: int, body: bytes) -> str:
    """As Standard Webhooks has it: `v1,` and HMAC-SHA-256 over id, time and body, base64.

    A secret that begins with `whsec_` is base64 behind it; any other is taken as it is.
    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        with suppress(NotBase64):
            key = b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, "sha256")
    return f"v1,{b64encode(signed).decode()}"
