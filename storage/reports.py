"""Reports: spans that applications tell of themselves, in a file for each UTC day beside the day's own.

They are joined to sessions when they are read, within their app: by the traces a session's requests were seen in, and
by the name of its conversation. What they say lies under their app's key, since no session is known when they come.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from policies.vocabulary.reports import Report, ReportedSpan, Ties
from storage.codec import Codec
from storage.errors import ContentDamaged, StorageFailed
from storage.files import ReadFiles, WriteFile, delete
from storage.partitions import DAY_NS, day_of, month_of
from storage.schema import Schema
from storage.scopes import Scope, ScopeKeys, Whose

_OPEN_DAYS: Final = 3
_TRACES: Final = 10_000
"""Of one question; SQLite takes 32,766 values."""

_UNSCRUBBED: Final = 1
"""`user_version` of a file whose deleted rows may have left bytes: a kill came before it was rewritten."""

_PLAIN: Final = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "kind",
    "status",
    "started_ns",
    "ended_ns",
    "operation",
    "provider",
    "model",
    "tool",
    "agent",
    "conversation",
    "input_tokens",
    "output_tokens",
    "shortened",
)
"""What stands in columns of the same name."""

_COLUMNS: Final = ("app", "received_ns", *_PLAIN, "scope", "codec", "length", "detail")
_INSERT: Final = f"INSERT OR IGNORE INTO span ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - ours


@final
class ReportBook:
    """All reported spans of a directory. Writes belong to one thread; `of` and `days` are safe from any."""

    def __init__(self, directory: Path, readers: ReadFiles, keys: ScopeKeys, *, keeps_detail: bool) -> None:
        """Open every file once, so that logs a crash left are applied. Raises `SchemaTooNew` or `sqlite3.Error`."""
        self._directory = directory
        self._readers = readers
        self._keys = keys
        self._keeps_detail = keeps_detail
        self._schema = Schema.shipped("reported")
        self._codec = Codec()
        self._open: dict[str, WriteFile] = {}
        for day in self.days():
            self._file(day)
            self._settle()
        self.close()

    def days(self) -> list[str]:
        """Days there is a file of, oldest first."""
        return sorted(path.stem.removeprefix("reported-") for path in self._directory.glob("reported-*.db"))

    def add(self, reports: Sequence[Report]) -> None:
        """Keep spans; on return neither process nor machine loses them. Raises `StorageFailed`.

        What came before under the same ids stands, so that a request may be sent again.
        """
        by_day: dict[str, list[tuple[Report, ReportedSpan]]] = {}
        for report in reports:
            for span in report.spans:
                by_day.setdefault(day_of(span.started_ns), []).append((report, span))
        try:
            for day, told in by_day.items():
                self._add(day, told)
            self._settle()
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("storing reported spans", error) from error

    def of(self, ties: Ties, since_ns: int, until_ns: int, limit: int, *, in_full: bool = True) -> list[ReportedSpan]:
        """Spans that ties lead to and that began in a time, in the order in which they began, at most so many.

        A conversation's name leads to the spans that bear it, and to those of their traces that bear none. `in_full`:
        with what they say. Raises `StorageFailed`.
        """
        first, last = day_of(max(since_ns, 0)), day_of(max(until_ns, 0))
        found: list[ReportedSpan] = []
        scopes: dict[int, Scope | None] = {}
        for day in self.days():
            if not first <= day <= last:
                continue
            try:
                with self._readers.use(self._path(day)) as connection:
                    found += [self._span(row, scopes, in_full=in_full) for row in _rows(connection, ties, limit)]
            except sqlite3.Error as error:
                raise StorageFailed("reading reported spans", error) from error
        once = {(span.trace_id, span.span_id): span for span in found}
        return sorted(once.values(), key=lambda span: (span.started_ns, span.ended_ns))[:limit]

    def expired(self, before: str, kept: Sequence[Ties]) -> tuple[str, ...]:
        """Names of the files of days before one, but for those that hold nothing but what is kept."""
        return tuple(f"reported-{day}.db" for day in self.days() if day < before and not self._is_kept(day, kept))

    def needed_months(self, kept: Sequence[Ties]) -> frozenset[str]:
        """Months whose keys what is kept lies under."""
        if not kept:
            return frozenset()
        return frozenset(month_of(day) for day in self.days() if self._counts(day, kept)[0])

    def drop(self, names: Iterable[str], kept: Sequence[Ties]) -> None:
        """Delete files by name; of what is kept, the rows stay. Raises `StorageFailed`."""
        try:
            for name in names:
                day = name.removesuffix(".db").removeprefix("reported-")
                with self._readers.use(self._path(day)) as connection:
                    every = {row["id"] for row in connection.execute("SELECT id FROM span")}
                    others = every - _wanted(connection, kept)
                if others != every:
                    self._delete(day, others)
                else:
                    self._drop(day)
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("dropping reported spans", error) from error

    def erase(self, ties: Sequence[Ties], apps: Collection[str]) -> None:
        """Destroy what ties lead to and what apps told, and leave no byte of it. Raises `StorageFailed`."""
        try:
            for day in self.days():
                with self._readers.use(self._path(day)) as connection:
                    found = _wanted(connection, ties, apps)
                    unfinished = connection.execute("PRAGMA user_version").fetchone()[0] == _UNSCRUBBED
                if found or unfinished:
                    self._delete(day, found)
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("erasing reported spans", error) from error

    def has(self, apps: Collection[str]) -> bool:
        """Whether these apps reported anything. Raises `sqlite3.Error`."""
        for day in self.days() if apps else ():
            with self._readers.use(self._path(day)) as connection:
                if _wanted(connection, (), apps):
                    return True
        return False

    def close(self) -> None:
        """Checkpoint and close. Idempotent."""
        for file in self._open.values():
            file.close()
        self._open = {}

    # ------------------------------------------------------------------------------------------------ rows

    def _add(self, day: str, told: Sequence[tuple[Report, ReportedSpan]]) -> None:
        month = month_of(day)
        wanted = {Whose("app", report.app, month) for report, _ in told} if self._keeps_detail else set[Whose]()
        scopes = self._keys.of(wanted)
        rows = [self._row(report, span, scopes.get(Whose("app", report.app, month))) for report, span in told]
        file = self._file(day)
        file.begin()
        try:
            file.connection.executemany(_INSERT, rows)
            file.commit()
        finally:
            file.rollback()

    def _row(self, report: Report, span: ReportedSpan, scope: Scope | None) -> tuple[Any, ...]:
        plain = [getattr(span, name) for name in _PLAIN]
        if scope is None or span.detail is None:
            return (report.app, report.received_ns, *plain, None, None, None, None)
        codec, small = self._codec.shrink(span.detail)
        sealed = scope.sealer.seal(small, span.trace_id + span.span_id)
        return (report.app, report.received_ns, *plain, scope.number, codec, len(span.detail), sealed)

    def _span(self, row: sqlite3.Row, scopes: dict[int, Scope | None], *, in_full: bool) -> ReportedSpan:
        plain: Mapping[str, Any] = {name: row[name] for name in _PLAIN}
        return ReportedSpan(**plain, detail=self._detail(row, scopes) if in_full else None)

    def _detail(self, row: sqlite3.Row, scopes: dict[int, Scope | None]) -> bytes | None:
        """What a span says; damage counts as not kept, so that the rest stays readable."""
        number = row["scope"]
        if number is None:
            return None
        with suppress(ContentDamaged):
            if number not in scopes:
                scopes[number] = None
                scopes[number] = self._keys.numbered(number)
            scope = scopes[number]
            if scope is not None:
                small = scope.sealer.open(row["detail"], row["trace_id"] + row["span_id"])
                return self._codec.grow(row["codec"], small, row["length"])
        return None

    def _is_kept(self, day: str, kept: Sequence[Ties]) -> bool:
        """Whether a day holds what is kept, and nothing else."""
        wanted, every = self._counts(day, kept)
        return 0 < wanted == every

    def _counts(self, day: str, wanted: Sequence[Ties]) -> tuple[int, int]:
        """How many spans of a day are wanted, and how many there are."""
        if not wanted:
            return 0, 1
        with self._readers.use(self._path(day)) as connection:
            every = int(connection.execute("SELECT count(*) FROM span").fetchone()[0])
            return len(_wanted(connection, wanted)), every

    def _delete(self, day: str, numbers: Collection[int]) -> None:
        """Delete rows of a day, and leave no byte of them."""
        if day in self._open:
            self._open.pop(day).close()
        file = WriteFile(self._path(day), self._schema, durability="FULL")
        try:
            file.begin()
            file.connection.executemany("DELETE FROM span WHERE id = ?", [(number,) for number in numbers])
            file.connection.execute(f"PRAGMA user_version = {_UNSCRUBBED}")
            file.commit()
            file.scrub()
            file.connection.execute("PRAGMA user_version = 0")
        finally:
            file.rollback()
            file.close()

    # ------------------------------------------------------------------------------------------------ files

    def _path(self, day: str) -> Path:
        return self._directory / f"reported-{day}.db"

    def _file(self, day: str) -> WriteFile:
        file = self._open.pop(day, None) or WriteFile(self._path(day), self._schema, durability="FULL", page_size=4096)
        self._open[day] = file  # last used last
        return file

    def _settle(self) -> None:
        """Checkpoint long logs; close what is no longer written to."""
        while len(self._open) > _OPEN_DAYS:
            self._open.pop(next(iter(self._open))).close()
        for file in self._open.values():
            file.relieve()
        self._keys.relieve()

    def _drop(self, day: str) -> None:
        if day in self._open:
            self._open.pop(day).close()
        self._readers.forget(self._path(day))
        delete(self._path(day))


def _rows(connection: sqlite3.Connection, ties: Ties, limit: int) -> Iterator[sqlite3.Row]:
    for where, values in _conditions(ties):
        query = f"SELECT * FROM span WHERE {where} ORDER BY started_ns, id LIMIT ?"  # noqa: S608 - composed of literals
        yield from connection.execute(query, (*values, limit))


def _wanted(connection: sqlite3.Connection, several: Iterable[Ties], apps: Iterable[str] = ()) -> set[int]:
    """The rows that ties lead to, and all of some apps."""
    conditions = [("app = ?", (app,)) for app in apps]
    conditions += [each for ties in several for each in _conditions(ties)]
    return {
        row["id"]
        for where, values in conditions
        for row in connection.execute(f"SELECT id FROM span WHERE {where}", values)  # noqa: S608 - composed of literals
    }


def _conditions(ties: Ties) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Conditions on the spans that ties lead to."""
    for at in range(0, len(ties.traces), _TRACES):
        some = ties.traces[at : at + _TRACES]
        yield f"app = ? AND trace_id IN ({_marks(some)})", (ties.app, *some)
    names = ties.conversations
    if names:
        of_named = f"SELECT trace_id FROM span WHERE app = ? AND conversation IN ({_marks(names)})"  # noqa: S608 - ours
        named = f"conversation IN ({_marks(names)}) OR (conversation IS NULL AND trace_id IN ({of_named}))"
        yield f"app = ? AND ({named})", (ties.app, *names, ties.app, *names)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def whole_days(since_ns: int, until_ns: int) -> tuple[int, int]:
    """A time made longer by a day on both sides: traces begin before their first request, clocks differ."""
    return since_ns - DAY_NS, until_ns + DAY_NS
