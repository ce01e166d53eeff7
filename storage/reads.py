"""Reads: everything that asks the store, safe from any thread."""

import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Literal, TypeAlias

from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged
from policies.vocabulary.reports import Ties
from policies.vocabulary.steps import SeenCall, Step
from storage import bodies, sessions, spans
from storage.contents import ContentReader, Vault
from storage.days import Days
from storage.errors import AmbiguousPrefix, ContentDamaged, StorageFailed
from storage.files import ReadFiles
from storage.partitions import month_of
from storage.rows import BranchRow, FacetRow, RecordedRow, SessionRow, StateRow, StoredBody
from storage.sessions import EVERY_SESSION, Apps, SessionFilter
from storage.step_rows import newest_call
from storage.step_seals import Rows, rows_between
from storage.ulids import pack, span_of
from storage.usage import UsageRow, usage

Side: TypeAlias = Literal["request", "response"]

_STEPS = """
SELECT exchange.id, exchange.exchange_id, exchange.started_ns, exchange.steps, branch.session_id, branch.branch_id
FROM exchange LEFT JOIN branch ON branch.id = exchange.branch
"""
_number = itemgetter(0)
"""Of an exchange's row: its place in the order of recording."""

_OF_APP = "common.app = ifnull(?, common.app)"
_OF_SESSION = "exchange.branch IN (SELECT id FROM branch WHERE session_id = ?)"
_PAGE = 200
_KEPT = "exchange.id <= ?"
"""Rows of batches that are whole: what a failed one left stands until the disk lets it be taken back."""


