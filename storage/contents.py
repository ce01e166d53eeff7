"""Contents: what bodies are made of, one file a month, found by keyed hash and sealed one by one."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

from blake3 import blake3

from storage.absent import Absent
from storage.codec import Codec
from storage.errors import ContentDamaged
from storage.files import WriteFile, max_id
from storage.growth import Ends
from storage.known import Known, KnownBytes, Latest
from storage.schema import Schema
from storage.seal import Sealer, derive
from storage.secret import Secret

_CID_BYTES = 16
_CHECK_BYTES = 8
_NAMED_BYTES = 512
"""Bytes of messages kept per remembered entry: 1 MB a generation by default."""

_ENTRIES_A_TAIL = 4
"""One branch is remembered for so many entries: 512 by default, with 1 to 3 KB each."""

_SURVEYED = 1_000_000
"""Contents of a file up to which its names are read once when it is opened (half a second)."""

_LARGEST_NAMED = 16 * 1024

_CONTENT_INSERT = (
    "INSERT INTO content (id, cid, codec, length, sealed) VALUES (?, ?, ?, ?, ?) ON CONFLICT (cid) DO NOTHING"
)
_STATE_INSERT = "INSERT INTO conv_state (id, check_bytes, prev, content, depth) VALUES (?, ?, ?, ?, ?)"

_CONTENT_OF = "SELECT codec, length, sealed FROM content WHERE cid = ?"
_WALK = """
WITH RECURSIVE walk (prev, content, depth) AS (
    SELECT prev, content, depth FROM conv_state WHERE id = ? AND check_bytes = ?
    UNION ALL
    SELECT s.prev, s.content, s.depth FROM walk JOIN conv_state AS s ON s.id = walk.prev WHERE walk.depth > ?
)
SELECT cid, codec, length, sealed, depth FROM walk JOIN content ON content.id = walk.content ORDER BY depth
"""
_DEPTH_OF = "SELECT depth FROM conv_state WHERE id = ? AND check_bytes = ?"


class Link(NamedTuple):
    """The end of a chain."""

    number: int
    """`conv_state.id`; 0 before the first content."""

    check: bytes
    """8 bytes over all that came before: a row that other contents took over is not mistaken for this one."""

    depth: int

    def pack(self) -> bytes | None:
        """What other files refer to it by; None for a chain of nothing."""
        return self.check + self.number.to_bytes((self.number.bit_length() + 7) // 8, "big") if self.number else None


def _unpack(state: bytes) -> tuple[int, bytes]:
    return int.from_bytes(state[_CHECK_BYTES:], "big"), state[:_CHECK_BYTES]


@final
class Vault:
    """The keys and the codec every month shares."""

    def __init__(self, key: Secret) -> None:
        self._key = key
        self._hash_key = derive(key, "content hash").reveal()
        self.codec = Codec()
        self._sealers: dict[str, Sealer] = {}

    def sealer(self, month: str) -> Sealer:
        """The sealer of one month: random nonces stay far below their limit, and a month's key can go with it."""
        if month not in self._sealers:
            self._sealers[month] = Sealer(derive(self._key, f"content seal {month}"))
        return self._sealers[month]

    def cid(self, plain: bytes) -> bytes:
        """16 bytes that name a content; without the key they tell nobody what it is, and nobody can make two alike."""
        return blake3(plain, key=self._hash_key).digest(length=_CID_BYTES)

    def check(self, previous: bytes, cid: bytes) -> bytes:
        """8 bytes over a history: what came before, then this content."""
        return blake3(previous + cid, key=self._hash_key).digest(length=_CHECK_BYTES)

    def seed(self, month: str) -> Link:
        """The end of a chain of nothing."""
        return Link(0, self.check(b"seed", month.encode()), 0)


def _binding(cid: bytes, codec: int, length: int) -> bytes:
    return b"%s%c%d" % (cid, codec, length)


class Tail(NamedTuple):
    """How a branch's newest request was stored: the next one is the same with messages added, as a rule."""

    ends: Ends
    separator: bytes
    """What stands before each message added."""

    frame: bytes
    """Its cid."""

    lead: bytes | None
    messages: Link
    digest: Any
    """SHA-256 over the bytes up to the end of the last message, unfinished; None where it is not worth keeping."""


