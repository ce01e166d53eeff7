"""Spans of proposals: one for each optimizer that is heard, one for each move of a proposal, from the move before it.

Pure; names are those of the registry.
"""

from collections.abc import Iterable

from blake3 import blake3

from policies.vocabulary.spans import Span
from storage.optimizer_steps import Heard
from storage.trials import Move


def move_spans(moves: Iterable[Move]) -> list[Span]:
    """The spans of moves, in their order; each move knows when the one before it was."""
    return [_moved(move) for move in moves]


def heard_spans(steps: Iterable[Heard]) -> list[Span]:
    """The spans of optimizers that were heard, in their order."""
    return [_heard(step) for step in steps]


def _moved(move: Move) -> Span:
    name = blake3(f"proposal {move.proposal} {move.filed_ns}".encode()).digest(length=16)
    return Span(
        name=f"revise {move.rung}",
        kind="internal",
        trace_id=name,
        span_id=blake3(name + b"%d" % move.number).digest(length=8),
        started_ns=min(move.since_ns, move.at_ns),
        ended_ns=move.at_ns,
        attributes={
            "stepwarden.app": move.app,
            "stepwarden.proposal.number": move.proposal,
            "stepwarden.proposal.state": move.state,
            "stepwarden.proposal.rung": move.rung,
            "stepwarden.proposal.outcome": move.outcome,
            "stepwarden.proposal.why": move.why,
            "stepwarden.proposal.by_a_person": move.person,
        },
    )


def _heard(step: Heard) -> Span:
    return Span(
        name=f"optimize {step.optimizer}",
        kind="internal",
        trace_id=step.run,
        span_id=blake3(step.run + b"%d" % step.number).digest(length=8),
        started_ns=min(step.began_ns, step.ended_ns),
        ended_ns=step.ended_ns,
        attributes={
            "stepwarden.app": step.app,
            "stepwarden.optimizer.name": step.optimizer,
            "stepwarden.optimizer.proposals": step.proposals,
            "stepwarden.optimizer.known": step.known,
            "stepwarden.optimizer.failures": step.failures,
            "stepwarden.optimizer.calls": step.calls,
            "stepwarden.optimizer.tokens": step.tokens,
        },
    )
