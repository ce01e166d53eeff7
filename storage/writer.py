"""The writer: every write to a data directory, on one thread."""

import sqlite3
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar, final

from policies.vocabulary.exchanges import Recording
from storage import bodies, erased, sessions, spans
from storage.contents import ContentWriter, Vault
from storage.day_file import DayFile
from storage.days import Days
from storage.errors import StorageFailed, WrongSealKey
from storage.files import ReadFiles, WriteFile, delete
from storage.partitions import DAY_NS, day_of, month_of
from storage.pseudonyms import Pseudonyms
from storage.schema import Kind, Schema
from storage.scopes import Scope, ScopeKeys, Whose, whose
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
_ENDING = 4096
"""Sessions that have ended and wait for their first exchange to be stored; of one that never is, nothing is known."""


class _Placed(NamedTuple):
    """A recording and where it goes."""

    recording: Recording
    day: str
    end_user: bytes | None
    whose: Whose


@final
class Writer:
    """Owns every connection that writes. All methods belong to one thread."""

    def __init__(  # noqa: PLR0913 - all that it writes to
        self,
        days: Days,
        vault: Vault,
        keys: ScopeKeys,
        readers: ReadFiles,
        names: Pseudonyms,
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
        self._keys = keys
        self._names = names
        self._readers = readers
        self._content: ContentMode = content
        self._remembered = remembered
        self._schemas: dict[Kind, Schema] = {"spans": Schema.shipped("spans"), "content": Schema.shipped("content")}
        self._day_files: dict[str, DayFile] = {}
        self._months: dict[str, ContentWriter] = {}
        self._doubtful: int | None = None
        self._ending: dict[str, int] = {}
        """Sessions that have ended before anything of them was stored, and when."""
        self._meta = WriteFile(
            days.directory / "meta.db", Schema.shipped("meta"), durability="NORMAL", page_size=2048, cache_kib=2048
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
        """Mark a session as ended; the first time counts.

        One of which nothing is stored yet, since it is ended in its first exchange, is marked with that exchange.
        """
        self._ending.setdefault(session_id, at_ns)
        marked = self._in_meta("terminating a session", lambda connection: self._mark_ended(connection, [session_id]))
        if marked:
            del self._ending[session_id]
        elif len(self._ending) > _ENDING:
            del self._ending[next(iter(self._ending))]

    def _mark_ended(self, connection: sqlite3.Connection, session_ids: Iterable[str]) -> int:
        """Mark those of these sessions that have ended and are stored; how many."""
        query = "UPDATE session SET terminated_ns = ifnull(terminated_ns, ?) WHERE session_id = ?"
        ended = [(self._ending[each], each) for each in session_ids if each in self._ending]
        return connection.executemany(query, ended).rowcount if ended else 0

    def save_cursor(self, name: str, value: str) -> None:
        """Remember how far a reader of the record has come."""
        query = (
            "INSERT INTO export_cursor (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        self._in_meta("saving a cursor", lambda connection: connection.execute(query, (name, value)))

    def expired(
        self, now_ns: int, retention_days: int, held: Collection[str], months_kept: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Names of day files older than so many days, and of months that are over for all but what is kept.

        Kept are sessions in `held`, and the keys of `months_kept`. A day or month that holds nothing else is not named:
        it has been through `drop`. Raises `StorageFailed`.
        """
        oldest = _oldest_kept(now_ns, retention_days)
        gone = [day for day in tuple(self._days.last) if day < oldest and not self._is_held(day, held)]
        needed = {month_of(day) for day in self._days.last if day >= oldest}
        try:
            months = [path.stem.removeprefix("content-") for path in self._days.directory.glob("content-*.db")]
            over = [month for month in months if month not in needed and month < month_of(oldest)]
            unneeded = [
                month
                for month in over
                if not self._month_stays(month, held, months_kept) or self._holds_others(month, held)
            ]
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("looking for what has expired", error) from error
        return tuple(sorted([f"spans-{day}.db" for day in gone])) + tuple(
            sorted([f"content-{month}.db" for month in unneeded])
        )

    def stripped(
        self, files: Sequence[str], held: Collection[str], months_kept: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Those of these day and month files that stay, with what sessions in `held` need and nothing else."""
        found: list[str] = []
        for name in files:
            kind, when = _file_named(name)
            stays = self._month_stays(when, held, months_kept) if kind == "content" else self._holds_any(when, held)
            if stays:
                found.append(name)
        return tuple(found)

    def drop(self, files: Sequence[str], held: Collection[str], stripped: Collection[str]) -> None:
        """Delete day and month files by name; of those in `stripped`, all but what sessions in `held` need.

        Raises `StorageFailed`.
        """
        try:
            for name in files:
                kind, when = _file_named(name)
                if kind == "content":
                    self._strip_month(when, held) if name in stripped else self._drop_month(when)
                else:
                    self._strip_day(when, held) if name in stripped else self._drop_day(when)
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("dropping what has expired", error) from error

    def forget_sessions(self, now_ns: int, retention_days: int, held: Collection[str]) -> None:
        """Forget what meta knows of expired days, except for sessions in `held`. Raises `StorageFailed`."""
        kept_from_ns = (now_ns // DAY_NS - retention_days) * DAY_NS
        while self._in_meta(
            "forgetting expired sessions",
            lambda connection: sessions.expire(connection, kept_from_ns, _EXPIRED_ROWS, held),
        ):
            pass

    def _is_held(self, day: str, held: Collection[str]) -> bool:
        """Whether a day holds exchanges of these sessions, and no others."""
        if not held:
            return False
        with self._readers.use(self._days.spans(day)) as connection:
            return erased.has_only(connection, held)

    def _holds_any(self, day: str, held: Collection[str]) -> bool:
        if not held or day not in self._days.last:
            return False
        with self._readers.use(self._days.spans(day)) as connection:
            return bool(erased.numbers(connection, erased.Plan(sessions=tuple(held))))

    def _strip_day(self, day: str, held: Collection[str]) -> None:
        """Delete what is recorded of a day except for these sessions."""
        with self._alone(self._day_files, day, self._days.spans(day), "spans") as file:
            for rows in erased.chunks(file.connection, erased.others(file.connection, held)):
                with _transaction(file):
                    # With the hashes of the others, what is kept can still be shown to be what was sealed.
                    erased.bury(file.connection, rows, erased.EXPIRED)
            with _transaction(file):
                erased.tidy(file.connection)
            file.scrub()

    def _month_stays(self, month: str, held: Collection[str], months_kept: Collection[str]) -> bool:
        """Whether a month that is over stays with what it holds of these sessions, or for its keys."""
        days = [day for day in self._days.last if month_of(day) == month]
        return month in months_kept or any(self._holds_any(day, held) for day in days)

    def _holds_others(self, month: str, held: Collection[str]) -> bool:
        """Whether a month holds contents of others than these sessions; those from before there were scopes stay."""
        with self._readers.use(self._days.month(month)) as connection:
            return erased.has_others(connection, self._scopes_of(month, held))

    def _scopes_of(self, month: str, held: Collection[str]) -> Collection[int]:
        return self._keys.there({Whose("session", each, month) for each in held})

    def _strip_month(self, month: str, held: Collection[str]) -> None:
        """Delete the contents of a month except for these sessions.

        Only once the month is over: until then others may still need, on a later day, what they sent on one that is.
        """
        with self._alone(self._months, month, self._days.month(month), "content") as file:
            with _transaction(file):
                erased.remove_others(file.connection, self._scopes_of(month, held))
            file.scrub()

    @property
    def meta(self) -> sqlite3.Connection:
        """What sessions add up to, for questions of the writing thread."""
        return self._meta.connection

    def each_day(self) -> Iterator[sqlite3.Connection]:
        """Every day file in turn, to be read. Raises `sqlite3.Error`."""
        for day in tuple(self._days.last):
            with self._readers.use(self._days.spans(day)) as connection:
                yield connection

    def erase(self, plan: erased.Plan, erasure: int) -> None:
        """Destroy what a plan names, and leave no byte of it. Raises `StorageFailed`; a second time it goes on.

        A file that a reader keeps waits alone: from all others, and from the sessions, it is gone then.
        """
        waiting: sqlite3.Error | None = None
        for day in tuple(self._days.last):
            try:
                self._erase_day(day, plan, erasure)
            except sqlite3.Error as error:
                waiting = error
        try:
            self._meta.begin()
            erased.forget_sessions(self._meta.connection, plan.sessions)
            self._meta.commit()
            self._meta.scrub()
        except (sqlite3.Error, OSError) as error:
            self._meta.rollback()
            raise StorageFailed("erasing", error) from error
        if waiting is not None:
            raise StorageFailed("erasing", waiting) from waiting

    def _erase_day(self, day: str, plan: erased.Plan, erasure: int) -> None:
        with self._readers.use(self._days.spans(day)) as connection:
            found = erased.numbers(connection, plan)
            if not found and not erased.left(connection, erasure):
                return
        with self._alone(self._day_files, day, self._days.spans(day), "spans") as file:
            for rows in erased.chunks(file.connection, found):
                # Contents first: without its row, nobody would know which they are.
                self._erase_contents(day, rows)
                with _transaction(file):
                    erased.bury(file.connection, rows, erasure)
            with _transaction(file):
                erased.tidy(file.connection)
            file.scrub()
        self._erase_contents(day, ())

    def _erase_contents(self, day: str, rows: Sequence[sqlite3.Row]) -> None:
        month, path = month_of(day), self._days.contents(day)
        if not path.exists():
            return
        with self._alone(self._months, month, path, "content") as file:
            found = erased.Found.none()
            found.follow(file.connection, rows)
            with _transaction(file):
                erased.remove_contents(file.connection, found)
            file.empty_log()

    @contextmanager
    def _alone(
        self, known: "dict[str, DayFile] | dict[str, ContentWriter]", name: str, path: Path, kind: Kind
    ) -> Generator[WriteFile]:
        """A file without what the writer remembers of it, which is wrong or must not be remembered afterwards."""
        if name in known:
            known.pop(name).file.close()
        file = WriteFile(path, self._schemas[kind], durability="NORMAL")
        try:
            file.connection.row_factory = sqlite3.Row
            yield file
        finally:
            file.close()

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
        placed = [self._place(recording) for recording in batch]
        scopes = self._scopes(placed)
        try:
            for place in placed:
                recording = place.recording
                day = days.get(place.day) or days.setdefault(place.day, self._day(place.day))
                request, response = self._keep(place, scopes, contents)
                kept_whole += request.fell_back + response.fell_back
                written.append(day.add(number, recording, request.row, response.row, place.end_user))
                additions.append(
                    sessions.Addition(
                        number,
                        recording.exchange,
                        len(recording.steps),
                        request.row.messages,
                        recording.state,
                        recording.reply_fingerprint,
                        place.end_user,
                        recording.judged,
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

    def _place(self, recording: Recording) -> "_Placed":
        exchange, user = recording.exchange, recording.end_user
        day = day_of(exchange.started_ns)
        end_user = None if user is None else self._names.of("user", exchange.app, user)
        return _Placed(recording, day, end_user, whose(recording, end_user, month_of(day)))

    def _scopes(self, placed: Sequence["_Placed"]) -> Mapping[Whose, Scope]:
        """The keys for what is about to be sealed: durable before it is. None where nothing will be."""
        if self._content == "digest":
            return {}
        return self._keys.of({place.whose for place in placed})

    def _keep(
        self, place: "_Placed", scopes: Mapping[Whose, Scope], contents: dict[str, ContentWriter]
    ) -> tuple[bodies.Kept, bodies.Kept]:
        recording, day = place.recording, place.day
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
        join, scope = recording.exchange.join, scopes[place.whose]
        branch = None if join is None else join.branch_id
        return bodies.keep(recording.request, writer, scope, branch), bodies.keep(recording.response, writer, scope)

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
        begun = {one.exchange.join.session_id for one in additions if one.exchange.join is not None}
        self._mark_ended(self._meta.connection, begun)
        for writer in months:
            writer.commit()
        for day in days:
            # From the first day file on, a failure leaves rows that must go again (`_settle`).
            self._doubtful = additions[0].number
            day.commit()
        self._meta.commit()
        self._doubtful = None
        for session_id in begun & self._ending.keys():
            del self._ending[session_id]

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
            path = self._days.month(month)
            writer = ContentWriter(path, self._vault, self._schemas["content"], remembered=self._remembered)
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
        self._keys.relieve()

    def _drop_day(self, day: str) -> None:
        self._days.withdraw(day)
        if day in self._day_files:
            self._day_files.pop(day).file.close()
        path = self._days.spans(day)
        self._readers.forget(path)
        delete(path)

    def _drop_month(self, month: str) -> None:
        path = self._days.month(month)
        if month in self._months:
            self._months.pop(month).file.close()
        self._readers.forget(path)
        delete(path)
        self._keys.drop_month(month)

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
            last[day] = spans.newest(file.connection)
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


def _file_named(name: str) -> tuple[str, str]:
    """Kind of a file, and its day or month."""
    kind, _, when = name.removesuffix(".db").partition("-")
    return kind, when


@contextmanager
def _transaction(file: WriteFile) -> Generator[None]:
    file.begin()
    try:
        yield
        file.commit()
    finally:
        file.rollback()


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
        row["end_user"],
        spans.judged_of(row),
    )
