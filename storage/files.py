"""Database files: one writing connection each, and read-only connections beside it.

Below SQLite 3.51.3 two connections that write or checkpoint in WAL mode can lose committed writes. Here exactly
one connection per file does either, and it checkpoints when told to, not in the middle of a caller's commit.
"""

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias, final

from sqlite_utils import Database

from storage.errors import FileDamaged
from storage.schema import Schema

Durability: TypeAlias = Literal["NORMAL", "FULL"]
"""`NORMAL` survives the death of the process; `FULL` also that of the machine."""

PATIENCE_SECONDS = 5.0
"""How long a writer waits for readers that are in its way."""

_WAL_SOFT = 16 * 1024 * 1024
_WAL_HARD = 64 * 1024 * 1024

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PAGES = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"

_READ_CACHE_KIB = 512
"""Pages kept by one reading connection, of which there can be many; the system caches the file once for all."""


@final
class WriteFile:
    """The one connection that writes and checkpoints a database file. Made and used under one owner."""

    def __init__(
        self, path: Path, schema: Schema, *, durability: Durability, page_size: int = 4096, cache_kib: int = 1024
    ) -> None:
        """Open or create with mode 0600 and migrate; `page_size` is bytes and counts only on creation.

        `cache_kib` bounds the pages kept in memory: little where rows only come at the end, more under a random index.
        Raises `SchemaTooNew`, `FileDamaged` or `sqlite3.Error`.
        """
        self.path = path
        self._log = f"{path}-wal"
        _create_private(path)
        self.connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=PATIENCE_SECONDS
        )
        try:
            self._prepare(schema, durability, page_size, cache_kib)
        except BaseException as error:
            self.connection.close()
            if isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", None) in _DAMAGE:
                raise FileDamaged(path) from error
            raise

    def begin(self) -> None:
        """Start the one transaction of a batch."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End it; the batch is in the log."""
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        """Forget it, where one is open. Never raises: it runs while another error is on its way."""
        with suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def relieve(self) -> None:
        """Checkpoint once the log has grown; waits for readers only where it grew far beyond its bounds."""
        size = _size(self._log)
        if size > _WAL_SOFT:
            # A failed checkpoint loses nothing: the log stays as it is and the next batch tries again.
            with suppress(sqlite3.Error):
                self.connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if size > _WAL_HARD else 'PASSIVE'})")

    def scrub(self) -> None:
        """Leave no byte of what was deleted, in the file or its log. Raises `sqlite3.Error`, also while a reader looks.

        Deleted rows are overwritten as they go, but pages that were split or merged can hold older copies of them.
        """
        self.connection.execute("VACUUM")
        self.empty_log()

    def empty_log(self) -> None:
        """Bring all of the log into the file, and cut it off. Raises `sqlite3.Error`, also while a reader looks."""
        if self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise sqlite3.OperationalError(f"a reader still looks at {self.path.name} as it was")

    def close(self) -> None:
        """Checkpoint and close. Idempotent; never raises."""
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()

    def _prepare(self, schema: Schema, durability: Durability, page_size: int, cache_kib: int) -> None:
        run = self.connection.execute
        run(f"PRAGMA page_size = {page_size}")
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {durability}")
        run("PRAGMA wal_autocheckpoint = 0")
        run("PRAGMA secure_delete = ON")
        run("PRAGMA trusted_schema = OFF")
        run(f"PRAGMA cache_size = -{cache_kib}")
        schema.apply(Database(self.connection), self.path)


