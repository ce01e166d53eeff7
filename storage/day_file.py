"""Day file: the rows of one UTC day, gathered and written a batch at a time."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from policies.vocabulary.exchanges import Recording
from storage import spans
from storage.files import WriteFile, max_id
from storage.inserts import insert
from storage.known import Known
from storage.schema import Schema
from storage.spans import BodyRow, Written
from storage.step_rows import step_values

_REMEMBERED = 2048
"""Common facts and branches remembered: forgetting one costs a row that stands there already."""


@final
class DayFile:
    """Adds to one day. One thread; any number of `add`, `flush`, `commit`."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.file = WriteFile(path, schema, durability="NORMAL", page_size=2048)
        self.last = 0
        """Highest `exchange.id` added since the last commit."""

        self._common = _Repeated(self.file.connection, "common", spans.common_row)
        self._branches = _Repeated(self.file.connection, "branch", spans.branch_row)
        self._rows: list[spans.Values] = []

    @property
    def connection(self) -> sqlite3.Connection:
        """The one that writes."""
        return self.file.connection

    def add(
        self, number: int, recording: Recording, request: BodyRow, response: BodyRow, end_user: bytes | None
    ) -> Written:
        """Gather one exchange; what will stand in the file of it."""
        join = recording.exchange.join
        common = self._common.row(spans.common_key(recording, request, response))
        branch = None if join is None else self._branches.row(spans.branch_key(join))
        numbers = common[0], None if branch is None else branch[0]
        steps = step_values(recording.steps, recording.exchange.started_ns)
        row = spans.exchange_row(number, recording, request, response, *numbers, end_user, steps)
        self._rows.append(row)
        self.last = number
        return Written(number, recording, row, common, branch, steps)

    def flush(self) -> None:
        """Write what was gathered, in a transaction that stays open."""
        self.file.begin()
        insert(self.connection, "common", spans.COMMON_COLUMNS, self._common.fresh.values())
        insert(self.connection, "branch", spans.BRANCH_COLUMNS, self._branches.fresh.values())
        insert(self.connection, "exchange", spans.EXCHANGE_COLUMNS, self._rows)

    def commit(self) -> None:
        """Make it last, and only then remember it."""
        self.file.commit()
        self._common.keep()
        self._branches.keep()
        self._rows = []

    def rollback(self) -> None:
        """Forget what was gathered."""
        self.file.rollback()
        self._common.forget()
        self._branches.forget()
        self._rows = []

    def take_back(self, first: int) -> None:
        """Delete exchanges from this one on. Raises `sqlite3.Error`."""
        if max_id(self.connection, "exchange") < first:
            return
        self.file.begin()
        try:
            self.connection.execute("DELETE FROM exchange WHERE id >= ?", (first,))
            self.file.commit()
        finally:
            self.file.rollback()


@final
class _Repeated:
    """Rows that many exchanges refer to by number."""

    def __init__(self, connection: sqlite3.Connection, table: str, make: Callable[[int, Any], spans.Values]) -> None:
        self.fresh: dict[Any, spans.Values] = {}
        """Rows of the open batch."""

        self._make = make
        self._known: Known[Any, spans.Values] = Known(_REMEMBERED)
        self._next = max_id(connection, table) + 1

    def row(self, key: Any) -> spans.Values:
        """The row with these values, its number first; a new one where none is remembered."""
        row = self._known.get(key) or self.fresh.get(key)
        if row is None:
            row = self.fresh[key] = self._make(self._next, key)
            self._next += 1
        return row

    def keep(self) -> None:
        """The batch is in the file."""
        self._known.learn(self.fresh)
        self.fresh = {}

    def forget(self) -> None:
        """The batch is not."""
        self._next -= len(self.fresh)
        self.fresh = {}
