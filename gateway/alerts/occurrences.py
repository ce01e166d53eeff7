"""Occurrences: what happened that somebody may want to be told of. Ids, names of ours and codes; never content."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from gateway.config import Occasion
from policies.vocabulary.critiques import Seat
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.holds import Hold
from storage.trials import Move

_CLAUSES: Final = 8
_ERROR: Final = 400
_FOR_A_PERSON: Final = frozenset({"needs_a_person", "one_voice"})
_TOLD: Final[frozenset[Occasion]] = frozenset({"flag", "redact", "rewrite", "reject", "terminate"})


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    occasion: Occasion
    app: str = ""
    """Empty where it is about the gateway as a whole."""

    exchange: str | None = None
    session: str | None = None
    hold: str | None = None
    proposal: int | None = None
    clauses: tuple[str, ...] = ()
    reason: str | None = None
    """A code."""

    micro_usd: int = 0
    """Of `spent`: how much, in millionths of a US dollar."""


def of_hold(hold: Hold) -> Occurrence | None:
    """That a step waits for a person; None once it does not."""
    if hold.state != "waiting":
        return None
    ask = hold.ask
    return Occurrence(
        occasion="hold",
        app=ask.app,
        exchange=ask.exchange_id,
        session=ask.session_id,
        hold=hold.hold_id,
        clauses=ask.clauses[:_CLAUSES],
        reason=ask.reason,
    )


def of_moves(moves: Iterable[Move]) -> Iterator[Occurrence]:
    """What there is to tell of proposals on their way."""
    for move in moves:
        if move.outcome == "waiting" and move.why in _FOR_A_PERSON:
            yield Occurrence(occasion="proposal", app=move.app, proposal=move.proposal, reason=move.why)
        elif move.state == "rolled_back" and not move.person:
            yield Occurrence(occasion="rolled_back", app=move.app, proposal=move.proposal, reason=move.why)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway as a whole is in, that nobody reports."""

    audit_failing: bool = False
    dropped: int = 0
    """Exchanges that could not be recorded since the start."""

    blind: tuple[Seat, ...] = ()
    """Seats of the supervisor that do not see any more."""


def of_states(before: State, now: State) -> Iterator[Occurrence]:
    """What there is to tell of a change."""
    if now.audit_failing and not before.audit_failing:
        yield Occurrence(occasion="audit_failing")
    if now.dropped > before.dropped:
        yield Occurrence(occasion="dropped")
    for seat in now.blind:
        if seat not in before.blind:
            yield Occurrence(occasion="supervisor_blind", reason=seat)


def of_recordings(batch: Iterable[Recording]) -> Iterator[Occurrence]:
    """What there is to tell of exchanges that are recorded."""
    for recording in batch:
        x, judged = recording.exchange, recording.judged
        occasion: Occasion | None = x.verdict if x.verdict in _TOLD else None
        if occasion is not None:
            verdict = None if judged is None else judged.verdict
            clauses = () if verdict is None else verdict.clauses[:_CLAUSES]
            yield _of(x, occasion, clauses=clauses, reason=None if verdict is None else verdict.reason)
        if x.outcome != "client_aborted" and (x.outcome != "complete" or (x.status or 0) >= _ERROR):
            yield _of(x, "failed", reason=x.error_type or x.outcome)
        if x.cost_micro_usd:
            yield _of(x, "spent", micro_usd=x.cost_micro_usd)
        if judged is not None:
            silent = {row.clause for said in judged.steps for row in said.coverage if row.state == "error"}
            if silent or judged.unread:
                yield _of(x, "guard_not_run", clauses=tuple(sorted(silent))[:_CLAUSES], reason=judged.unread)


def _of(
    x: Exchange, occasion: Occasion, *, clauses: tuple[str, ...] = (), reason: str | None = None, micro_usd: int = 0
) -> Occurrence:
    return Occurrence(
        occasion=occasion,
        app=x.app,
        exchange=x.exchange_id,
        session=None if x.join is None else x.join.session_id,
        clauses=clauses,
        reason=reason,
        micro_usd=micro_usd,
    )
