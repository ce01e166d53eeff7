"""Holds: steps that wait for a person."""

from typing import Final, Literal, TypeAlias

import msgspec

from policies.vocabulary.steps import StepKind
from policies.vocabulary.verdicts import ReasonCode

HoldState: TypeAlias = Literal["waiting", "approved", "rejected", "expired", "used"]
"""`approved` is good for one call and becomes `used` by it; nobody's answer in time makes it `expired`, a rejection."""


APPROVAL_NS: Final = 3600 * 1_000_000_000
"""How long an approval that nobody waits for any more is good: a client that gave up may come again."""


class HoldAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A step that a clause wants a person to decide on."""

    binding: bytes
    """32 bytes over session, tool, canonical arguments and the revision of the clause: an approval is good for
    exactly this, so a retry of the same step joins the hold that waits."""

    exchange_id: str
    session_id: str | None
    app: str
    kind: StepKind
    tool: str | None
    text: str
    """What a person needs to see: the call's arguments, or the text, shortened. Kept sealed."""
    clauses: tuple[str, ...]
    reason: ReasonCode
    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One hold as it is kept."""

    hold_id: str
    ask: HoldAsk
    state: HoldState
    expires_ns: int
    decided_by: str | None = None
    decided_reason: str | None = None
    decided_ns: int | None = None


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer to a hold."""

    actor: str
    """The key it came under, or `owner`."""

    by: str | None = None
    """Who decided, where the key does not say it."""

    reason: str | None = None
