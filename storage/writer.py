"""The writer: every write to a data directory, on one thread."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, final

from policies.vocabulary.exchanges import Recording
from storage import bodies, sessions, spans
from storage.contents import ContentWriter, Vault
from storage.day_file import DayFile
from storage.days import Days
from storage.errors import StorageFailed, WrongSealKey
from storage.files import ReadFiles, WriteFile, delete, max_id
from storage.partitions import DAY_NS, day_of, month_of
from storage.schema import Schema
from storage.scrub import scrub
from storage.spans import Written
from storage.step_rows import count_steps
from storage.ulids import pack

ContentMode: TypeAlias = Literal["encrypted", "digest"]
T = TypeVar("T")

_OPEN_DAYS = 3
_OPEN_MONTHS = 2
_EXPIRED_ROWS = 500
_REPLAYED_ROWS = 1000


@final
class Writer:
    """Owns every connection that writes. All methods belong to one thread."""

    def __init__(
        self,
        days: Days,
        vault: Vault,
        readers: ReadFiles,
        *,
        content: ContentMode,
        seal_check: bytes,
        remembered: int,
        taken: int,
    ) -> None:
        """Open, migrate and mend the directory; exchanges are numbered beyond `taken`, whatever is left of them.

        Raises `SchemaTooNew`, `WrongSealKey`, `sqlite3.Error` or `OSError`.
        """
        self.kept_whole = 0
        self._days = days
        self._vault = vault
        self._readers = readers
        self._content: ContentMode = content
        self._remembered = remembered
        self._schemas = {"spans": Schema.shipped("spans"), "content": Schema.shipped("content")}
        self._day_files: dict[str, DayFile] = {}
        self._months: dict[str, ContentWriter] = {}
        self._doubtful: int | None = None
        self._meta = WriteFile(
            days.directory / "meta.db", Schema.shipped("meta"), durability="NORMAL", page_size=1024, cache_kib=2048
        )
        try:
            self._recognise(seal_check)
            self.survived = self._survey()
            """The highest number of an exchange that was found."""
            self._next = max(self.survived, taken) + 1
            self._replay()
        except BaseException:
            self.close()
            raise

    def append(self, batch: Sequence[Recording]) -> list[Written]:
        """Store a batch whole or not at all; what was written, in order.

        Raises `StorageFailed`; the next append may work again.
        """
        if not batch:
            return []
        try:
            self._settle()
            try:
                written = self._append(batch)
            except (OverflowError, UnicodeError, sqlite3.IntegrityError):
                # Mend what no database takes and leave out what is stored already; most batches need neither.
                written = self._append(self._unseen([scrub(recording) for recording in batch]))
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("storing a batch", error) from error
        self._relieve()
        return written

    def terminate(self, session_id: str, at_ns: int) -> None:
        """Mark a session as ended by a person; the first time counts."""
        query = "UPDATE session SET terminated_ns = ifnull(terminated_ns, ?) WHERE session_id = ?"
        self._in_meta("terminating a session", lambda connection: connection.execute(query, (at_ns, session_id)))

    def save_cursor(self, name: str, value: str) -> None:
        """Remember how far a reader of the record has come."""
        query = (
            "INSERT INTO export_cursor (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        self._in_meta("saving a cursor", lambda connection: connection.execute(query, (name, value)))

    def expired(self, now_ns: int, retention_days: int) -> tuple[str, ...]:
        """Names of day files older than so many days, and of months no day needs any more. Raises `StorageFailed`."""
        oldest = _oldest_kept(now_ns, retention_days)
        gone = [day for day in tuple(self._days.last) if day < oldest]
        needed = {month_of(day) for day in (*(day for day in self._days.last if day >= oldest), oldest)}
        try:
            months = [path.stem.removeprefix("content-") for path in self._days.directory.glob("content-*.db")]
        except OSError as error:
            raise StorageFailed("looking for what has expired", error) from error
        unneeded = [month for month in months if month not in needed and month < month_of(oldest)]
        return tuple(sorted([f"spans-{day}.db" for day in gone])) + tuple(
            sorted([f"content-{month}.db" for month in unneeded])
        )

    def drop(self, files: Sequence[str]) -> None:
        """Delete day and month files by name. Raises `StorageFailed`."""
        try:
            for name in files:
                kind, _, when = name.removesuffix(".db").partition("-")
                if kind == "spans":
                    self._drop_day(when)
                else:
                    self._drop_month(when, self._days.directory / name)
        except OSError as error:
            raise StorageFailed("dropping what has expired", error) from error

    def forget_sessions(self, now_ns: int, retention_days: int) -> None:
        """Forget what meta knows of expired days. Raises `StorageFailed`."""
        kept_from_ns = (now_ns // DAY_NS - retention_days) * DAY_NS
        while self._in_meta(
            "forgetting expired sessions", lambda connection: sessions.expire(connection, kept_from_ns, _EXPIRED_ROWS)
        ):
            pass

    def close(self) -> None:
        """Checkpoint and close every file. Idempotent."""
        for file in self._files():
            file.close()
        self._day_files, self._months = {}, {}

    def _files(self) -> Iterator[WriteFile]:
        yield from (day.file for day in self._day_files.values())
        yield from (month.file for month in self._months.values())
        yield self._meta

    # ------------------------------------------------------------------------------------------------ one batch

    def _append(self, batch: Sequence[Recording]) -> list[Written]:
        written: list[Written] = []
        days: dict[str, DayFile] = {}
        contents: dict[str, ContentWriter] = {}
        additions: list[sessions.Addition] = []
        kept_whole = 0
        number = self._next
        try:
            for recording in batch:
                exchange = recording.exchange
                name = day_of(exchange.started_ns)
                day = days.get(name) or days.setdefault(name, self._day(name))
                request, response = self._keep(recording, name, contents)
                kept_whole += request.fell_back + response.fell_back
                written.append(day.add(number, recording, request.row, response.row))
                additions.append(
                    sessions.Addition(
                        number,
                        exchange,
                        len(recording.steps),
                        request.row.messages,
                        recording.state,
                        recording.reply_fingerprint,
                    )
                )
                number += 1
            if days:
                self._write(tuple(days.values()), contents, additions)
        except BaseException:
            self._rollback(contents)
            raise
        self._next = number
        self.kept_whole += kept_whole
        self._days.publish({name: day.last for name, day in days.items()})
        return written

    def _keep(
        self, recording: Recording, day: str, contents: dict[str, ContentWriter]
    ) -> tuple[bodies.Kept, bodies.Kept]:
        if self._content == "digest":
            return (
                bodies.Kept(bodies.digest_only(recording.request)),
                bodies.Kept(bodies.digest_only(recording.response)),
            )
        writer = contents.get(day)
        if writer is None:
            writer = contents[day] = self._month(month_of(day))
            if not writer.file.connection.in_transaction:
                writer.file.begin()
        join = recording.exchange.join
        branch = None if join is None else join.branch_id
        return bodies.keep(recording.request, writer, branch), bodies.keep(recording.response, writer)

    def _write(
        self,
        days: Sequence[DayFile],
        contents: Mapping[str, ContentWriter],
        additions: Sequence[sessions.Addition],
    ) -> None:
        months = {id(writer): writer for writer in contents.values()}.values()
        for writer in months:
            writer.flush()
        for day in days:
            day.flush()
        self._meta.begin()
        sessions.add(self._meta.connection, additions)
        for writer in months:
            writer.commit()
        for day in days:
            # From the first day file on, a failure leaves rows that must go again (`_settle`).
            self._doubtful = additions[0].number
            day.commit()
        self._meta.commit()
        self._doubtful = None

    def _rollback(self, contents: Mapping[str, ContentWriter]) -> None:
        for writer in contents.values():
            writer.rollback()
        for day in self._day_files.values():
            day.rollback()
        self._meta.rollback()
        with suppress(sqlite3.Error, OSError):
            self._settle()

    def _settle(self) -> None:
        """Take back what a failed append committed to some of its files. Raises while the disk still refuses."""
        if self._doubtful is None:
            return
        for day in self._day_files.values():
            day.take_back(self._doubtful)
        self._doubtful = None

    def _unseen(self, batch: Sequence[Recording]) -> list[Recording]:
        """The batch without exchanges that are stored already, or twice in it."""
        once = {recording.exchange.exchange_id: recording for recording in batch}
        query = "SELECT 1 FROM exchange WHERE exchange_id = ?"
        return [
            recording
            for exchange_id, recording in once.items()
            if not self._day(day_of(recording.exchange.started_ns))
            .connection.execute(query, (pack(exchange_id),))
            .fetchone()
        ]

    # ------------------------------------------------------------------------------------------------ files

    def _day(self, day: str) -> DayFile:
        file = self._day_files.get(day)
        if file is None:
            file = self._day_files[day] = self._open_day(day)
        return file

    def _open_day(self, day: str) -> DayFile:
        return DayFile(self._days.spans(day), self._schemas["spans"])

    def _month(self, month: str) -> ContentWriter:
        writer = self._months.get(month)
        if writer is None:
            path = self._days.directory / f"content-{month}.db"
            writer = ContentWriter(path, month, self._vault, self._schemas["content"], remembered=self._remembered)
            self._months[month] = writer
        return writer

    def _relieve(self) -> None:
        """Checkpoint long logs; close what is no longer written to."""
        while len(self._day_files) > _OPEN_DAYS:
            self._day_files.pop(min(self._day_files)).file.close()
        while len(self._months) > _OPEN_MONTHS:
            self._months.pop(min(self._months)).file.close()
        for file in self._files():
            file.relieve()

    def _drop_day(self, day: str) -> None:
        self._days.withdraw(day)
        if day in self._day_files:
            self._day_files.pop(day).file.close()
        path = self._days.spans(day)
        self._readers.forget(path)
        delete(path)

    def _drop_month(self, month: str, path: Path) -> None:
        if month in self._months:
            self._months.pop(month).file.close()
        self._readers.forget(path)
        delete(path)

    # ------------------------------------------------------------------------------------------------ opening

    def _recognise(self, seal_check: bytes) -> None:
        """Make sure this directory was sealed under this key. Raises `WrongSealKey`."""
        connection = self._meta.connection
        connection.execute("INSERT INTO progress VALUES (1, 0, ?) ON CONFLICT DO NOTHING", (seal_check,))
        if connection.execute("SELECT seal_check FROM progress").fetchone()[0] != seal_check:
            raise WrongSealKey(self._days.directory / "seal.key")

    def _survey(self) -> int:
        """Open every file once, so that logs a crash left are applied and schemas are current; the highest id."""
        last: dict[str, int] = {}
        for path in sorted(self._days.directory.glob("spans-*.db")):
            day = path.stem.removeprefix("spans-")
            file = self._open_day(day).file
            last[day] = max_id(file.connection, "exchange")
            file.close()
        for path in sorted(self._days.directory.glob("content-*.db")):
            WriteFile(path, self._schemas["content"], durability="NORMAL").close()
        self._days.publish(last)
        return max((self._included(), *last.values()))

    def _included(self) -> int:
        return int(self._meta.connection.execute("SELECT exchange FROM progress").fetchone()[0])

    def _replay(self) -> None:
        """Add exchanges to their sessions that a crash kept from it, in one transaction."""
        included = self._included()
        behind = self._days.after(included)
        if not behind:
            return
        self._meta.begin()
        try:
            for day in behind:
                for chunk in self._additions_after(day, included):
                    sessions.add(self._meta.connection, chunk)
            self._meta.commit()
        finally:
            self._meta.rollback()

    def _additions_after(self, day: str, included: int) -> Iterator[list[sessions.Addition]]:
        with self._readers.use(self._days.spans(day)) as connection:
            query = f"{spans.EXCHANGES} WHERE exchange.id > ? ORDER BY exchange.id"
            rows = connection.execute(query, (included,))
            while chunk := rows.fetchmany(_REPLAYED_ROWS):
                yield [_addition(row) for row in chunk]

    def _in_meta(self, doing: str, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._meta.begin()
            done = work(self._meta.connection)
            self._meta.commit()
        except sqlite3.Error as error:
            self._meta.rollback()
            raise StorageFailed(doing, error) from error
        return done


def _oldest_kept(now_ns: int, retention_days: int) -> str:
    """The first day that is kept."""
    return day_of((now_ns // DAY_NS - retention_days) * DAY_NS)


def _addition(row: sqlite3.Row) -> sessions.Addition:
    return sessions.Addition(
        row["id"],
        spans.exchange_of(row),
        count_steps(row["steps"]),
        row["depth"],
        row["joining_state"],
        row["reply_fingerprint"],
    )
