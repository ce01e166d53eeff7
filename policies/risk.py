"""Risk: how much it matters that the monitor reads a step, when it cannot read all of them. Pure."""

from collections.abc import Collection, Iterable
from typing import Final

from policies.vocabulary.clauses import Severity
from policies.vocabulary.steps import StepKind

_SEVERITIES: Final[dict[Severity, int]] = {"info": 0, "low": 10, "medium": 20, "high": 40, "critical": 80}
_KINDS: Final[dict[StepKind, int]] = {
    "tool_call": 15,
    "tool_result": 10,
    "retrieval": 10,
    "handoff": 10,
    "model_text": 5,
    "reasoning": 5,
    "user_input": 5,
    "instructions": 0,
    "tool_definitions": 0,
}
_EFFECTS: Final = frozenset({"outbound", "money", "irreversible", "code_exec"})
_EFFECT: Final = 15
_PER_SCORE: Final = 5


def risk_of(kind: StepKind, tags: Collection[str], severities: Iterable[Severity], score: int) -> int:
    """By the severest clause that asks, what kind of step it is, and the highest score a local guard gave it."""
    effect = _EFFECT if kind == "tool_call" and not _EFFECTS.isdisjoint(tags) else 0
    severest = max([_SEVERITIES[severity] for severity in severities], default=0)
    return severest + _KINDS[kind] + effect + score // _PER_SCORE
