"""Evaluations: from critiques to OpenTelemetry events, before any SDK sees them. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from policies.vocabulary.monitoring import Filed
from policies.vocabulary.registry import EVALUATION
from policies.vocabulary.spans import Event, Value

UNJUDGED: Final = "stepwarden"
"""Names the evaluation where nothing was judged, and so no clause."""


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """The step that an event is about, or the model's answer that brought it."""

    trace_id: bytes
    span_id: bytes
    response_id: str | None


Find = Callable[[str], Evaluated | None]
"""The step with this id, or the model's answer in the exchange with this id; None where it is not recorded."""


def events_of(filed: Filed, find: Find) -> Iterator[Event]:
    """One event for each clause; one where nothing was judged."""
    critique = filed.critique
    # A proposed call is judged before it is a step: what can be pointed to is the answer it came in.
    last = critique.steps[-1] if critique.steps else critique.exchange_id
    if filed.failure is not None:
        yield _event(filed, find, last, {"gen_ai.evaluation.name": UNJUDGED, "error.type": filed.failure})
    for opinion in critique.opinions:
        said: dict[str, Value] = {
            "gen_ai.evaluation.name": opinion.clause,
            "gen_ai.evaluation.score.label": opinion.label,
            "gen_ai.evaluation.score.value": float(opinion.score),
            "stepwarden.critique.view": opinion.view,
        }
        yield _event(filed, find, opinion.first_bad_step or last, said)


def _event(filed: Filed, find: Find, place: str | None, said: dict[str, Value]) -> Event:
    critique = filed.critique
    step = None if place is None else find(place)
    attributes = said | {
        "stepwarden.critique.id": critique.critique_id,
        "stepwarden.critique.seat": critique.seat,
        "stepwarden.critique.steps": len(critique.steps),
        "stepwarden.critique.verdict": filed.verdict,
        "stepwarden.app": critique.app,
    }
    if step is not None and step.response_id is not None:
        attributes["gen_ai.response.id"] = step.response_id
    return Event(
        name=EVALUATION,
        trace_id=None if step is None else step.trace_id,
        span_id=None if step is None else step.span_id,
        at_ns=critique.at_ns,
        attributes=attributes,
    )
