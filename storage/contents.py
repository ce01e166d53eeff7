"""Contents: what bodies are made of, one file a month, each named and sealed under the keys of its scope."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, final

import msgspec

from storage.absent import Absent
from storage.codec import Codec
from storage.errors import ContentDamaged
from storage.files import WriteFile, max_id
from storage.growth import Ends
from storage.inserts import insert_whole
from storage.known import Known, Latest
from storage.schema import Schema
from storage.scopes import Scope
from storage.seal import NONCE_BYTES, Sealer, derive
from storage.secret import Secret

_CHECK_BYTES = 8
_ENTRIES_A_TAIL = 4
"""One branch is remembered for so many entries: 512 by default, with 1 to 3 KB each."""

_SURVEYED = 1_000_000
"""Contents of a file up to which its names are read once when it is opened (half a second)."""

_TOGETHER = 128
"""Contents that are compressed, sealed and written together: of a batch of long new sessions all would be megabytes."""

_CONTENT = "id, cid, codec, length, sealed, scope"
_STATE = "id, check_bytes, prev, content, depth"

_CONTENT_OF = "SELECT cid, codec, length, sealed, scope FROM content WHERE cid = ?"
_WALK = """
WITH RECURSIVE walk (prev, content, depth) AS (
    SELECT prev, content, depth FROM conv_state WHERE id = ? AND check_bytes = ?
    UNION ALL
    SELECT s.prev, s.content, s.depth FROM walk JOIN conv_state AS s ON s.id = walk.prev WHERE walk.depth > ?
)
SELECT cid, codec, length, sealed, scope, depth FROM walk JOIN content ON content.id = walk.content ORDER BY depth
"""
_DEPTH_OF = "SELECT depth FROM conv_state WHERE id = ? AND check_bytes = ?"


class Link(msgspec.Struct, frozen=True, gc=False):
    """The end of a chain."""

    number: int
    """`conv_state.id`; 0 before the first content."""

    check: bytes
    """8 bytes over all that came before: a row that other contents took over is not mistaken for this one."""

    depth: int

    def pack(self) -> bytes | None:
        """What other files refer to it by; None for a chain of nothing."""
        return self.check + self.number.to_bytes((self.number.bit_length() + 7) // 8, "big") if self.number else None


def unpack_link(state: bytes) -> tuple[int, bytes]:
    """Number and check of what `Link.pack` made."""
    return int.from_bytes(state[_CHECK_BYTES:], "big"), state[:_CHECK_BYTES]


class Keys(Protocol):
    """Where the keys of scopes are; `storage.scopes.ScopeKeys` and `KeyReads` fit."""

    def numbered(self, number: int) -> Scope:
        """The keys that a content says it lies under. Raises `ContentDamaged` where they are destroyed."""
        ...


@final
class Vault:
    """The keys and the codec every month shares."""

    def __init__(self, key: Secret, keys: Keys) -> None:
        self._key = key
        self._keys = keys
        self.codec = Codec()

    def scope(self, number: int, month: str) -> Scope:
        """The keys a content of a month lies under. Raises `ContentDamaged` where they are destroyed."""
        if number:
            return self._keys.numbered(number)
        # Before there were scopes, all contents of a month shared a key.
        sealer = Sealer(derive(self._key, f"content seal {month}"))
        return Scope(0, derive(self._key, "content hash").reveal(), sealer)


_BINDING = b"%s%c%d"
"""What a seal is bound to: the name of the content, its codec and its length."""


class Tail(NamedTuple):
    """How a branch's newest request was stored: the next one is the same with messages added, as a rule."""

    ends: Ends
    separator: bytes
    """What stands before each message added."""

    scope: int
    """`Scope.number`: under other keys nothing of this is known."""

    frame: bytes
    """Its cid."""

    lead: bytes | None
    messages: Link
    digest: Any
    """SHA-256 over the bytes up to the end of the last message, unfinished; None where it is not worth keeping."""


_Pending: TypeAlias = tuple[int, bytes, bytes, Scope]
"""Number, cid, plain bytes and scope of a content."""


