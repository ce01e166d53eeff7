"""A ledger whose disk fails when it is told to."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from storage.ledger import Ledger


class FailingConnection:
    """A connection of which chosen statements fail; everything else passes through."""

    def __init__(self, connection: sqlite3.Connection, fails: Callable[[str], bool]) -> None:
        self._connection = connection
        self._fails = fails

    def execute(self, query: str, *values: Any) -> Any:
        self._ask(query)
        return self._connection.execute(query, *values)

    def executemany(self, query: str, *values: Any) -> Any:
        self._ask(query)
        return self._connection.executemany(query, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _ask(self, query: str) -> None:
        if self._fails(query):
            raise sqlite3.OperationalError("database or disk is full")


@contextmanager
def failing(ledger: Ledger, fails: Callable[[str], bool]) -> Iterator[None]:
    """Let statements fail while the block runs."""
    with ledger.lock:
        real = ledger._file.connection
        ledger._file.connection = FailingConnection(real, fails)  # type: ignore[assignment]
    try:
        yield
    finally:
        with ledger.lock:
            ledger._file.connection = real


def nth(number: int) -> Callable[[str], bool]:
    """The n-th statement from now fails, and no other."""
    left = [number]

    def fails(query: str) -> bool:
        del query
        left[0] -= 1
        return left[0] == -1

    return fails


def whatever_writes(query: str) -> bool:
    """A full disk: nothing can be committed, everything can be read."""
    return query.startswith(("BEGIN", "INSERT", "COMMIT"))
