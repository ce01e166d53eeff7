"""Monitor queue: recorded steps that the monitor has still to read, in `ledger.db`.

It is filled from the record, in the order of recording and up to what the audit log seals. How far commits together
with what is put in, so a crash neither leaves a step out nor takes one twice.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, final

import msgspec

from policies.vocabulary.monitoring import Awaiting
from storage.ledger import Ledger, Statement
from storage.sealer import sealed_until

_COLUMNS: Final = "step_id, session_id, app, ruleset, clauses, risk, size, since_ns"
_AWAITING: Final = f"SELECT {_COLUMNS}, attempts FROM monitor_queue"  # noqa: S608 - our names
_PUT: Final = f"INSERT INTO monitor_queue ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our names
_clauses = msgspec.json.Decoder(tuple[str, ...]).decode


@final
class MonitorQueue:
    """What waits. Safe from any thread; every method raises `StorageFailed`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def taken(self) -> int | None:
        """The last exchange whose steps were queued; None where no monitor ever ran here."""
        found = self._ledger.read("SELECT taken FROM monitor_state")
        return int(found[0][0]) if found else None

    @property
    def sealed(self) -> int:
        """The last exchange that may be taken: under the audit log's seal, its number is never given again."""
        return sealed_until(self._ledger) or 0

    def take(self, steps: Iterable[Awaiting], until: int) -> None:
        """Queue the steps of exchanges up to number `until`, all or none."""
        work: list[Statement] = [(f"{_PUT} ON CONFLICT (step_id) DO NOTHING", _row(step)) for step in steps]
        state = "INSERT INTO monitor_state (id, taken) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET taken = ?"
        self._ledger.write([*work, (state, (until, until))], entries=())

    def demand(self, steps: Iterable[Awaiting]) -> None:
        """Queue steps on a person's word; those that wait already wait for these clauses, and as risky as this."""
        renewed = "ON CONFLICT (step_id) DO UPDATE SET clauses = excluded.clauses, risk = excluded.risk"
        self._ledger.write([(f"{_PUT} {renewed}", _row(step)) for step in steps], entries=())

    def depth(self, app: str | None = None) -> int:
        """How many steps wait; with `app`, only its own."""
        return int(self._ledger.read("SELECT count(*) FROM monitor_queue WHERE app = ifnull(?, app)", (app,))[0][0])

    def waiting(self, session_id: str) -> int:
        """How many steps of a session wait."""
        return int(self._ledger.read("SELECT count(*) FROM monitor_queue WHERE session_id = ?", (session_id,))[0][0])

    def next(self, limit: int, *, now_ns: int, busy: Collection[str]) -> list[Awaiting]:
        """The riskiest step that may be read now, with others of its session that are read for the same clauses.

        In the order of recording, at most `limit`; none of a session in `busy`.
        """
        query = f"""
        {_AWAITING} WHERE session_id NOT IN (SELECT value FROM json_each(?))
        AND session_id NOT IN (SELECT session_id FROM monitor_queue WHERE not_before_ns > ?)
        ORDER BY risk DESC, id LIMIT 1
        """  # noqa: S608 - composed of literals
        found = self._ledger.read(query, (_listed(busy), now_ns))
        if not found:
            return []
        first = _awaiting(found[0])
        query = f"{_AWAITING} WHERE session_id = ? AND clauses = ? ORDER BY id LIMIT ?"
        values = (first.session_id, _listed(first.clauses), limit)
        return [_awaiting(row) for row in self._ledger.read(query, values)]

    def least_risky(self, count: int, *, busy: Collection[str]) -> list[Awaiting]:
        """The steps that matter least, of equals the newest first; none of a session in `busy`."""
        query = f"""
        {_AWAITING} WHERE session_id NOT IN (SELECT value FROM json_each(?)) ORDER BY risk, id DESC LIMIT ?
        """  # noqa: S608 - composed of literals
        return [_awaiting(row) for row in self._ledger.read(query, (_listed(busy), count))]

    def postpone(self, steps: Sequence[Awaiting], until_ns: int) -> None:
        """Let steps wait until a time, and their session with them: an attempt at them came to nothing."""
        query = "UPDATE monitor_queue SET attempts = attempts + 1, not_before_ns = ? WHERE step_id = ?"
        self._ledger.write([(query, (until_ns, step.step_id)) for step in steps], entries=())

    def forget(self, steps: Sequence[Awaiting]) -> None:
        """Let go of steps that are no longer recorded."""
        self._ledger.write([(LEAVE, (step.step_id,)) for step in steps], entries=())

    def holds(self, step_ids: Sequence[str]) -> bool:
        """Whether all of these wait. Hold the ledger's lock where something follows from it."""
        query = "SELECT count(*) FROM monitor_queue WHERE step_id IN (SELECT value FROM json_each(?))"
        return int(self._ledger.read(query, (_listed(step_ids),))[0][0]) == len(step_ids)


LEAVE: Final = "DELETE FROM monitor_queue WHERE step_id = ?"
"""Takes a step out, in the transaction that says what became of it."""


def _listed(values: Collection[str]) -> str:
    return msgspec.json.encode(list(values)).decode()


def _row(step: Awaiting) -> tuple[Any, ...]:
    return (
        step.step_id,
        step.session_id,
        step.app,
        step.ruleset,
        _listed(step.clauses),
        step.risk,
        step.size,
        step.since_ns,
    )


def _awaiting(row: tuple[Any, ...]) -> Awaiting:
    step_id, session_id, app, ruleset, clauses, risk, size, since_ns, attempts = row
    return Awaiting(
        step_id=step_id,
        session_id=session_id,
        app=app,
        ruleset=ruleset,
        clauses=_clauses(clauses),
        risk=risk,
        size=size,
        since_ns=since_ns,
        attempts=attempts,
    )
