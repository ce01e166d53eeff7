"""Answers about holds."""

import msgspec

from gateway.api.answers.values import time
from gateway.times import rfc3339
from policies.vocabulary import holds


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A step that waits, or waited, for a person."""

    hold_id: str
    state: str
    app: str
    session_id: str | None
    exchange_id: str
    kind: str
    tool: str | None
    text: str
    """The call's arguments, or the text, shortened."""

    clauses: tuple[str, ...]
    reason: str
    asked_at: str
    expires_at: str
    decided_by: str | None
    decided_reason: str | None
    decided_at: str | None

    @classmethod
    def of(cls, hold: holds.Hold) -> "Hold":
        """The answer for one hold."""
        ask = hold.ask
        return cls(
            hold_id=hold.hold_id,
            state=hold.state,
            app=ask.app,
            session_id=ask.session_id,
            exchange_id=ask.exchange_id,
            kind=ask.kind,
            tool=ask.tool,
            text=ask.text,
            clauses=ask.clauses,
            reason=ask.reason,
            asked_at=rfc3339(ask.at_ns),
            expires_at=rfc3339(hold.expires_ns),
            decided_by=hold.decided_by,
            decided_reason=hold.decided_reason,
            decided_at=time(hold.decided_ns),
        )


class HoldList(msgspec.Struct, frozen=True, kw_only=True):
    """Holds, newest first."""

    holds: tuple[Hold, ...]