class Reads:
    """The reading half of the store. Every method raises `StorageFailed` where a file cannot be read."""

    def __init__(self, days: Days, vault: Vault, readers: ReadFiles) -> None:
        self._days = days
        self._vault = vault
        self._readers = readers

    @property
    def directory(self) -> Path:
        """The data directory."""
        return self._days.directory

    @property
    def last(self) -> Mapping[str, int]:
        """How far each day goes: its newest exchange whose batch is whole."""
        return self._days.last

    def find_states(self, states: Sequence[bytes]) -> list[StateRow]:
        """Exchanges that ended in one of these joining states, newest first; at most 32 of each."""
        with self._meta() as connection:
            return sessions.find_states(connection, states)

    def find_response(self, response_id: str) -> StateRow | None:
        """The exchange a provider answered under this id."""
        with self._meta() as connection:
            return sessions.find_response(connection, response_id)

    def find_named(self, session_id: str) -> SessionRow | None:
        """The session with exactly this id."""
        with self._meta() as connection:
            return sessions.session(connection, session_id)

    def find_call(self, session_id: str, call_id: str) -> SeenCall | None:
        """The newest tool call with this id in a session."""
        # Packed steps hold the id in the clear, so SQLite passes over the others without unpacking them.
        query = f"""
        SELECT steps, started_ns FROM exchange WHERE {_OF_SESSION} AND instr(steps, ?) > 0 ORDER BY id DESC
        """  # noqa: S608 - composed of literals
        for day in reversed(self._session_days(session_id)):
            with self._spans(day) as connection:
                rows = connection.execute(query, (session_id, call_id.encode("utf-8", "replace")))
                if (found := newest_call(rows, call_id)) is not None:
                    return found
        return None

    def sessions(
        self, wanted: SessionFilter = EVERY_SESSION, *, limit: int = 50, before: str | None = None
    ) -> list[SessionRow]:
        """Sessions by newest activity; `before` is the last id of the page before."""
        with self._meta() as connection:
            return sessions.sessions(connection, wanted, limit=limit, before=before)

    def opened(self, apps: Apps, after: int, limit: int) -> list[tuple[int, SessionRow]]:
        """Sessions of some apps beyond a number, in the order in which they were first recorded, each with its own."""
        with self._meta() as connection:
            return sessions.opened(connection, apps, after, limit)

    def last_opened(self, apps: Apps, before_ns: int) -> int:
        """Number of the newest session of some apps that began before a moment; 0 where there is none."""
        with self._meta() as connection:
            return sessions.last_opened(connection, apps, before_ns)

    def newest_session(self) -> int:
        """Number of the session that was first recorded last; 0 where there is none."""
        with self._meta() as connection:
            return sessions.newest(connection)

    def facets(self, app: str | None = None) -> FacetRow:
        """What the newest sessions can be told apart by; with `app`, only its own."""
        with self._meta() as connection:
            return sessions.facets(connection, app)

    def session(self, session_id: str, *, app: str | None = None) -> SessionRow | None:
        """A session by its id or an unambiguous beginning of it, among those of `app`. Raises `AmbiguousPrefix`."""
        if not session_id:
            return None
        with self._meta() as connection:
            exact = sessions.session(connection, session_id)
            if exact and app in {None, exact.app}:
                return exact
            found = sessions.starting(connection, session_id, app=app)
        if len(found) > 1:
            raise AmbiguousPrefix(session_id)
        return found[0] if found else None

    def branches(self, session_id: str) -> list[BranchRow]:
        """The branches of a session, oldest first."""
        with self._meta() as connection:
            return sessions.branches(connection, session_id)

    def exchanges(self, session_id: str) -> list[Exchange]:
        """The exchanges of a session as they were recorded: clocks are set back, row numbers are not."""
        found: list[tuple[int, Exchange]] = []
        for day in self._session_days(session_id):
            with self._spans(day) as connection:
                rows = connection.execute(
                    f"{spans.EXCHANGES} WHERE {_OF_SESSION} AND {_KEPT}", (session_id, self._last(day))
                )
                found += [(row["id"], spans.exchange_of(row)) for row in rows]
        return [exchange for _, exchange in sorted(found, key=_number)]

    def ties(self, session_id: str) -> Ties | None:
        """What leads from a session to spans that its application reported; None for a session there is not."""
        session = self.find_named(session_id)
        if session is None:
            return None
        traces: dict[bytes, None] = {}
        for day in self._session_days(session_id):
            with self._spans(day) as connection:
                rows = connection.execute("SELECT DISTINCT trace_id FROM branch WHERE session_id = ?", (session_id,))
                traces.update((row["trace_id"], None) for row in rows)
        names = (session_id,) if session.name is None else (session_id, session.name)
        return Ties(app=session.app, traces=tuple(traces), conversations=names)

    def turns(self, session_id: str, *, after: int = 0, limit: int = _PAGE) -> list[RecordedRow]:
        """Exchanges of a session with all that is recorded of them, in order, from the one after a number on."""
        query = f"{spans.EXCHANGES} WHERE {_OF_SESSION} AND exchange.id > ? AND {_KEPT} ORDER BY exchange.id LIMIT ?"
        found: list[RecordedRow] = []
        for day in self._session_days(session_id):
            found += self._page(day, query, (session_id, after, self._last(day), limit))
        return sorted(found, key=lambda row: row.number)[:limit]

    def usage(self, since_ns: int, until_ns: int, slot_ns: int, *, app: str | None = None) -> list[UsageRow]:
        """What began in `[since_ns, until_ns)`, summed by slot of time, app and model."""
        found: list[UsageRow] = []
        for day in self._days.between(since_ns, until_ns):
            with self._spans(day) as connection:
                found += usage(connection, (since_ns, until_ns, slot_ns, app, self._last(day)))
        return found

    def exchange(self, exchange_id: str, *, app: str | None = None) -> Exchange | None:
        """An exchange by its id or an unambiguous beginning of it, among those of `app`. Raises `AmbiguousPrefix`."""
        found = self._locate(exchange_id, app=app)
        return None if found is None else spans.exchange_of(found[1])

    def steps(self, session_id: str) -> list[Step]:
        """The steps of a session, exchange by exchange as these were recorded."""
        found: list[tuple[int, list[Step]]] = []
        for day in self._session_days(session_id):
            with self._spans(day) as connection:
                rows = connection.execute(f"{_STEPS} WHERE {_OF_SESSION} AND {_KEPT}", (session_id, self._last(day)))
                found += [(row["id"], spans.steps_of(row)) for row in rows]
        return [step for _, steps in sorted(found, key=_number) for step in steps]

    def exchange_steps(self, exchange_id: str) -> list[Step]:
        """The steps of one exchange in order."""
        found = self._locate(exchange_id)
        if found is None:
            return []
        return spans.steps_of(found[1])

    def number(self, exchange_id: str) -> int | None:
        """The place of one exchange in the order of recording."""
        found = self._locate(exchange_id)
        return None if found is None else int(found[1]["id"])

    def sealed_rows(self, rows: tuple[int, int]) -> Rows:
        """The stored rows of exchanges numbered so, first and last, for the records that a seal is made of."""
        with ExitStack() as opened:
            days = [opened.enter_context(self._spans(day)) for day in self._days.after(rows[0] - 1)]
            return rows_between(days, *rows)

    def judged(self, exchange_id: str) -> Judged | None:
        """What clauses said of one exchange; None where none were in force."""
        found = self._locate(exchange_id)
        return None if found is None else spans.judged_of(found[1])

    def recent(self, *, limit: int = 50, app: str | None = None) -> list[Exchange]:
        """Exchanges last recorded first, with or without a session; only those of `app` where one is named."""
        found: list[tuple[int, Exchange]] = []
        query = f"{spans.EXCHANGES} WHERE {_OF_APP} AND {_KEPT} ORDER BY exchange.id DESC LIMIT ?"
        for day in self._days.last_written_first():
            if len(found) >= limit:
                break
            with self._spans(day) as connection:
                rows = connection.execute(query, (app, self._last(day), limit))
                found += [(row["id"], spans.exchange_of(row)) for row in rows]
        return [exchange for _, exchange in sorted(found, key=_number, reverse=True)[:limit]]

    def body(self, exchange_id: str, side: Side) -> StoredBody | None:
        """One body exactly as it crossed the wire, its digest checked. Raises `ContentDamaged`."""
        found = self._locate(exchange_id)
        if found is None:
            return None
        day, row = found
        stored = spans.body_of(row, side)
        raw: bytes | None = None
        if stored.form != "absent":
            with self._contents(day) as reader:
                raw = bodies.rebuild(stored, reader)
        return StoredBody(
            raw=raw,
            sha256=stored.sha256,
            length=stored.length,
            media_type=stored.media_type,
            content_encoding=stored.encoding,
        )

    def cut(self, exchange_id: str, index: int) -> bytes | None:
        """One cut of a request without rebuilding the rest; None where there is none. Raises `ContentDamaged`."""
        found = self._locate(exchange_id)
        if found is None:
            return None
        day, row = found
        stored = spans.body_of(row, "request")
        if stored.form != "framed":
            return None
        with self._contents(day) as reader:
            return bodies.one_cut(stored, reader, index)

    def after(self, cursor: str | None, limit: int) -> tuple[list[tuple[Exchange, tuple[Step, ...]]], str]:
        """Exchanges with their steps in order of insertion, and the cursor to go on from."""
        number = int(cursor) if cursor else 0
        found: list[tuple[int, Exchange, tuple[Step, ...]]] = []
        for day in self._days.after(number):
            last = self._last(day)
            with self._spans(day) as connection:
                query = f"{spans.EXCHANGES} WHERE exchange.id > ? AND exchange.id <= ? ORDER BY exchange.id LIMIT ?"
                found += [
                    (row["id"], spans.exchange_of(row), tuple(spans.steps_of(row)))
                    for row in connection.execute(query, (number, last, limit))
                ]
        page = sorted(found, key=_number)[:limit]
        return [(exchange, steps) for _, exchange, steps in page], str(page[-1][0] if page else number)

    def recorded(self, after: int, until: int, limit: int) -> list[RecordedRow]:
        """Exchanges numbered beyond `after` and up to `until` in the order of recording, at most `limit`."""
        query = f"{spans.EXCHANGES} WHERE exchange.id > ? AND exchange.id <= ? ORDER BY exchange.id LIMIT ?"
        found: list[RecordedRow] = []
        for day in self._days.after(after):
            found += self._page(day, query, (after, min(until, self._last(day)), limit))
        return sorted(found, key=attrgetter("number"))[:limit]

    def backwards(self, session_id: str, after: int) -> Iterator[RecordedRow]:
        """A session's exchanges numbered beyond `after`, the newest first; a page in memory at a time."""
        query = f"""
        {spans.EXCHANGES} WHERE {_OF_SESSION} AND exchange.id > ? AND exchange.id < ? AND {_KEPT}
        ORDER BY exchange.id DESC LIMIT {_PAGE}
        """
        for day in reversed(self._session_days(session_id)):
            number = self._last(day) + 1
            while rows := self._page(day, query, (session_id, after, number, self._last(day))):
                number = rows[-1].number
                yield from rows

    def period(self, since_ns: int, until_ns: int, *, app: str | None = None) -> Iterator[RecordedRow]:
        """What began in `[since_ns, until_ns)`, day by day and each day as it was recorded; a page in memory at a time.

        What is recorded meanwhile may be missing, and so are days that retention drops. Raises `StorageFailed`.
        """
        query = (
            f"{spans.EXCHANGES} WHERE exchange.id > ? AND {_KEPT} AND started_ns >= ? AND started_ns < ? "
            f"AND {_OF_APP} ORDER BY exchange.id LIMIT {_PAGE}"
        )
        for day in self._days.between(since_ns, until_ns):
            number = 0
            while rows := self._page(day, query, (number, self._last(day), since_ns, until_ns, app)):
                number = rows[-1].number
                yield from rows

    def _page(self, day: str, query: str, values: tuple[int | str | None, ...]) -> list[RecordedRow]:
        try:
            with self._spans(day) as connection:
                return [
                    RecordedRow(
                        number=row["id"],
                        exchange=spans.exchange_of(row),
                        steps=tuple(spans.steps_of(row)),
                        judged=spans.judged_of(row),
                    )
                    for row in connection.execute(query, values)
                ]
        except StorageFailed:
            if day in self._days.last:
                raise
            return []  # it was dropped while somebody read on

    def cursor(self, name: str) -> str | None:
        """How far a reader of the record had come."""
        with self._meta() as connection:
            row = connection.execute("SELECT value FROM export_cursor WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def _locate(self, exchange_id: str, *, app: str | None = None) -> tuple[str, sqlite3.Row] | None:
        """The day and row of the one exchange whose id is, or starts with, this. Raises `AmbiguousPrefix`."""
        if not exchange_id:
            return None
        # Text sorts before the 16 bytes of ULIDs, so each kind is asked for by itself.
        begins = "exchange_id >= ?1 AND exchange_id < x'' AND substr(exchange_id, 1, length(?1)) = ?1"
        text = f"{spans.EXCHANGES} WHERE {begins} AND {_OF_APP} AND {_KEPT} ORDER BY exchange_id LIMIT 2"
        within = "exchange_id BETWEEN ? AND ?"
        ulid = f"{spans.EXCHANGES} WHERE {within} AND {_OF_APP} AND {_KEPT} ORDER BY exchange_id LIMIT 2"
        span = span_of(exchange_id)
        key = pack(exchange_id)
        found: list[tuple[str, sqlite3.Row]] = []
        for day in self._days.newest_first():
            last = self._last(day)
            with self._spans(day) as connection:
                found += [(day, row) for row in connection.execute(text, (exchange_id, app, last))]
                if span is not None:
                    found += [(day, row) for row in connection.execute(ulid, (*span, app, last))]
            exact = [one for one in found if one[1]["exchange_id"] == key]
            if exact:
                return exact[0]
        if len(found) > 1:
            raise AmbiguousPrefix(exchange_id)
        return found[0] if found else None

    def _last(self, day: str) -> int:
        """The newest row of a day whose batch is whole."""
        return self._days.last.get(day, 0)

    def _session_days(self, session_id: str) -> list[str]:
        with self._meta() as connection:
            row = connection.execute(
                "SELECT started_ns, last_ns FROM session WHERE session_id = ?", (session_id,)
            ).fetchone()
        return [] if row is None else self._days.between(row["started_ns"], row["last_ns"])

    def _meta(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._lend(self._days.directory / "meta.db")

    def _spans(self, day: str) -> AbstractContextManager[sqlite3.Connection]:
        return self._lend(self._days.spans(day))

    @contextmanager
    def _contents(self, day: str) -> Generator[ContentReader]:
        path = self._days.contents(day)
        if not path.exists():
            raise ContentDamaged(f"{path.name} is missing")
        with self._lend(path) as connection:
            yield ContentReader(connection, month_of(day), self._vault)

    @contextmanager
    def _lend(self, path: Path) -> Generator[sqlite3.Connection]:
        try:
            with self._readers.use(path) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StorageFailed(f"reading {path.name}", error) from error
