"""Scopes: whose a content is, and the two keys it lies under: one seals it, one makes its name.

Both are random, one pair for each scope and month, wrapped under a key derived from `seal.key`, and stand in `keys.db`
alone. Contents are deduplicated within their scope and month, never beyond: no key is shared by two sessions. So
once a pair is destroyed, its contents can be neither read nor guessed, whoever keeps copies of them.
"""

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, final

from blake3 import blake3

from policies.vocabulary.exchanges import Recording
from storage.errors import ContentDamaged, StorageFailed
from storage.files import ReadFiles, WriteFile
from storage.inserts import insert_whole
from storage.known import Known
from storage.pseudonyms import Pseudonyms
from storage.schema import Schema
from storage.seal import NONCE_BYTES, Sealer, derive
from storage.secret import Secret

_KEY_BYTES = 32
_CID_BYTES = 16
_SCOPE_BYTES = 4
_CHECK_BYTES = 8
_MADE_OF = 2 * _KEY_BYTES + NONCE_BYTES
"""Random bytes that go into a new pair: its keys, and the nonce they are wrapped with."""

_ASKED = 32
"""Names that are looked for with one statement."""

_NAMED = f"SELECT id, name, wrapped FROM scope_key WHERE name IN ({', '.join('?' * _ASKED)})"  # noqa: S608 - literals

_REMEMBERED = 256
"""Scopes the writing thread knows without asking the file, and as many that it knew before: 3.5 KB each."""

_NUMBERED = "SELECT id, name, wrapped FROM scope_key WHERE id = ?"


Kind: TypeAlias = Literal["session", "user", "app"]


class Whose(NamedTuple):
    """A scope by what it is called: a session; an end user outside of one; an app for what has neither."""

    kind: Kind
    name: str
    """The session's id; the end user's pseudonym in hexadecimal digits; the app."""

    month: str


def whose(recording: Recording, end_user: bytes | None, month: str) -> Whose:
    """Whose the contents of a recording are."""
    exchange = recording.exchange
    if exchange.join is not None:
        return Whose("session", exchange.join.session_id, month)
    if end_user is not None:
        return Whose("user", end_user.hex(), month)
    return Whose("app", exchange.app, month)


@final
class Scope:
    """The keys of one scope in one month. Safe from any thread."""

    __slots__ = ("_beginning", "_cid_key", "number", "sealer", "seed")

    def __init__(self, number: int, cid_key: bytes, sealer: Sealer) -> None:
        self.number = number
        """`scope_key.id`; 0 for contents from before there were scopes."""

        self.sealer = sealer
        self._cid_key = cid_key
        self._beginning = (number & 0xFFFF_FFFF).to_bytes(_SCOPE_BYTES, "big") if number else b""
        self.seed = self.check(b"seed", b"")
        """Stands before the first content of a chain."""

    def cid(self, plain: bytes) -> bytes:
        """16 bytes that name a content; without the key they tell nobody what it is, and nobody can make two alike.

        They begin with the scope, so that new names lie side by side in the index over all of a month's: under hashes
        alone each of them would dirty a page of its own.
        """
        beginning = self._beginning
        return beginning + blake3(plain, key=self._cid_key).digest(length=_CID_BYTES - len(beginning))

    def is_named(self, plain: bytes, cid: bytes) -> bool:
        """Whether this is a content's name; older ones are the hash alone."""
        whole = blake3(plain, key=self._cid_key).digest(length=_CID_BYTES)
        return cid in (whole, self._beginning + whole[: _CID_BYTES - len(self._beginning)])

    def check(self, previous: bytes, cid: bytes) -> bytes:
        """8 bytes over a history: what came before, then this content."""
        return blake3(previous + cid, key=self._cid_key).digest(length=_CHECK_BYTES)


@final
class KeyReads:
    """`keys.db` as another process keeps it: to open contents with, and nothing else. Safe from any thread."""

    def __init__(self, directory: Path, seal_key: Secret, readers: ReadFiles) -> None:
        self._wrap = _wrapping(seal_key)
        self._path = directory / "keys.db"
        self._readers = readers

    def numbered(self, number: int) -> Scope:
        """See `ScopeKeys.numbered`. Raises `sqlite3.Error`, too."""
        with self._readers.use(self._path) as connection:
            return _opened(self._wrap, connection.execute(_NUMBERED, (number,)).fetchone())


