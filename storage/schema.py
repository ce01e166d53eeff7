"""Schema: SQL files by kind of database file, applied in order, each with the row that says it ran."""

import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias, final

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from storage.errors import SchemaTooNew

Kind: TypeAlias = Literal["ledger", "keys", "meta", "spans", "content", "reported"]

KINDS: tuple[Kind, ...] = ("ledger", "keys", "meta", "spans", "content", "reported")


_COMMENT = re.compile(r"--[^\n]*")
_SPACE = re.compile(r"\s+")
"""No text within quotes in a script of ours holds two dashes or two spaces."""


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the migration's transaction.

    Without comments and columns of spaces: SQLite would keep them in every file, where they take more room than the
    rows of a quiet day.
    """
    statement = ""
    for piece in _SPACE.sub(" ", _COMMENT.sub("", script)).split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            if piece.strip():
                yield statement
            statement = ""


@final
class Schema:
    """The migrations of one kind of file, from scripts named `{kind}_NNNN`."""

    def __init__(self, kind: Kind, scripts: dict[str, str]) -> None:
        self.names = tuple(sorted(scripts))
        self._migrations = Migrations(f"stepwarden.{kind}")
        for name in self.names:
            self._register(name, scripts[name])

    @classmethod
    def shipped(cls, kind: Kind) -> "Schema":
        """The schema this release ships in `storage/migrations`."""
        folder = files("storage").joinpath("migrations")
        scripts = (entry for entry in folder.iterdir() if entry.name.startswith(f"{kind}_"))
        return cls(kind, {entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8") for entry in scripts})

    def apply(self, db: Database, path: Path) -> None:
        """Bring a file up to date. Raises `SchemaTooNew`; a migration that fails leaves nothing behind."""
        for applied in self._migrations.applied(db):
            if applied.name not in self.names:
                raise SchemaTooNew(path, applied.name)
        if self._migrations.pending(db):
            self._migrations.apply(db)

    def _register(self, name: str, script: str) -> None:
        @self._migrations(name=name)
        def run(db: Database, /) -> None:  # pyright: ignore[reportUnusedFunction]  # the decorator keeps it
            for statement in statements(script):
                db.conn.execute(statement)