@final
class ReadFiles:
    """Read-only connections by file, handed out to one caller at a time. Safe from any thread."""

    def __init__(self, *, idle_files: int = 16, idle_per_file: int = 4) -> None:
        self._idle: dict[Path, list[sqlite3.Connection]] = {}
        self._lock = threading.Lock()
        self._idle_files = idle_files
        self._idle_per_file = idle_per_file
        self._closed = False

    @contextmanager
    def use(self, path: Path) -> Generator[sqlite3.Connection]:
        """A connection to `path` for the length of a `with` block. Raises `sqlite3.Error` where it cannot be opened."""
        connection = self._take(path) or _open_read_only(path)
        try:
            yield connection
        except sqlite3.Error:
            connection.close()
            raise
        except BaseException:
            self._give(path, connection)
            raise
        self._give(path, connection)

    def forget(self, path: Path) -> None:
        """Close what is idle on a file that is about to be dropped."""
        with self._lock:
            for connection in self._idle.pop(path, []):
                connection.close()

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        with self._lock:
            self._closed = True
            paths = list(self._idle)
        for path in paths:
            self.forget(path)

    def _take(self, path: Path) -> sqlite3.Connection | None:
        with self._lock:
            waiting = self._idle.get(path)
            return waiting.pop() if waiting else None

    def _give(self, path: Path, connection: sqlite3.Connection) -> None:
        with self._lock:
            waiting = self._idle.pop(path, [])
            self._idle[path] = waiting  # most recently used last
            if self._closed or len(waiting) >= self._idle_per_file:
                connection.close()
            else:
                waiting.append(connection)
            surplus = list(self._idle)[: max(0, len(self._idle) - self._idle_files)]
            for old in surplus:
                for idle in self._idle.pop(old):
                    idle.close()


def open_as_it_is(path: Path) -> sqlite3.Connection:
    """Read a database file and write nothing: one that was closed well has no log, and needs no index over it.

    Where nobody had it open it is read without a lock: whoever must know whether somebody wrote to it meanwhile asks
    `was_at_rest` before and after. Raises `sqlite3.Error`.
    """
    return _reading(path, "mode=ro" if _has_log(path) else "immutable=1")


def open_locked(path: Path) -> sqlite3.Connection:
    """Read a database file that others may write to: an index may be left beside it. Raises `sqlite3.Error`."""
    return _reading(path, "mode=ro")


def _reading(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def was_at_rest(directory: Path, pattern: str) -> dict[Path, tuple[int, int]]:
    """The database files that nobody has open, as far as can be told, with their times and sizes."""
    found: dict[Path, tuple[int, int]] = {}
    for path in directory.glob(pattern):
        with suppress(FileNotFoundError):
            told = path.stat()
            if not _has_log(path):
                found[path] = told.st_mtime_ns, told.st_size
    return found


def is_whole(path: Path) -> bool:
    """Whether this is a database that was not cut short; an empty file is one. What is in it is not looked at."""
    try:
        with closing(open_as_it_is(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            pages = int(connection.execute(_PAGES).fetchone()[0])
    except sqlite3.Error:
        return False
    return _has_log(path) or pages <= _size(path)


def _has_log(path: Path) -> bool:
    return _size(path.with_name(f"{path.name}-wal")) > 0


def sizes(path: Path) -> int:
    """Bytes of a database file with its log and index."""
    return _size(path) + _size(path.with_name(f"{path.name}-wal")) + _size(path.with_name(f"{path.name}-shm"))


def delete(path: Path) -> None:
    """Remove a database file; the log first, so that no crash leaves a log without its file."""
    for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
        path.with_name(name).unlink(missing_ok=True)


def max_id(connection: sqlite3.Connection, table: str) -> int:
    """The highest integer key of a table of ours, 0 where it is empty."""
    with closing(connection.execute(f"SELECT ifnull(max(id), 0) FROM {table}")) as found:  # noqa: S608 - a literal
        return int(found.fetchone()[0])


def _open_read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=5
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_READ_CACHE_KIB}")
    connection.row_factory = sqlite3.Row
    return connection


def _create_private(path: Path) -> None:
    # SQLite would create the file under the umask; its log and index copy the mode of the file.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _size(path: Path | str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a path object costs more than the call, after every commit
    except FileNotFoundError:
        return 0
