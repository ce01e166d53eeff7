"""The canary: a candidate in force for a small share of sessions, looked at after each, ended by evidence alone.

The claim that is bet against is that the candidate harms sessions more often than allowed, or less often. What guards
do is compared within each session: what is in force is judged beside the candidate, and only a session that the
candidate alone harms counts. Where the agent itself goes another way that cannot be known, and the shares of harmed
sessions of the two arms are compared, the other arm's as an interval that holds at all times.
"""

from typing import Final, Literal, TypeAlias

import msgspec
from blake3 import blake3

from policies.statistics import ABOVE, BELOW, Tally, Wager, bet_above, bet_below
from policies.vocabulary.ladder import GateSettings

Arm: TypeAlias = Literal["candidate", "in_force"]
Standing: TypeAlias = Literal["comparing", "worse", "not_worse"]

INTERVAL_PART: Final = 0.2
"""Of the error that is allowed, what goes to the interval of the other arm."""

AFRESH: Final = 1.05
"""The interval is drawn anew when the other arm has grown by this factor: it holds at all times, drawn or not."""


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen so far. A session that was under both is in neither arm."""

    paired: bool = False
    """Whether both are judged on each session of the candidate's arm."""

    candidate: Tally = Tally()
    in_force: Tally = Tally()
    """Of the other arm; it begins with the sessions of the shadow time."""

    low: float = 0.0
    high: float = 1.0
    """Interval of the other arm's rate."""

    drawn: int = 0
    """Sessions of the other arm when the interval was drawn."""

    worse: Wager = ABOVE
    not_worse: Wager = BELOW


def arm_of(session_id: str, proposal: str, share: float) -> Arm:
    """The arm of a session: the same whenever it is asked, and independent from one proposal to the next."""
    drawn = int.from_bytes(blake3(f"{proposal}\0{session_id}".encode()).digest(length=8), "big")
    return "candidate" if drawn < share * (1 << 64) else "in_force"


def seen(canary: Canary, arm: Arm, settings: GateSettings, *, harm: bool) -> Canary:
    """After one more session. `harm`: of a paired canary, that the candidate alone did it."""
    if arm == "in_force":
        return msgspec.structs.replace(canary, in_force=canary.in_force.seen(harm=harm))
    canary = canary if canary.paired else _drawn(canary, settings)
    low, high = (0.0, 0.0) if canary.paired else (canary.low, canary.high)
    return msgspec.structs.replace(
        canary,
        candidate=canary.candidate.seen(harm=harm),
        worse=bet_above(canary.worse, high + settings.canary_margin, harm=harm),
        not_worse=bet_below(canary.not_worse, low + settings.canary_margin, harm=harm),
    )


def standing(canary: Canary, settings: GateSettings) -> Standing:
    """What the evidence so far says; either word is wrong in `canary_alpha` of canaries at most."""
    part = 1.0 if canary.paired else 1.0 - INTERVAL_PART
    wanted = 1.0 / (settings.canary_alpha * part)
    if canary.worse.won >= wanted:
        return "worse"
    return "not_worse" if canary.not_worse.won >= wanted else "comparing"


def _drawn(canary: Canary, settings: GateSettings) -> Canary:
    if canary.in_force.sessions <= canary.drawn * AFRESH:
        return canary
    low, high = canary.in_force.interval(settings.canary_alpha * INTERVAL_PART)
    return msgspec.structs.replace(
        canary, low=max(low, canary.low), high=min(high, canary.high), drawn=canary.in_force.sessions
    )
