"""How much of what was relayed stands in the store, counted from outside through SQLite, reading only."""

import contextlib
import sqlite3
from pathlib import Path

import msgspec


class Recorded(msgspec.Struct, frozen=True):
    """Rows of table `exchange` over all day files."""

    exchanges: int
    complete: int
    """Of these, the ones with outcome `complete`."""


def recorded(data_dir: Path) -> Recorded:
    """Count what is stored now."""
    exchanges = complete = 0
    for file in sorted(data_dir.glob("spans-*.db")):
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            exchanges += db.execute("SELECT count(*) FROM exchange").fetchone()[0]
            columns = {row[1] for row in db.execute("PRAGMA table_info(exchange)")}
            if "outcome" in columns:
                rows = db.execute("SELECT count(*) FROM exchange WHERE outcome = 'complete'").fetchone()
                complete += rows[0]
            else:
                complete = exchanges
    return Recorded(exchanges, complete)


def stored_bytes(data_dir: Path) -> int:
    """Bytes of all files of the store."""
    return sum(file.stat().st_size for file in data_dir.rglob("*") if file.is_file())
