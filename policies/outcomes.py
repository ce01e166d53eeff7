"""Plain outcomes: what the record itself says went wrong, without anybody's opinion. Weak evidence, no order."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Final, Literal, TypeAlias

import msgspec

from policies.vocabulary.steps import StepKind

OutcomeKind: TypeAlias = Literal["error", "retry", "loop", "refusal", "cost"]
"""`error`: the provider refused what the step led to. `retry`: the same was asked again. `loop`: the same call once
more, beyond the second time. `refusal`: the model declined. `cost`: a turn cost many times what others of its session
did."""

SAME: Final = 3
"""From so many equal calls of one session on, one is a loop."""

TIMES: Final = 10
"""How many times the median of its session a turn has to cost to be noted."""

ENOUGH: Final = 5
"""Turns with a cost that a median needs."""

_REFUSED: Final = frozenset({"refusal", "content_filter"})
_CLIENT: Final = range(400, 500)
_BUSY: Final = frozenset({401, 403, 408, 429})
"""Errors that say nothing of what was asked."""


class Acted(msgspec.Struct, frozen=True):
    """One step of a turn."""

    step: str
    """Digest of the step."""

    kind: StepKind


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """One turn as the record has it."""

    steps: tuple[Acted, ...]
    at_ns: int
    status: int | None = None
    retried: bool = False
    finish_reasons: tuple[str, ...] = ()
    cost_micro_usd: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What went wrong, and at which step."""

    kind: OutcomeKind
    step: str
    at_ns: int


def outcomes(turns: Sequence[Turned]) -> tuple[Outcome, ...]:
    """What went wrong in one session, in order; at most one of a kind a step."""
    return tuple(dict.fromkeys([*_of_turns(turns), *_loops(turns)]))


def _of_turns(turns: Sequence[Turned]) -> Iterator[Outcome]:
    costs = [turn.cost_micro_usd for turn in turns if turn.cost_micro_usd]
    usual = median(costs) if len(costs) >= ENOUGH else None
    for turn in turns:
        if not turn.steps:
            continue
        last = turn.steps[-1].step
        if turn.status in _CLIENT and turn.status not in _BUSY:
            yield Outcome("error", last, turn.at_ns)
        if turn.retried:
            yield Outcome("retry", last, turn.at_ns)
        if _REFUSED & set(turn.finish_reasons):
            yield Outcome("refusal", last, turn.at_ns)
        if usual and (turn.cost_micro_usd or 0) > TIMES * usual:
            yield Outcome("cost", last, turn.at_ns)


def _loops(turns: Iterable[Turned]) -> Iterator[Outcome]:
    seen: Counter[str] = Counter()
    for turn in turns:
        for act in turn.steps:
            if act.kind == "tool_call":
                seen[act.step] += 1
                if seen[act.step] >= SAME:
                    yield Outcome("loop", act.step, turn.at_ns)
