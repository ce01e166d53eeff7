"""Sequencer: the one thread that commits audit entries in groups.

Whoever needs an entry to be durable waits for the group that is being gathered, and a group with a waiter is
committed at once: those that come meanwhile make up the next. Without a waiter, entries gather for a while.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import final

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.audit import GATEWAY, Entry, IngestDropped, Receipt, receipt_of
from storage.errors import StorageFailed
from storage.ledger import Kept, Ledger, Statement

log = logging.getLogger("stepwarden.audit")

_GROUP = 256
"""Entries of one commit, and how many end the gathering early."""

_GATHER_SECONDS = 0.1
_RETRY_SECONDS = 0.25
_LIMIT = 65_536
"""Entries that wait at most; what comes beyond is dropped, and that is an entry itself."""


class SequencerState(msgspec.Struct, frozen=True, kw_only=True):
    """What the sequencer has done, for people on call."""

    committed: int
    waiting: int
    dropped: int
    failing: str | None
    """Why `ledger.db` takes nothing; what waits is tried again."""


class _Item(msgspec.Struct, frozen=True, gc=False):
    """What is committed together: statements, their entries, and who waits for it."""

    work: Sequence[Statement]
    entries: Sequence[Entry]
    waiter: Future[Receipt] | None
    rows: tuple[int, int] | None = None
    then: Callable[[], None] | None = None


@final
class Sequencer:
    """Owns the committing thread, which starts with the first entry. Every method may be called from any thread."""

    def __init__(self, ledger: Ledger, *, limit: int = _LIMIT) -> None:
        self._ledger = ledger
        self._limit = limit
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._items: deque[_Item] = deque()
        self._waiting = 0
        self._urgent = 0
        """Items somebody waits for."""
        self._lost = IngestDropped(actor=GATEWAY)
        """What was dropped and is not yet an entry."""
        self._committed = 0
        self._dropped = 0
        self._failing: str | None = None
        self._stopping = False
        self._deadline = 0.0
        self._thread: threading.Thread | None = None

    def put(
        self,
        *entries: Entry,
        work: Sequence[Statement] = (),
        rows: tuple[int, int] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Hand over entries that nobody waits for, with statements that belong in the same transaction.

        Where too many wait already they are dropped, and counted; `rows` is then named in what tells of it. Statements
        without entries are never dropped. `then` is called on the committing thread once it is durable; it must not
        raise.
        """
        with self._lock:  # by itself, for this is done for every exchange
            if self._waiting + len(entries) > self._limit:
                self._lose(entries=len(entries), rows=rows)
            else:
                self._add(_Item(work, entries, None, rows, then))

    def durable(self, entry: Entry, *, work: Sequence[Statement] = ()) -> Future[Receipt]:
        """Commit an entry as soon as can be. The future raises `StorageFailed` where it cannot be; then it never is."""
        return self._soon(work, (entry,))

    def commit(self, work: Sequence[Statement]) -> Future[Receipt]:
        """The same for statements of which the log has nothing to tell; the receipt is of no entry."""
        return self._soon(work, ())

    def _soon(self, work: Sequence[Statement], entries: Sequence[Entry]) -> Future[Receipt]:
        waiter: Future[Receipt] = Future()
        with self._changed:
            if self._stopping:
                waiter.set_exception(StorageFailed("writing the audit log", RuntimeError("the gateway is stopping")))
                return waiter
            self._urgent += 1
            self._add(_Item(work, entries, waiter))
        return waiter

    def lose(self, exchanges: int = 1) -> None:
        """Say that exchanges are not in the record."""
        with self._changed:
            self._lose(exchanges=exchanges)
            self._begin()
            self._changed.notify()

    def state(self) -> SequencerState:
        """Counters as they stand."""
        return SequencerState(
            committed=self._committed, waiting=self._waiting, dropped=self._dropped, failing=self._failing
        )

    def flush(self) -> None:
        """Commit all that was handed over so far; returns when it is, or cannot be."""
        flushed: Future[Receipt] = Future()
        with self._changed:
            if self._thread is None or self._stopping:
                return
            self._urgent += 1
            self._add(_Item((), (), flushed))
        flushed.exception()

    def close(self, seconds: float = 10.0) -> bool:
        """Commit what waits, trying for so long, and end the thread; False where not all of it could be. Idempotent."""
        with self._changed:
            self._stopping = True
            self._deadline = time.monotonic() + seconds
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds + _RETRY_SECONDS)
        return not self._items and not self._has_lost()

    # ---------------------------------------------------------------------------------- with `_changed` held

    def _add(self, item: _Item) -> None:
        self._items.append(item)
        self._waiting += len(item.entries)
        if len(self._items) == 1 or item.waiter is not None or self._waiting >= _GROUP:
            self._changed.notify()
        if self._thread is None:
            self._begin()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="stepwarden-sequencer", daemon=True)
            self._thread.start()

    def _lose(self, *, entries: int = 0, exchanges: int = 0, rows: tuple[int, int] | None = None) -> None:
        lost = self._lost
        self._dropped += entries
        if rows is not None and lost.rows is not None:
            rows = (min(rows[0], lost.rows[0]), max(rows[1], lost.rows[1]))
        self._lost = IngestDropped(
            actor=GATEWAY,
            entries=lost.entries + entries,
            exchanges=lost.exchanges + exchanges,
            rows=rows or lost.rows,
        )

    def _has_lost(self) -> bool:
        return bool(self._lost.entries or self._lost.exchanges)

    def _take(self) -> list[_Item]:
        """The next group: whole items, in order."""
        group: list[_Item] = []
        size = 0
        while self._items and (not group or size + len(self._items[0].entries) <= _GROUP):
            item = self._items.popleft()
            size += len(item.entries)
            self._urgent -= item.waiter is not None
            group.append(item)
        self._waiting -= size
        if self._has_lost():
            group.append(_Item((), (self._lost,), None))
            self._lost = IngestDropped(actor=GATEWAY)
        return group

    def _give_back(self, group: Sequence[_Item]) -> None:
        """Keep what nobody waits for; a drop that is no entry yet is counted on."""
        for item in reversed(group):
            if item.waiter is not None:
                continue
            if item.entries and isinstance(item.entries[0], IngestDropped):
                lost = item.entries[0]
                self._dropped -= lost.entries
                self._lose(entries=lost.entries, exchanges=lost.exchanges, rows=lost.rows)
                continue
            self._items.appendleft(item)
            self._waiting += len(item.entries)

    def _withdrawn(self) -> list[Future[Receipt]]:
        """Take out everything somebody waits for: a full disk must not keep them waiting behind all the rest."""
        waited = [item for item in self._items if item.waiter is not None]
        self._items = deque(item for item in self._items if item.waiter is None)
        self._waiting -= sum(len(item.entries) for item in waited)
        self._urgent = 0
        return _waiters(waited)

    # ------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._gather()
                if self._stopping and not self._items and not self._has_lost():
                    return
                group = self._take()
            if not self._commit(group) and self._stopping:
                if time.monotonic() > self._deadline:
                    return
                time.sleep(_RETRY_SECONDS)

    def _gather(self) -> None:
        """Wait until there is something, then until it is urgent, much, or has waited long enough."""
        self._changed.wait_for(lambda: self._items or self._has_lost() or self._stopping)
        pause = _GATHER_SECONDS if self._failing is None else _RETRY_SECONDS
        self._changed.wait_for(
            lambda: self._urgent or self._stopping or (self._failing is None and self._waiting >= _GROUP), pause
        )

    def _commit(self, group: Sequence[_Item]) -> bool:
        """Write a group; what cannot be written goes back, or fails for those who wait. False where it failed."""
        try:
            self._write(group)
        except StorageFailed as error:
            self._failed(group, error)
            return False
        except (StepwardenError, UnicodeError) as error:
            self._one_by_one(group, error)
        if self._failing is not None:
            log.info("the audit log is written again")
            self._failing = None
        return True

    def _failed(self, group: Sequence[_Item], error: StorageFailed) -> None:
        """Keep what nobody waits for, and tell all who wait."""
        if self._failing is None:
            log.error("the audit log cannot be written; entries wait", extra={"reason": str(error)})
        self._failing = str(error)
        with self._changed:
            self._give_back(group)
            refused = [*_waiters(group), *self._withdrawn()]
        for waiter in refused:
            _refuse(waiter, error)

    def _one_by_one(self, group: Sequence[_Item], error: Exception) -> None:
        """An entry that is no entry must not keep the others out."""
        if len(group) > 1:
            for item in group:
                self._commit([item])
            return
        log.error("an audit entry cannot be written", extra={"reason": type(error).__name__})
        with self._changed:
            self._lose(entries=len(group[0].entries), rows=group[0].rows)
        for waiter in _waiters(group):
            _refuse(waiter, error)

    def _write(self, group: Sequence[_Item]) -> None:
        work = [statement for item in group for statement in item.work]
        entries = [entry for item in group for entry in item.entries]
        kept = self._ledger.append(work, entries=entries) if work or entries else Kept(0, [])
        self._committed += len(entries)
        at = 0
        for item in group:
            if item.waiter is not None and item.waiter.set_running_or_notify_cancel():
                own = receipt_of(kept.lines[at], kept.first + at) if item.entries else Receipt(-1, b"")
                item.waiter.set_result(own)
            if item.then is not None:
                item.then()
            at += len(item.entries)


def _waiters(items: Sequence[_Item]) -> list[Future[Receipt]]:
    return [item.waiter for item in items if item.waiter is not None]


def _refuse(waiter: Future[Receipt], error: Exception) -> None:
    """Tell who waits, unless nobody does any more."""
    if waiter.set_running_or_notify_cancel():
        waiter.set_exception(error)
