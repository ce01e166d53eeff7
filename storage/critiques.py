"""Critiques: what supervisors made of recorded steps, in `ledger.db`; sealed, for feedback holds content.

That a step was read, what came of it and that it no longer waits are one transaction, so each step that waits for the
monitor gets exactly one critique, or one word on why it has none.
"""

import secrets
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, final

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.audit import (
    BLIND_BYTES,
    CLAUSES,
    GATEWAY,
    CritiqueRecorded,
    Entry,
    SessionDistrusted,
    SessionTrusted,
    commitment,
)
from policies.vocabulary.critiques import Critique
from policies.vocabulary.monitoring import Distrust, Filed
from policies.vocabulary.verdicts import VerdictName
from storage.aliases import Aliases
from storage.ledger import Ledger, Reading, Statement
from storage.monitor_queue import LEAVE, MonitorQueue
from storage.seal import Sealer, derive
from storage.secret import Secret
from storage.ulids import minted_ns

DISTRUSTS: Final = frozenset[VerdictName]({"hold", "reject"})
"""Verdicts of a critique after which a session is distrusted: what they are about has happened."""

_COLUMNS: Final = "critique_id, filed"
_DISTRUST: Final = "session_id, app, critique_id, clauses, at_ns"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Filed).decode
_listed = msgspec.json.Encoder().encode
_clauses = msgspec.json.Decoder(tuple[str, ...]).decode


class CritiqueNotFound(StepwardenError):
    """No critique has this id."""

    status = 404

    def remedy(self) -> str:
        """Where they are listed."""
        return "Run `stepwarden critique SESSION --list` to see what was said of a session."


class CritiqueReads:
    """All critiques. Safe from any thread; every method raises `StorageFailed`."""

    def __init__(self, ledger: Reading, seal_key: Secret) -> None:
        self._reading = ledger
        self._sealer = Sealer(derive(seal_key, "critiques"))

    def of_session(self, session_id: str) -> list[Filed]:
        """Critiques of a session, in the order in which they were made."""
        return self._filed("WHERE session_id = ? ORDER BY id", (session_id,))

    def _filed(self, where: str, values: Sequence[Any]) -> list[Filed]:
        return [self._opened(row) for row in self._reading.read(f"SELECT {_COLUMNS} FROM critique {where}", values)]  # noqa: S608

    def _opened(self, row: Sequence[Any]) -> Filed:
        critique_id, sealed = row
        return _decode(self._sealer.open(sealed, critique_id.encode()))


