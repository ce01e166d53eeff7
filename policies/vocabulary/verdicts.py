"""Verdicts: what the gateway does with a step. A verdict never scores."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

VerdictName: TypeAlias = Literal["allow", "flag", "redact", "rewrite", "hold", "reject", "terminate"]

STRENGTH: Final[dict[VerdictName, int]] = {
    "allow": 0,
    "flag": 1,
    "redact": 2,
    "rewrite": 3,
    "hold": 4,
    "reject": 5,
    "terminate": 6,
}
"""The strongest verdict of several wins; all findings are kept."""

Recover: TypeAlias = Literal["answered", "resampled", "refused"]
"""What becomes of a turn whose tool call was rejected.

`answered`: its calls are answered "not run" and the model is asked again; `resampled`: asked again without
feedback; `refused`: the dialect's own refusal.
"""

ReasonCode: TypeAlias = Literal[
    "destination_not_authorised",
    "sensitive_data",
    "tool_not_declared",
    "arguments_invalid",
    "action_not_allowed",
    "limit_reached",
    "needs_approval",
    "instructions_in_data",
    "session_terminated",
    "supervision_unavailable",
]
"""All an agent or app ever learns of why."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with one step, and on whose word."""

    name: VerdictName = "allow"
    reason: ReasonCode | None = None
    """None for `allow` and `flag`."""

    clauses: tuple[str, ...] = ()
    """`policy/clause` of every clause that asked for exactly this, in policy order."""

    recover: Recover = "answered"
    shadow: VerdictName = "allow"
    """The strongest verdict that clauses out of force would have given (`would_reject`)."""

    asked: bool = False
    """True where a score fell into a band that asks the judge, whatever became of the question."""


ALLOW: Final = Verdict()


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The strongest of several; the first of equals leads, and every clause that asked for the same is named."""
    strongest, clauses, shadow, asked = ALLOW, (), ALLOW.shadow, False
    for verdict in verdicts:
        asked = asked or verdict.asked
        if STRENGTH[verdict.shadow] > STRENGTH[shadow]:
            shadow = verdict.shadow
        if STRENGTH[verdict.name] > STRENGTH[strongest.name]:
            strongest, clauses = verdict, verdict.clauses
        elif verdict.name == strongest.name:
            clauses += tuple([clause for clause in verdict.clauses if clause not in clauses])
    return msgspec.structs.replace(strongest, clauses=clauses, shadow=shadow, asked=asked)
