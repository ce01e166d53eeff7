"""Trials: rows of proposals on live traffic, in `ledger.db`. Statements only; `storage/revisions.py` commits them."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from storage.ledger import Ledger, Statement

if TYPE_CHECKING:  # they know every kind of guard: only those load them who ask for revisions
    from policies.gate.trial import Would
    from policies.vocabulary.ladder import Climb

MOST_WOULDS: Final = 500
"""Steps that are kept of one proposal; all are counted."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a proposal: the rung that was asked last, what it said, and where that leads."""

    number: int
    """Of the move, ascending."""

    proposal: int
    app: str
    state: str
    rung: str
    outcome: str
    why: str
    person: bool
    """Whether it was made on a person's word."""

    at_ns: int
    since_ns: int
    """When the move before it was; its own time for the first."""

    filed_ns: int
    """When the proposal was filed."""


_MOVES: Final = """
SELECT id, proposal, app, state, rung, outcome, why, person, at_ns,
       ifnull((SELECT max(earlier.at_ns) FROM proposal_move AS earlier
               WHERE earlier.proposal = move.proposal AND earlier.id < move.id), at_ns),
       (SELECT filed_ns FROM proposal WHERE proposal.id = move.proposal)
FROM proposal_move AS move
"""


def moved(number: int, app: str, climb: "Climb", state: str, *, person: bool, at_ns: int) -> Statement:
    """Note a move."""
    query = (
        "INSERT INTO proposal_move (proposal, app, state, rung, outcome, why, person, at_ns) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    last = climb.last
    return query, (number, app, state, last.rung, last.outcome, last.why, int(person), at_ns)


def kept(number: int, app: str, sealed: bytes) -> Statement:
    """Keep how far a trial is."""
    query = (
        "INSERT INTO proposal_trial (proposal, app, content) VALUES (?, ?, ?) "
        "ON CONFLICT (proposal) DO UPDATE SET content = excluded.content"
    )
    return query, (number, app, sealed)


def ended(number: int) -> Statement:
    """End a trial."""
    return "DELETE FROM proposal_trial WHERE proposal = ?", (number,)


def noted(number: int, would: "Would", at_ns: int) -> Statement:
    """Keep what a candidate would have done with a step, while there is room."""
    query = (
        "INSERT OR IGNORE INTO proposal_would (proposal, step_id, session_id, was, would, at_ns) "
        "SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM proposal_would WHERE proposal = ?1) < ?7"
    )
    return query, (number, would.step_id, would.session_id, would.was, would.would, at_ns, MOST_WOULDS)


def forgotten(session_id: str) -> list[Statement]:
    """What makes trials name a session no more, when that is erased; counts stay, for they name nobody."""
    return [("DELETE FROM proposal_would WHERE session_id = ?", (session_id,))]


def expired(before_ns: int) -> list[Statement]:
    """Let go of steps whose record is gone."""
    return [("DELETE FROM proposal_would WHERE at_ns < ?", (before_ns,))]


def moves_of(ledger: Ledger, number: int) -> list[Move]:
    """Every move of one proposal, in order."""
    return [_move(row) for row in ledger.read(f"{_MOVES} WHERE proposal = ? ORDER BY id", (number,))]


def newest_move(ledger: Ledger) -> int:
    """The number of the last move of any proposal; 0 before any."""
    return int(ledger.read("SELECT ifnull(max(id), 0) FROM proposal_move")[0][0])


def moves_after(ledger: Ledger, number: int, limit: int) -> list[Move]:
    """Moves of all proposals beyond one, in order, at most so many."""
    return [_move(row) for row in ledger.read(f"{_MOVES} WHERE id > ? ORDER BY id LIMIT ?", (number, limit))]


def woulds_of(ledger: Ledger, number: int, limit: int) -> "list[Would]":
    """What a candidate would have done with which steps, the newest first."""
    from policies.gate.trial import Would  # noqa: PLC0415 - see above

    query = "SELECT session_id, step_id, was, would FROM proposal_would WHERE proposal = ? ORDER BY at_ns DESC LIMIT ?"
    return [
        Would(session_id=session_id, step_id=step_id, was=was, would=would)
        for session_id, step_id, was, would in ledger.read(query, (number, limit))
    ]


def _move(row: tuple[Any, ...]) -> Move:
    values = dict(zip(Move.__struct_fields__, row, strict=True))
    return msgspec.convert({**values, "person": bool(values["person"])}, Move)
