"""The canary: a candidate in force for a small share of sessions, looked at after each, ended by evidence alone.

The claim that is bet against is that the candidate harms sessions more often than allowed, or less often. What guards
do is compared within each session: what is in force is judged beside the candidate, and only a session that the
candidate alone harms counts. Where the agent itself goes another way that cannot be known, and the two arms are
compared, block by block: a session of the candidate with those of the other arm since the one before.
"""

from typing import Final, Literal, TypeAlias

import msgspec
from blake3 import blake3

from policies.statistics import (
    ABOVE,
    BELOW,
    Block,
    Tally,
    Wager,
    bet_above,
    bet_below,
    bet_less,
    bet_more,
)
from policies.vocabulary.ladder import GateSettings

Arm: TypeAlias = Literal["candidate", "in_force"]
Standing: TypeAlias = Literal["comparing", "worse", "not_worse"]

LEAST_EXPECTED: Final = 1e-4
MOST_EXPECTED: Final = 0.9
"""What is expected of the other arm lies between these, whatever was seen."""


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen so far. A session that was under both is in neither arm."""

    paired: bool = False
    """Whether both are judged on each session of the candidate's arm."""

    candidate: Tally = Tally()
    in_force: Tally = Tally()
    """Of the other arm; it begins with the sessions of the shadow time, which only say what is to be expected."""

    block: Block = Block()
    """Sessions that were not bet on yet."""

    worse: Wager = ABOVE
    not_worse: Wager = BELOW


def arm_of(session_id: str, proposal: str, share: float) -> Arm:
    """The arm of a session: the same whenever it is asked, and independent from one proposal to the next."""
    drawn = int.from_bytes(blake3(f"{proposal}\0{session_id}".encode()).digest(length=8), "big")
    return "candidate" if drawn < share * (1 << 64) else "in_force"


def seen(canary: Canary, arm: Arm, settings: GateSettings, *, harm: bool) -> Canary:
    """After one more session. `harm`: of a paired canary, that the candidate alone did it."""
    block = canary.block
    if arm == "in_force":
        waiting = msgspec.structs.replace(block, in_force=block.in_force.seen(harm=harm))
        return msgspec.structs.replace(canary, in_force=canary.in_force.seen(harm=harm), block=waiting)
    canary = msgspec.structs.replace(canary, candidate=canary.candidate.seen(harm=harm))
    if canary.paired:
        return msgspec.structs.replace(
            canary,
            worse=bet_above(canary.worse, settings.canary_margin, harm=harm),
            not_worse=bet_below(canary.not_worse, settings.canary_margin, harm=harm),
        )
    waiting = msgspec.structs.replace(block, candidate=block.candidate.seen(harm=harm))
    if not waiting.in_force.sessions:
        return msgspec.structs.replace(canary, block=waiting)
    expected = _expected(canary, waiting)
    return msgspec.structs.replace(
        canary,
        block=Block(),
        worse=bet_more(canary.worse, settings.canary_margin, waiting, expected),
        not_worse=bet_less(canary.not_worse, settings.canary_margin, waiting, expected),
    )


def standing(canary: Canary, settings: GateSettings) -> Standing:
    """What the evidence so far says; either word is wrong in `canary_alpha` of canaries at most."""
    wanted = 1.0 / settings.canary_alpha
    if canary.worse.won >= wanted:
        return "worse"
    return "not_worse" if canary.not_worse.won >= wanted else "comparing"


def _expected(canary: Canary, block: Block) -> float:
    """How often a session of the other arm comes to harm, by all that was seen before this block."""
    harmed = canary.in_force.harmed - block.in_force.harmed
    sessions = canary.in_force.sessions - block.in_force.sessions
    return min(max((harmed + 0.5) / (sessions + 1), LEAST_EXPECTED), MOST_EXPECTED)
