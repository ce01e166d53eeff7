"""Sealer: puts what was recorded under the audit log's seal, batch by batch, and makes up for what a crash left out.

How far it came stands in `ledger.db` and commits together with the entries, so that each row is sealed once.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from operator import itemgetter
from typing import final

import msgspec

from policies.audited import ended
from policies.vocabulary.audit import GATEWAY, Entry, IngestDropped, StepsRecorded
from storage import spans
from storage.days import Days
from storage.ledger import Ledger
from storage.sequencer import Sequencer
from storage.spans import EXCHANGE_COLUMNS, Written
from storage.step_seals import Rows, Seal, rows_between, seal, seal_written

_ROWS = 512
"""Exchanges under one seal at most."""

_digests = itemgetter(EXCHANGE_COLUMNS.index("request_sha256"), EXCHANGE_COLUMNS.index("response_sha256"))

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
        self._catch_up(late=True)

    def seal(self, written: Sequence[Written]) -> None:
        """Seal what was just written, and whatever was written before and is not sealed."""
        if written and written[0].number == self._sealed + 1:
            for at in range(0, len(written), _ROWS):
                self._put_written(written[at : at + _ROWS])
        else:
            self._catch_up()

    def _catch_up(self, *, late: bool = False) -> None:
        """Seal every row that is not sealed, out of the day files."""
        while rows := self._next():
            entries: list[Entry] = []
            for row in rows:
                exchange, judged = spans.exchange_of(row), spans.judged_of(row)
                entries += ended(exchange, judged, row["request_sha256"], row["response_sha256"])
            self._put(entries, seal(rows), late=late)

    def _put_written(self, written: Sequence[Written]) -> None:
        entries: list[Entry] = []
        for one in written:
            recording = one.recording
            entries += ended(recording.exchange, recording.judged, *_digests(one.exchange))
        self._put(entries, seal_written(written))

    def _put(self, entries: list[Entry], found: Seal, *, late: bool = False) -> None:
        entries.append(StepsRecorded(actor=GATEWAY, late=late, **msgspec.structs.asdict(found)))
        last = found.rows[1]
        self._sequencer.put(*entries, work=[(_SEALED, (last,))], rows=found.rows)
        self._sealed = last

    def _next(self) -> Rows:
        newest = max(self._days.last.values(), default=0)
        if newest <= self._sealed:
            return ()
        with ExitStack() as opened:
            days = [opened.enter_context(self._open_day(day)) for day in self._days.after(self._sealed)]
            return rows_between(days, self._sealed + 1, newest, _ROWS)
