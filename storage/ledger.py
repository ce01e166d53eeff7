"""Ledger: the file that must never forget, `ledger.db`, with its one connection.

Every change of state commits together with the audit entries that tell of it; there is no other way to write here.
An entry is acknowledged once it is committed, and leaves only when the published log holds it for good.
"""

import secrets
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, final

import msgspec

from policies.vocabulary.audit import GATEWAY, Entry, LogOpened, Receipt, receipt_of
from storage.audit.directory import CHECKPOINT, FOLDER
from storage.entry_lines import EntryLines, nanoseconds_of
from storage.errors import LedgerLost, NeverTaken, OriginFixed, StorageFailed
from storage.files import ReadFiles, WriteFile
from storage.release import release
from storage.schema import Schema

Statement: TypeAlias = tuple[str, Sequence[Any]]
"""One SQL statement and its values."""

_NEVER = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError, UnicodeError)
_INSERT = "INSERT INTO audit_group (first, count, lines) VALUES (?, ?, ?)"
_GROUPS = """
WITH start (at) AS (
    SELECT ifnull((SELECT max(first) FROM audit_group WHERE first <= ?1), (SELECT min(first) FROM audit_group))
)
SELECT first, lines FROM audit_group, start WHERE first >= at AND first < max(at, ?1) + ?2 ORDER BY first
"""
"""From the group that entry ?1 is in, or else the oldest there is."""


class Kept(NamedTuple):
    """Lines that stand one behind the other in the log."""

    first: int
    """Index of the first, which may be beyond the one asked for: what is published has left."""

    lines: list[bytes]

    def __bool__(self) -> bool:
        return bool(self.lines)


class _Stamp(msgspec.Struct):
    ts: str


class Reading(Protocol):
    """What whoever only reads needs of the ledger; `Ledger` and `LedgerReads` fit."""

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises `StorageFailed`."""
        ...


@final
class LedgerReads:
    """`ledger.db` as another process keeps it: to read, and nothing else. Safe from any thread."""

    def __init__(self, directory: Path, readers: ReadFiles) -> None:
        self._path = directory / "ledger.db"
        self._readers = readers

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `Ledger.read`."""
        try:
            with self._readers.use(self._path) as connection:
                return [tuple(row) for row in connection.execute(query, values)]
        except sqlite3.Error as error:
            raise StorageFailed("reading ledger.db", error) from error


@final
class Ledger:
    """Durable on return. Whoever reads and then writes holds `lock` for as long."""

    def __init__(self, directory: Path, origin: str | None = None) -> None:
        """Open `ledger.db` in a directory whose lock the caller holds.

        `origin` names a log that begins here, and has to be the name of one that goes on; None takes either as it is.
        Raises `SchemaTooNew`, `OriginFixed`, `LedgerLost` or `StorageFailed`.
        """
        self.lock = threading.RLock()
        try:
            # Groups of entries are long: under small pages each would be cut into a hundred, written one by one.
            self._file = WriteFile(directory / "ledger.db", Schema.shipped("ledger"), durability="FULL")
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("opening ledger.db", error) from error
        try:
            self._lines = self._opened(directory, origin)
        except BaseException:
            self._file.close()
            raise

    @property
    def next_seq(self) -> int:
        """How many entries the log has, published or not."""
        return self._lines.next

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises `StorageFailed`."""
        with self.lock:
            try:
                return self._file.connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StorageFailed("reading ledger.db", error) from error

    def write(self, work: Sequence[Statement], *, entries: Sequence[Entry]) -> list[Receipt]:
        """Carry out statements and append entries in one transaction; a receipt for each entry, in order.

        Raises as `append` does.
        """
        kept = self.append(work, entries=entries)
        return [receipt_of(line, index) for index, line in enumerate(kept.lines, kept.first)]

    def append(self, work: Sequence[Statement], *, entries: Sequence[Entry]) -> Kept:
        """The same for whoever needs few of the receipts: the lines of the entries, in order.

        Raises `StorageFailed`, and then nothing was done (`NeverTaken` where trying again is in vain); `EntryTooLong`
        or `UnicodeEncodeError` before anything is.
        """
        with self.lock:
            first = self._lines.next
            lines = self._lines.lines(entries) if entries else []
            try:
                self._file.begin()
                for query, values in work:
                    self._file.connection.execute(query, values)
                if lines:
                    self._file.connection.execute(_INSERT, (first, len(lines), b"\n".join(lines)))
                self._file.commit()
            except _NEVER as error:
                self._file.rollback()
                raise NeverTaken("writing ledger.db", error) from error
            except sqlite3.Error as error:
                self._file.rollback()
                raise StorageFailed("writing ledger.db", error) from error
            if lines:
                self._lines.keep(len(lines))
            self._file.relieve()
        skew = len(lines) - len(entries)  # a jump of the clock is said first
        return Kept(first + skew, lines[skew:])

    def entries(self, first: int, limit: int) -> Kept:
        """At most `limit` lines from `first` on that are still here, in order. Raises `StorageFailed`."""
        rows = self.read(_GROUPS, (first, limit))
        if not rows:
            return Kept(first, [])
        at = rows[0][0]
        lines = [line for _, group in rows for line in group.split(b"\n")]
        past = max(first - at, 0)
        return Kept(at + past, lines[past : past + limit])

    def release(self, until: int) -> None:
        """Let entries below `until` go, a whole group at a time: the published log holds them for good.

        Raises `StorageFailed`.
        """
        work = [
            ("DELETE FROM audit_group WHERE first + count <= ?", (until,)),
            ("UPDATE audit_state SET first = max(first, ?)", (until,)),
        ]
        self.write(work, entries=())

    @property
    def first_kept(self) -> int:
        """The oldest entry that is here and may be nowhere else. Raises `StorageFailed`."""
        return int(self.read("SELECT first FROM audit_state")[0][0])

    @property
    def origin(self) -> str:
        """The log's name. Raises `StorageFailed`."""
        return str(self.read("SELECT origin FROM audit_state")[0][0])

    def scrub(self) -> None:
        """Leave no byte of what was deleted. Raises `StorageFailed`."""
        with self.lock:
            try:
                self._file.scrub()
            except sqlite3.Error as error:
                raise StorageFailed("scrubbing ledger.db", error) from error

    def close(self) -> None:
        """Checkpoint and close. Idempotent."""
        with self.lock:
            self._file.close()

    def _opened(self, directory: Path, origin: str | None) -> EntryLines:
        """The place of the next entry; a log that never was begins here."""
        state = self.read("SELECT first, origin FROM audit_state")
        if state and origin not in (None, state[0][1]):
            raise OriginFixed(str(state[0][1]), str(origin))
        rows = self.read("SELECT first + count, lines FROM audit_group ORDER BY first DESC LIMIT 1")
        if state and rows:
            last = msgspec.json.decode(rows[0][1].rpartition(b"\n")[2], type=_Stamp)
            return EntryLines(rows[0][0], nanoseconds_of(last.ts))
        if state:
            return EntryLines(state[0][0], None)
        if (directory / FOLDER / CHECKPOINT).exists():
            raise LedgerLost(directory / "ledger.db")
        self._lines = EntryLines(0, None)
        begin = "INSERT INTO audit_state (id, first, sealed, origin) VALUES (1, 0, NULL, ?)"
        named = origin or f"stepwarden.invalid/{secrets.token_hex(8)}"
        self.write([(begin, (named,))], entries=[LogOpened(actor=GATEWAY, release=release())])
        return self._lines
