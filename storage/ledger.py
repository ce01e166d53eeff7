"""Ledger: the file that must never forget, `ledger.db`, with its one connection."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from storage.errors import StorageFailed
from storage.files import WriteFile
from storage.schema import Schema


@final
class Ledger:
    """Durable on return. Whoever reads and then writes holds `lock` for as long."""

    def __init__(self, directory: Path) -> None:
        """Open `ledger.db` in a directory whose lock the caller holds. Raises `SchemaTooNew` or `StorageFailed`."""
        self.lock = threading.RLock()
        try:
            self._file = WriteFile(directory / "ledger.db", Schema.shipped("ledger"), durability="FULL", page_size=1024)
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed("opening ledger.db", error) from error

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises `StorageFailed`."""
        with self.lock:
            try:
                return self._file.connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StorageFailed("reading ledger.db", error) from error

    def write(self, work: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Carry out statements in one transaction. Raises `StorageFailed`, and then none of them was."""
        with self.lock:
            try:
                self._file.begin()
                for query, values in work:
                    self._file.connection.execute(query, values)
                self._file.commit()
            except (sqlite3.Error, OverflowError, UnicodeError) as error:
                self._file.rollback()
                raise StorageFailed("writing ledger.db", error) from error
            self._file.relieve()

    def close(self) -> None:
        """Checkpoint and close. Idempotent."""
        with self.lock:
            self._file.close()
