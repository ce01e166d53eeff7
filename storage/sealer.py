"""Sealer: puts what was recorded under the audit log's seal, batch by batch, and makes up for what a crash left out.

How far it came stands in `ledger.db` and commits together with the entries, so that each row is sealed once.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import final

import msgspec

from policies.audited import ended
from policies.vocabulary.audit import GATEWAY, Entry, IngestDropped, StepsRecorded
from policies.vocabulary.exchanges import Recording
from storage import spans
from storage.days import Days
from storage.ledger import Ledger
from storage.sequencer import Sequencer
from storage.step_seals import Rows, rows_between, seal
from storage.ulids import unpack

_ROWS = 512
"""Exchanges under one seal at most."""

_SEALED = "UPDATE audit_state SET sealed = ?"

OpenDay = Callable[[str], AbstractContextManager[sqlite3.Connection]]


def sealed_until(ledger: Ledger) -> int | None:
    """The last exchange that is sealed; None in a directory older than its log. Raises `StorageFailed`."""
    found = ledger.read("SELECT sealed FROM audit_state")[0][0]
    return None if found is None else int(found)


@final
class Sealer:
    """Belongs to the thread that writes the record."""

    def __init__(self, ledger: Ledger, sequencer: Sequencer, days: Days, open_day: OpenDay, *, survived: int) -> None:
        """`survived` is the highest exchange number that a start found. Raises `StorageFailed`."""
        self._sequencer = sequencer
        self._days = days
        self._open_day = open_day
        sealed = sealed_until(ledger)
        if sealed is None:
            ledger.write([(_SEALED, (survived,))], entries=())
        elif sealed > survived:
            # The day files are not flushed with every batch, the ledger is: a power loss took rows that are sealed.
            lost = IngestDropped(actor=GATEWAY, exchanges=sealed - survived, rows=(survived + 1, sealed))
            ledger.write([], entries=[lost])
        self._sealed = survived if sealed is None else sealed
        self.seal({}, late=True)

    def seal(self, recordings: Mapping[str, Recording], *, late: bool = False) -> None:
        """Seal every row that is not sealed; of `recordings`, by exchange id, the facts are at hand already."""
        while rows := self._next():
            self._put(rows, recordings, late=late)
            self._sealed = rows[-1]["id"]

    def _next(self) -> Rows:
        newest = max(self._days.last.values(), default=0)
        if newest <= self._sealed:
            return ()
        with ExitStack() as opened:
            days = [opened.enter_context(self._open_day(day)) for day in self._days.after(self._sealed)]
            return rows_between(days, self._sealed + 1, newest, _ROWS)

    def _put(self, rows: Rows, recordings: Mapping[str, Recording], *, late: bool) -> None:
        found = seal(rows)
        entries: list[Entry] = []
        for row in rows:
            recording = recordings.get(unpack(row["exchange_id"]))
            exchange, judged = (
                (spans.exchange_of(row), spans.judged_of(row))
                if recording is None
                else (recording.exchange, recording.judged)
            )
            entries += ended(exchange, judged, row["request_sha256"], row["response_sha256"])
        entries.append(StepsRecorded(actor=GATEWAY, late=late, **msgspec.structs.asdict(found)))
        self._sequencer.put(*entries, work=[(_SEALED, (found.rows[1],))], rows=found.rows)