@final
class ContentWriter:
    """Adds to one month's file. One thread; `begin`, any number of `put` and `chain`, `flush`, `commit`."""

    def __init__(self, path: Path, vault: Vault, schema: Schema, *, remembered: int) -> None:
        self.file = WriteFile(path, schema, durability="NORMAL", page_size=2048)
        self._shrink_each = vault.codec.shrink_each
        self._contents: Known[bytes, int] = Known(remembered)
        self._states: Known[tuple[int, int], Link] = Known(remembered)
        self._tails: Latest[str, Tail] = Latest(remembered // _ENTRIES_A_TAIL)
        self._fresh_contents: dict[bytes, int] = {}
        self._fresh_states: dict[tuple[int, int], Link] = {}
        self._fresh_tails: dict[str, Tail] = {}
        self._pending: list[_Pending] = []
        """Contents that are not written yet."""

        self._state_rows: list[tuple[int, bytearray, int, int, int]] = []
        self._next_content = self._first_content = max_id(self.file.connection, "content") + 1
        self._absent = Absent(self._names_there() if self._next_content <= _SURVEYED else None)
        self._next_state = self._first_state = max_id(self.file.connection, "conv_state") + 1

    def put(self, plain: bytes, scope: Scope) -> bytes:
        """Keep a content that is found by its name alone; returns its cid."""
        cid = scope.cid(plain)
        self._number(cid, plain, scope)
        return cid

    def chain(self, pieces: Sequence[bytes], scope: Scope, here: Link | None = None) -> Link:
        """Keep contents and their order, from the end of a chain on; returns the new end."""
        here = here or Link(0, scope.seed, 0)
        known, fresh, name = self._states.get, self._fresh_states.get, scope.cid
        for piece in pieces:
            cid = name(piece)
            number = self._number(cid, piece, scope)
            link = (here.number, number)
            # No state of before goes on to a content of this batch.
            found = fresh(link) or (known(link) if number < self._first_content else None)
            here = found or self._extend(link, here, cid, scope)
        return here

    def tail(self, branch: str) -> Tail | None:
        """How the newest request of a branch was stored."""
        return self._fresh_tails.get(branch) or self._tails.get(branch)

    def remember(self, branch: str, tail: Tail) -> None:
        """Go on from here at the branch's next request."""
        self._fresh_tails[branch] = tail

    def flush(self) -> None:
        """Write what was put since `begin`."""
        self._write_pending()
        insert_whole(self.file.connection, "conv_state", _STATE, self._state_rows)

    def _write_pending(self) -> None:
        pending, self._pending = self._pending, []
        insert_whole(self.file.connection, "content", _CONTENT, self._sealed(pending), "ON CONFLICT (cid) DO NOTHING")

    def _sealed(self, pending: Sequence[_Pending]) -> list[tuple[int, bytearray, int, int, bytearray, int]]:
        """The rows of contents, small and sealed."""
        # One kind of work at a time: what each reads again and again (the dictionary, say) then stays close at hand.
        small = self._shrink_each([plain for _, _, plain, _ in pending])
        # One request for randomness serves them all; asking for each costs as much as sealing.
        random = os.urandom(NONCE_BYTES * len(pending))
        rows: list[tuple[int, bytearray, int, int, bytearray, int]] = []
        for place, ((number, cid, plain, scope), (codec, packed)) in enumerate(zip(pending, small, strict=True)):
            nonce = random[place * NONCE_BYTES : (place + 1) * NONCE_BYTES]
            length = len(plain)
            sealed = scope.sealer.seal(packed, _BINDING % (cid, codec, length), nonce)
            rows.append((number, bytearray(cid), codec, length, bytearray(sealed), scope.number))
        return rows

    def commit(self) -> None:
        """Make it last, and only then remember it."""
        self.file.commit()
        self._contents.learn(self._fresh_contents)
        self._states.learn(self._fresh_states)
        self._tails.learn(self._fresh_tails)
        self._clear()

    def rollback(self) -> None:
        """Forget what was put since `begin`."""
        self.file.rollback()
        self._next_content, self._next_state = self._first_content, self._first_state
        self._clear()

    def _number(self, cid: bytes, plain: bytes, scope: Scope) -> int:
        """The row of a content, of this batch, remembered, in the file, or a new one."""
        if not self._absent.claim(cid):
            number = self._fresh_contents.get(cid) or self._contents.get(cid)
            if number is not None:
                return number
            row = self.file.connection.execute("SELECT id FROM content WHERE cid = ?", (cid,)).fetchone()
            if row is not None:
                number = self._fresh_contents[cid] = int(row[0])
                return number
        number = self._fresh_contents[cid] = self._next_content
        self._next_content += 1
        self._pending.append((number, cid, plain, scope))
        if len(self._pending) == _TOGETHER:
            self._write_pending()
        return number

    def _names_there(self) -> Iterator[bytes]:
        return (cid for (cid,) in self.file.connection.execute("SELECT substr(cid, -3) FROM content"))

    def _extend(self, link: tuple[int, int], here: Link, cid: bytes, scope: Scope) -> Link:
        # What goes on from, or to, a row of this very batch cannot be in the file yet.
        is_new = link[1] >= self._first_content or link[0] >= self._first_state
        query = "SELECT id, check_bytes, depth FROM conv_state WHERE prev = ? AND content = ?"
        row = None if is_new else self.file.connection.execute(query, link).fetchone()
        if row is None:
            found = Link(self._next_state, scope.check(here.check, cid), here.depth + 1)
            self._next_state += 1
            self._state_rows.append((found.number, bytearray(found.check), *link, found.depth))
        else:
            found = Link(*row)
        self._fresh_states[link] = found
        return found

    def _clear(self) -> None:
        self._fresh_contents, self._fresh_states, self._fresh_tails = {}, {}, {}
        self._pending, self._state_rows = [], []
        self._first_content, self._first_state = self._next_content, self._next_state


@final
class ContentReader:
    """Reads one month's contents over a connection lent for the purpose."""

    def __init__(self, connection: sqlite3.Connection, month: str, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault
        self._month = month
        self._scopes: dict[int, Scope] = {}

    def get(self, cid: bytes) -> bytes:
        """One content. Raises `ContentDamaged`."""
        row = self._connection.execute(_CONTENT_OF, (cid,)).fetchone()
        if row is None:
            raise ContentDamaged("a content is missing")
        return self._open(*row)

    def chain(self, state: bytes | None) -> list[bytes]:
        """All contents of a chain in order; none for None. Raises `ContentDamaged`."""
        if state is None:
            return []
        rows = self._connection.execute(_WALK, (*unpack_link(state), 0)).fetchall()
        if [row["depth"] for row in rows] != list(range(1, len(rows) + 1)) or not rows:
            raise ContentDamaged("a conversation chain has gaps")
        return [self._open(*tuple(row)[:-1]) for row in rows]

    def link(self, state: bytes, place: int) -> bytes:
        """The content at one place of a chain, from 0. Raises `ContentDamaged`."""
        # The walk goes from the end back to this place and no further.
        row = self._connection.execute(_WALK, (*unpack_link(state), place + 1)).fetchone()
        if row is None or row["depth"] != place + 1:
            raise ContentDamaged("a conversation chain has gaps")
        return self._open(*tuple(row)[:-1])

    def depth(self, state: bytes | None) -> int:
        """How many contents a chain holds; 0 for None."""
        row = None if state is None else self._connection.execute(_DEPTH_OF, unpack_link(state)).fetchone()
        return 0 if row is None else int(row["depth"])

    def _open(self, cid: bytes, codec: int, length: int, sealed: bytes, number: int) -> bytes:
        scope = self._scopes.get(number)
        if scope is None:
            scope = self._scopes[number] = self._vault.scope(number, self._month)
        plain = self._vault.codec.grow(codec, scope.sealer.open(sealed, _BINDING % (cid, codec, length)), length)
        if not scope.is_named(plain, cid):
            raise ContentDamaged("a content is not what its name says")
        return plain
