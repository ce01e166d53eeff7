"""Inserts: new rows for the cost of the values they have.

For every value that is neither number nor text, Python's `sqlite3` asks its registry of adapters first: 0.3 us for
None, 0.4 us for `bytes`, a third of the price of a row. A column that is left out is NULL all the same, and a
`bytearray` is bound without asking.

Of a narrow row, a third is what a statement costs to start and to end, and each time the interpreter changes hands.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, compress, groupby, repeat
from operator import is_not
from typing import Any, TypeAlias

Row: TypeAlias = tuple[Any, ...]

_TOGETHER = 32
"""Rows of one statement: twice as many save nothing more."""


def insert(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Row], otherwise: str = ""
) -> None:
    """Add rows in their order; `columns` are names of ours, `otherwise` is said of rows that stand there already.

    Raises `sqlite3.Error`.
    """
    for given, alike in by_given(rows):
        connection.executemany(_statement(table, tuple(compress(columns, given)), otherwise), alike)


def by_given(rows: Iterable[Row]) -> Iterator[tuple[tuple[bool, ...], list[list[Any]]]]:
    """Rows in their order, those together that have the same values at all: which, and these values to be bound."""
    for given, alike in groupby(rows, _given):
        yield given, [_bound(compress(row, given)) for row in alike]


def insert_whole(
    connection: sqlite3.Connection, table: str, columns: str, rows: Sequence[Row], otherwise: str = ""
) -> None:
    """Add rows that are NULL nowhere, many with each statement; `otherwise` is said of rows that stand there already.

    Raises `sqlite3.Error`.
    """
    if not rows:
        return
    width, together = len(rows[0]), len(rows) - len(rows) % _TOGETHER
    statement = _whole(table, columns, width, _TOGETHER, otherwise)
    for at in range(0, together, _TOGETHER):
        connection.execute(statement, list(chain.from_iterable(rows[at : at + _TOGETHER])))
    connection.executemany(_whole(table, columns, width, 1, otherwise), rows[together:])


def _given(row: Row) -> tuple[bool, ...]:
    """Which values are not None."""
    return tuple(map(is_not, row, repeat(None)))


def _bound(values: Iterable[Any]) -> list[Any]:
    return [bytearray(value) if value.__class__ is bytes else value for value in values]


@lru_cache(maxsize=256)
def _statement(table: str, columns: tuple[str, ...], otherwise: str) -> str:
    values = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}) {otherwise}"  # noqa: S608 - literals


@lru_cache(maxsize=64)
def _whole(table: str, columns: str, width: int, rows: int, otherwise: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {table} ({columns}) VALUES {', '.join([row] * rows)} {otherwise}"  # noqa: S608 - literals
