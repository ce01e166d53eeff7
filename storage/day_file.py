"""Day file: the rows of one UTC day, gathered and written a batch at a time."""

import sqlite3
from pathlib import Path
from typing import Any, final

from policies.vocabulary.exchanges import Recording
from storage import spans
from storage.files import WriteFile, max_id
from storage.inserts import insert
from storage.known import Known
from storage.schema import Schema
from storage.spans import BodyRow

_REMEMBERED = 2048
"""Common facts and branches remembered: forgetting one costs a row that stands there already."""


@final
class DayFile:
    """Adds to one day. One thread; any number of `add`, `flush`, `commit`."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.file = WriteFile(path, schema, durability="NORMAL", page_size=2048)
        self.last = 0
        """Highest `exchange.id` added since the last commit."""

        self._common = _Repeated(self.file.connection, "common")
        self._branches = _Repeated(self.file.connection, "branch")
        self._rows: list[spans.Values] = []

    @property
    def connection(self) -> sqlite3.Connection:
        """The one that writes."""
        return self.file.connection

    def add(
        self, number: int, recording: Recording, request: BodyRow, response: BodyRow, end_user: bytes | None
    ) -> None:
        """Gather one exchange."""
        join = recording.exchange.join
        common = self._common.number(spans.common_key(recording, request, response))
        branch = None if join is None else self._branches.number(spans.branch_key(join))
        self._rows.append(spans.exchange_row(number, recording, request, response, common, branch, end_user))
        self.last = number

    def flush(self) -> None:
        """Write what was gathered, in a transaction that stays open."""
        self.file.begin()
        common = [spans.common_row(number, key) for key, number in self._common.fresh.items()]
        branches = [(number, *key) for key, number in self._branches.fresh.items()]
        insert(self.connection, "common", spans.COMMON_COLUMNS, common)
        insert(self.connection, "branch", spans.BRANCH_COLUMNS, branches)
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
    """Numbers of rows that many exchanges refer to."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self.fresh: dict[Any, int] = {}
        """Rows of the open batch."""

        self._known: Known[Any, int] = Known(_REMEMBERED)
        self._next = max_id(connection, table) + 1

    def number(self, key: Any) -> int:
        """The row with these values; a new one where none is remembered."""
        number = self._known.get(key) or self.fresh.get(key)
        if number is None:
            number = self.fresh[key] = self._next
            self._next += 1
        return number

    def keep(self) -> None:
        """The batch is in the file."""
        self._known.learn(self.fresh)
        self.fresh = {}

    def forget(self) -> None:
        """The batch is not."""
        self._next -= len(self.fresh)
        self.fresh = {}
