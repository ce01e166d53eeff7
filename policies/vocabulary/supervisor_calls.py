"""Supervisor calls: what was asked of a supervisor's model, what it took, and what is spent of a budget."""

from datetime import UTC, datetime
from typing import Literal, Self, TypeAlias

import msgspec

from policies.vocabulary.critiques import Seat, View

Purpose: TypeAlias = Literal["word", "critique", "canary", "measurement", "optimization"]
"""What a call was for: the quick word, a critique, a step with a known label, a benchmark, a proposal."""

CallSeat: TypeAlias = Seat | Literal["optimizer"]
"""Who asked: where steps are judged, or what proposes changes."""

CallState: TypeAlias = Literal["begun", "done", "failed"]
"""`begun`: sent, or about to be, and its end is not known; it counts at its ceiling, after a crash for good."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a session, an app or a day has taken so far, calls that have not ended at their ceilings."""

    tokens: int = 0
    micro_usd: int = 0


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    """On whose account a call goes."""

    app: str
    session_id: str | None
    day: str
    """`YYYY-MM-DD`, UTC."""

    @classmethod
    def at(cls, at_ns: int, *, app: str, session_id: str | None) -> Self:
        """Whose account it is at a moment: wall clock, Unix epoch, nanoseconds."""
        day = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).date().isoformat()
        return cls(app=app, session_id=session_id, day=day)

    def accounts(self) -> tuple[str, ...]:
        """Names of the accounts it goes on: the day's, the app's of that day, and the session's where there is one."""
        session = () if self.session_id is None else (f"session:{self.session_id}",)
        return (f"day:{self.day}", f"app:{self.day}:{self.app}", *session)


class SupervisorCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as it is in the ledger before anything is sent."""

    call_id: str
    """ULID."""

    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""

    seat: CallSeat
    purpose: Purpose
    view: View | None = None
    clauses: tuple[str, ...]
    """`policy/clause` of every clause it asks about."""

    app: str
    session_id: str | None = None
    exchange_id: str | None = None
    """`gate` only: the exchange whose step is judged."""

    model: str
    """As configured."""

    prompt: str
    """Revision of the prompt."""

    ceiling_tokens: int
    """What it can take at most, input and output together."""

    ceiling_micro_usd: int | None
    """What it can cost at most; None where the model has no known price."""

    @property
    def spender(self) -> Spender:
        """On whose account it goes."""
        return Spender.at(self.at_ns, app=self.app, session_id=self.session_id)


class CallEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call. What is None there is not known, and counts at the call's ceiling."""

    call_id: str
    state: Literal["done", "failed"]
    why: str | None = None
    """`failed` only: a low-cardinality word."""

    answered_by: str | None = None
    """The model, as the provider names it."""

    input_tokens: int | None = None
    """All of them, those from and into a cache included."""

    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_micro_usd: int | None = None
    micros: int = 0
    """How long it took, microseconds."""

    @property
    def tokens(self) -> int | None:
        """Input and output together; None where either is not known."""
        known = self.input_tokens is not None and self.output_tokens is not None
        return (self.input_tokens or 0) + (self.output_tokens or 0) if known else None