@final
class ContentWriter:
    """Adds to one month's file. One thread; `begin`, any number of `put` and `chain`, `flush`, `commit`."""

    def __init__(self, path: Path, month: str, vault: Vault, schema: Schema, *, remembered: int) -> None:
        self.file = WriteFile(path, schema, durability="NORMAL", page_size=2048, cache_kib=2048)
        self._cid = vault.cid
        self._check = vault.check
        self._shrink = vault.codec.shrink
        self._sealer = vault.sealer(month)
        self._seed = vault.seed(month)
        self._contents: Known[bytes, int] = Known(remembered)
        self._states: Known[tuple[int, int], Link] = Known(remembered)
        # What comes again and again is compared, which costs a fifth of hashing it.
        self._names: KnownBytes[bytes] = KnownBytes(remembered * _NAMED_BYTES)
        self._tails: Latest[str, Tail] = Latest(remembered // _ENTRIES_A_TAIL)
        self._fresh_contents: dict[bytes, int] = {}
        self._fresh_states: dict[tuple[int, int], Link] = {}
        self._fresh_tails: dict[str, Tail] = {}
        self._pending: list[tuple[int, bytes, bytes]] = []
        """Number, cid and plain bytes of contents that are not written yet."""

        self._state_rows: list[tuple[int, bytearray, int, int, int]] = []
        self._next_content = self._first_content = max_id(self.file.connection, "content") + 1
        self._absent = Absent(self._names_there() if self._next_content <= _SURVEYED else None)
        self._next_state = self._first_state = max_id(self.file.connection, "conv_state") + 1

    def put(self, plain: bytes) -> bytes:
        """Keep a content that is found by its name alone; returns its cid."""
        cid = self._cid(plain)
        self._number(cid, plain)
        return cid

    def chain(self, pieces: Sequence[bytes], here: Link | None = None) -> Link:
        """Keep contents and their order, from the end of a chain on; returns the new end."""
        here = here or self._seed
        named, known, fresh = self._names.get, self._states.get, self._fresh_states.get
        for piece in pieces:
            cid = named(piece) or self._name(piece)
            number = self._number(cid, piece)
            link = (here.number, number)
            here = fresh(link) or known(link) or self._extend(link, here, cid)
        return here

    def tail(self, branch: str) -> Tail | None:
        """How the newest request of a branch was stored."""
        return self._fresh_tails.get(branch) or self._tails.get(branch)

    def remember(self, branch: str, tail: Tail) -> None:
        """Go on from here at the branch's next request."""
        self._fresh_tails[branch] = tail

    def flush(self) -> None:
        """Write what was put since `begin`."""
        # One kind of work at a time: what each reads again and again (the dictionary, say) then stays close at hand.
        pending = self._pending
        small = [self._shrink(plain) for _, _, plain in pending]
        bound = [
            (packed, _binding(cid, codec, len(plain)))
            for (_, cid, plain), (codec, packed) in zip(pending, small, strict=True)
        ]
        rows = [
            (number, bytearray(cid), codec, len(plain), bytearray(sealed))
            for (number, cid, plain), (codec, _), sealed in zip(pending, small, self._sealer.seal(bound), strict=True)
        ]
        self.file.connection.executemany(_CONTENT_INSERT, rows)
        self.file.connection.executemany(_STATE_INSERT, self._state_rows)

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

    def _name(self, piece: bytes) -> bytes:
        cid = self._cid(piece)
        if len(piece) <= _LARGEST_NAMED:
            self._names.put(piece, cid)
        return cid

    def _number(self, cid: bytes, plain: bytes) -> int:
        """The row of a content, of this batch, remembered, in the file, or a new one."""
        if self._absent.claim(cid):
            return self._add(cid, plain)
        number = self._fresh_contents.get(cid) or self._contents.get(cid)
        if number is None:
            row = self.file.connection.execute("SELECT id FROM content WHERE cid = ?", (cid,)).fetchone()
            if row is None:
                return self._add(cid, plain)
            number = self._fresh_contents[cid] = int(row[0])
        return number

    def _names_there(self) -> Iterator[bytes]:
        return (cid for (cid,) in self.file.connection.execute("SELECT substr(cid, 1, 3) FROM content"))

    def _add(self, cid: bytes, plain: bytes) -> int:
        number = self._fresh_contents[cid] = self._next_content
        self._next_content += 1
        self._pending.append((number, cid, plain))
        return number

    def _extend(self, link: tuple[int, int], here: Link, cid: bytes) -> Link:
        # What goes on from, or to, a row of this very batch cannot be in the file yet.
        is_new = link[1] >= self._first_content or link[0] >= self._first_state
        query = "SELECT id, check_bytes, depth FROM conv_state WHERE prev = ? AND content = ?"
        row = None if is_new else self.file.connection.execute(query, link).fetchone()
        if row is None:
            found = Link(self._next_state, self._check(here.check, cid), here.depth + 1)
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
        self._sealer = vault.sealer(month)

    def get(self, cid: bytes) -> bytes:
        """One content. Raises `ContentDamaged`."""
        row = self._connection.execute(_CONTENT_OF, (cid,)).fetchone()
        if row is None:
            raise ContentDamaged("a content is missing")
        return self._open(cid, row["codec"], row["length"], row["sealed"])

    def chain(self, state: bytes | None) -> list[bytes]:
        """All contents of a chain in order; none for None. Raises `ContentDamaged`."""
        if state is None:
            return []
        rows = self._connection.execute(_WALK, (*_unpack(state), 0)).fetchall()
        if [row["depth"] for row in rows] != list(range(1, len(rows) + 1)) or not rows:
            raise ContentDamaged("a conversation chain has gaps")
        return [self._open(row["cid"], row["codec"], row["length"], row["sealed"]) for row in rows]

    def link(self, state: bytes, place: int) -> bytes:
        """The content at one place of a chain, from 0. Raises `ContentDamaged`."""
        # The walk goes from the end back to this place and no further.
        row = self._connection.execute(_WALK, (*_unpack(state), place + 1)).fetchone()
        if row is None or row["depth"] != place + 1:
            raise ContentDamaged("a conversation chain has gaps")
        return self._open(row["cid"], row["codec"], row["length"], row["sealed"])

    def depth(self, state: bytes | None) -> int:
        """How many contents a chain holds; 0 for None."""
        row = None if state is None else self._connection.execute(_DEPTH_OF, _unpack(state)).fetchone()
        return 0 if row is None else int(row["depth"])

    def _open(self, cid: bytes, codec: int, length: int, sealed: bytes) -> bytes:
        plain = self._vault.codec.grow(codec, self._sealer.open(sealed, _binding(cid, codec, length)), length)
        if self._vault.cid(plain) != cid:
            raise ContentDamaged("a content is not what its name says")
        return plain