@final
class CritiqueBook(CritiqueReads):
    """The same, with the pen."""

    def __init__(self, ledger: Ledger, queue: MonitorQueue, seal_key: Secret) -> None:
        super().__init__(ledger, seal_key)
        self._ledger = ledger
        self._queue = queue
        self._aliases = Aliases(ledger)

    # -------------------------------------------------------------------------------------------------- writing

    def settle(self, several: Sequence[Filed]) -> list[Filed]:
        """Keep what came of steps that waited, and take them out of the queue; durable on return, all of it at once.

        What was kept: nothing of steps that do not all wait any more, since they were settled before, or erased.
        """
        with self._ledger.lock:
            kept: list[Filed] = []
            gone: set[str] = set()
            for filed in several:
                steps = filed.critique.steps
                if gone.isdisjoint(steps) and self._queue.holds(steps):
                    kept.append(filed)
                    gone.update(steps)
            self._keep(kept, [(LEAVE, (step_id,)) for step_id in gone])
            return kept

    def add(self, filed: Filed) -> None:
        """Keep a critique of steps that did not wait for it; durable on return."""
        with self._ledger.lock:
            self._keep([filed], [])

    def trust(self, session_id: str, *, by: str, actor: str, hold_id: str | None = None) -> Distrust | None:
        """End the distrust of a session on a person's word; what it was, None where there is none."""
        with self._ledger.lock:
            found = self._ledger.read(f"SELECT {_DISTRUST} FROM distrust WHERE session_id = ?", (session_id,))  # noqa: S608 - our names
            if not found:
                return None
            distrust = _distrust(found[0])
            session, first = self._aliases.of("session", session_id)
            person, second = self._aliases.of("person", by)
            entry = SessionTrusted(actor=actor, tenant=distrust.app, session=session, by=person, hold=hold_id)
            gone = ("DELETE FROM distrust WHERE session_id = ?", (session_id,))
            self._ledger.write([*first, *second, gone], entries=[entry])
            return distrust

    def expire(self, before_ns: int, held: Collection[str]) -> None:
        """Delete critiques of steps from before a time, and what came of them, except for sessions in `held`."""
        which = (
            "SELECT id FROM critique WHERE from_ns < ? "
            "AND ifnull(session_id, '') NOT IN (SELECT value FROM json_each(?))"
        )
        values = (before_ns, _listed(list(held)).decode())
        if not self._ledger.read(f"{which} LIMIT 1", values):
            return
        named = f"SELECT critique_id FROM critique WHERE id IN ({which})"  # noqa: S608 - literals
        work = [
            (f"DELETE FROM critiqued_step WHERE critique IN ({which})", values),  # noqa: S608 - literals
            (f"DELETE FROM distrust WHERE critique_id IN ({named})", values),  # noqa: S608 - literals
            (f"DELETE FROM critique WHERE id IN ({which})", values),  # noqa: S608 - literals
        ]
        self._ledger.write(work, entries=())

    # -------------------------------------------------------------------------------------------------- reading

    def get(self, critique_id: str) -> Filed:
        """One critique. Raises `CritiqueNotFound`."""
        found = self._filed("WHERE critique_id = ?", (critique_id,))
        if not found:
            raise CritiqueNotFound(f"no critique has the id {critique_id[:64]!r}")
        return found[0]

    def of_exchange(self, exchange_id: str) -> list[Filed]:
        """Critiques that were asked about steps of an exchange, in the order in which they were made."""
        of_step = "SELECT critique FROM critiqued_step WHERE step_id >= ? AND step_id < ?"
        return self._filed(f"WHERE id IN ({of_step}) ORDER BY id", (f"{exchange_id}.", f"{exchange_id}/"))

    def after(self, number: int, limit: int) -> list[tuple[int, Filed]]:
        """Critiques beyond a place in the order in which they were made, each with its own place."""
        query = f"SELECT id, {_COLUMNS} FROM critique WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 - our names
        return [(row[0], self._opened(row[1:])) for row in self._ledger.read(query, (number, limit))]

    def distrusted(self) -> list[Distrust]:
        """Sessions that are distrusted now."""
        return [_distrust(row) for row in self._ledger.read(f"SELECT {_DISTRUST} FROM distrust ORDER BY at_ns")]  # noqa: S608

    # ------------------------------------------------------------------------------------------------- composing

    def _keep(self, several: Sequence[Filed], work: list[Statement]) -> None:
        entries: list[Entry] = []
        first = int(self._ledger.read("SELECT ifnull(max(id), 0) + 1 FROM critique")[0][0])
        for number, filed in enumerate(several, first):
            blind = secrets.token_bytes(BLIND_BYTES)
            work += self._kept(number, filed, blind)
            entries.append(_recorded(filed, commitment(blind, sha256(_encode(filed)).digest())))
            session_id = filed.critique.session_id
            if filed.verdict in DISTRUSTS and session_id is not None:
                work += self._distrusting(filed, session_id, entries)
        if work:
            self._ledger.write(work, entries=entries)

    def _kept(self, number: int, filed: Filed, blind: bytes) -> Iterator[Statement]:
        critique = filed.critique
        sealed = self._sealer.seal(_encode(filed), critique.critique_id.encode())
        places = critique.steps or ((f"{critique.exchange_id}.",) if critique.exchange_id else ())
        from_ns = min([_begun_ns(place) for place in places], default=0) or critique.at_ns
        columns = "(id, critique_id, app, session_id, from_ns, filed, blind)"
        values = (number, critique.critique_id, critique.app, critique.session_id, from_ns, sealed, blind)
        yield f"INSERT INTO critique {columns} VALUES (?, ?, ?, ?, ?, ?, ?)", values  # noqa: S608
        for place in places:
            yield "INSERT INTO critiqued_step VALUES (?, ?)", (place, number)

    def _distrusting(self, filed: Filed, session_id: str, entries: list[Entry]) -> list[Statement]:
        critique = filed.critique
        alias, named = self._aliases.of("session", session_id)
        entries.append(
            SessionDistrusted(
                actor=GATEWAY,
                tenant=critique.app,
                session=alias,
                critique=critique.critique_id,
                clauses=filed.clauses[:CLAUSES],
            )
        )
        values = (session_id, critique.app, critique.critique_id, _listed(filed.clauses).decode(), critique.at_ns)
        return [*named, (f"INSERT OR REPLACE INTO distrust ({_DISTRUST}) VALUES (?, ?, ?, ?, ?)", values)]  # noqa: S608


def erased_with(session_id: str) -> list[Statement]:
    """What takes all that was said of a session with it, when that is erased."""
    of_session = "SELECT id FROM critique WHERE session_id = ?"
    return [
        (f"DELETE FROM critiqued_step WHERE critique IN ({of_session})", (session_id,)),  # noqa: S608 - literals
        *((f"DELETE FROM {table} WHERE session_id = ?", (session_id,)) for table in _OF_SESSION),  # noqa: S608 - literals
    ]


_OF_SESSION: Final = ("critique", "monitor_queue", "distrust", "label")


def _recorded(filed: Filed, content: str) -> CritiqueRecorded:
    critique = filed.critique
    last = critique.calls[-1] if critique.calls else None
    return CritiqueRecorded(
        actor=GATEWAY,
        tenant=critique.app,
        critique=critique.critique_id,
        seat=critique.seat,
        exchange=critique.steps[-1].partition(".")[0] if critique.steps else critique.exchange_id,
        steps=len(critique.steps),
        policy=critique.ruleset,
        verdict=filed.verdict,
        shadow=filed.shadow,
        clauses=_not_ok(critique)[:CLAUSES],
        failed=filed.failure,
        model=None if last is None else last.model,
        prompt=None if last is None else last.prompt,
        content=content,
    )


def _not_ok(critique: Critique) -> tuple[str, ...]:
    return tuple([opinion.clause for opinion in critique.opinions if opinion.label != "ok"])


def _begun_ns(step_id: str) -> int:
    """When the exchange of a step was accepted, as its id says; 0 where it does not."""
    return minted_ns(step_id.partition(".")[0])


def _distrust(row: tuple[Any, ...]) -> Distrust:
    session_id, app, critique_id, clauses, at_ns = row
    return Distrust(session_id=session_id, app=app, critique_id=critique_id, clauses=_clauses(clauses), at_ns=at_ns)