@final
class ScopeKeys:
    """`keys.db` with its one connection. Reads are safe from any thread; keys are made and destroyed by one."""

    def __init__(self, directory: Path, seal_key: Secret, names: Pseudonyms) -> None:
        """Open or create the file. Raises `SchemaTooNew`, `sqlite3.Error` or `OSError`."""
        self._names = names
        self._wrap = _wrapping(seal_key)
        self._lock = threading.Lock()
        self._known: Known[Whose, Scope] = Known(_REMEMBERED)
        # A content must never outlive the memory of its key: keys are flushed to the disk, contents need not be.
        self._file = WriteFile(directory / "keys.db", Schema.shipped("keys"), durability="FULL", page_size=2048)

    def of(self, wanted: Collection[Whose]) -> Mapping[Whose, Scope]:
        """The keys of each scope; those that are new are durable on return. Raises `sqlite3.Error`."""
        found: dict[Whose, Scope] = {}
        missing: list[Whose] = []
        for each in wanted:
            scope = self._known.get(each)
            if scope is None:
                missing.append(each)
            else:
                found[each] = scope
        if missing:
            with self._lock:
                read = self._read_or_make(missing)
            self._known.learn(read)
            found |= read
        return found

    def numbered(self, number: int) -> Scope:
        """The keys that a content says it lies under. Raises `ContentDamaged` where they are destroyed."""
        with self._lock:
            row = self._file.connection.execute(_NUMBERED, (number,)).fetchone()
        return _opened(self._wrap, row)

    def there(self, wanted: Iterable[Whose]) -> set[int]:
        """Numbers of those of these scopes that have keys; none are made. Raises `sqlite3.Error`."""
        with self._lock:
            return {row[0] for row in self._read([self._name(each) for each in wanted])}

    def destroy(self, kind: Kind, names: Iterable[str]) -> None:
        """Destroy the keys of these scopes, of every month, for good. Raises `StorageFailed`."""
        with self._lock:
            months = [month for (month,) in self._file.connection.execute("SELECT DISTINCT month FROM scope_key")]
        gone = [(self._name(Whose(kind, name, month)),) for name in names for month in months]
        self._delete("DELETE FROM scope_key WHERE name = ?", gone)

    def drop_month(self, month: str) -> None:
        """Destroy the keys of a month. Raises `StorageFailed`."""
        self._delete("DELETE FROM scope_key WHERE month = ?", [(month,)])

    def relieve(self) -> None:
        """Checkpoint a long log."""
        with self._lock:
            self._file.relieve()

    def close(self) -> None:
        """Checkpoint and close. Idempotent."""
        with self._lock:
            self._file.close()

    def _delete(self, query: str, values: Sequence[tuple[bytes | str]]) -> None:
        self._known = Known(_REMEMBERED)
        with self._lock:
            try:
                self._file.begin()
                self._file.connection.executemany(query, values)
                self._file.commit()
                self._file.scrub()
            except sqlite3.Error as error:
                self._file.rollback()
                raise StorageFailed("destroying keys", error) from error

    def _read_or_make(self, wanted: Iterable[Whose]) -> dict[Whose, Scope]:
        called = {self._name(each): each for each in wanted}
        found: dict[Whose, Scope] = {}
        try:
            self._file.begin()  # around the look-ups too: each by itself would lock and unlock the file
            for row in self._read(list(called)):
                found[called.pop(row[1])] = _opened(self._wrap, row)
            found |= self._make(called)
            self._file.commit()
        finally:
            self._file.rollback()
        return found

    def _read(self, names: Sequence[bytes]) -> Iterator[tuple[int, bytes, bytes]]:
        """The rows there are of these names."""
        for at in range(0, len(names), _ASKED):
            asked = names[at : at + _ASKED]
            # NULL is equal to nothing: one statement does for any number of names.
            yield from self._file.connection.execute(_NAMED, (*asked, *repeat(None, _ASKED - len(asked))))

    def _make(self, called: Mapping[bytes, Whose]) -> dict[Whose, Scope]:
        """Keys for scopes that have none yet."""
        found: dict[Whose, Scope] = {}
        rows: list[tuple[int, bytearray, str, bytearray]] = []
        # One request for randomness serves them all.
        random = os.urandom(_MADE_OF * len(called))
        number = self._newest() if called else 0
        for at, (name, each) in enumerate(called.items()):
            number += 1
            own = random[at * _MADE_OF : (at + 1) * _MADE_OF]
            keys, nonce = own[:-NONCE_BYTES], own[-NONCE_BYTES:]
            rows.append((number, bytearray(name), each.month, bytearray(self._wrap.seal(keys, name, nonce))))
            found[each] = _scope(number, keys)
        insert_whole(self._file.connection, "scope_key", "id, name, month, wrapped", rows)
        return found

    def _newest(self) -> int:
        """The highest number that was ever given."""
        row = self._file.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'scope_key'").fetchone()
        return 0 if row is None else int(row[0])

    def _name(self, scope: Whose) -> bytes:
        return self._names.of("scope", *scope)


def _wrapping(seal_key: Secret) -> Sealer:
    return Sealer(derive(seal_key, "scope keys"))


def _opened(wrap: Sealer, row: tuple[int, bytes, bytes] | None) -> Scope:
    """The keys of a row of `keys.db`. Raises `ContentDamaged` where there is none."""
    if row is None:
        raise ContentDamaged("its key is not in keys.db: it was erased, or keys.db is not the one it was made with")
    number, name, wrapped = row
    return _scope(number, wrap.open(wrapped, name))


def _scope(number: int, keys: bytes) -> Scope:
    return Scope(number, keys[_KEY_BYTES:], Sealer(Secret(keys[:_KEY_BYTES])))
