"""How much of what was relayed stands in the store, counted from outside through SQLite, reading only.

Rows are not counted against answers: a row too many would hide one that is missing. The load generator notes the
`stepwarden-exchange` header of every whole answer, and each of those exchanges is looked for.
"""

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from storage.ulids import unpack


class Recorded(msgspec.Struct, frozen=True):
    """Rows of table `exchange` over all day files."""

    exchanges: int
    complete: int
    """Exchanges of whole answers that stand here with outcome `complete`."""


def recorded(data_dir: Path, relayed: Path) -> Recorded:
    """Look for the exchanges named in a file, one a line, among those stored now."""
    wanted = set(relayed.read_text().split()) if relayed.exists() else set[str]()
    exchanges = 0
    complete: set[str] = set()
    for file in sorted(data_dir.glob("spans-*.db")):
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            exchanges += db.execute("SELECT count(*) FROM exchange").fetchone()[0]
            rows = db.execute("SELECT exchange_id FROM exchange WHERE outcome = 'complete'")
            complete.update(unpack(stored) for (stored,) in rows)
    return Recorded(exchanges, len(wanted & complete))


def stored_bytes(data_dir: Path) -> int:
    """Bytes of all files of the store."""
    return sum(file.stat().st_size for file in data_dir.rglob("*") if file.is_file())
