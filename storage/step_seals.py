"""Step seals: what a `step.recorded` entry of the audit log seals, derived from nothing but stored columns.

What was just written is sealed from the very values that were; `records` has the same out of a file, whoever wrote it.

Each exchange in the order of recording gives a record of its own and one for each of its steps. A record is JSON: an
object of every column that is not NULL (of `exchange` with its rows of `common` and `branch`; numbers of rows and the
packed steps left out), or the exchange's id beside the values of one step. Names are sorted, blobs are base64,
integers stand in full. Columns that later releases add are NULL in older rows, so old seals still hold. Of an erased
exchange the leaf hashes of its records are left, and stand in their places: the batch's root stays what it was.
"""

import sqlite3
from base64 import b64encode
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeAlias, final

import msgspec

from storage import spans
from storage.audit import merkle
from storage.ulids import unpack

_NO_RECORD = frozenset({"id", "common", "branch", "steps"})
_RANGE = f"{spans.EXCHANGES} WHERE exchange.id BETWEEN ? AND ? ORDER BY exchange.id LIMIT ?"

_ERASED = "SELECT id, exchange_id, erasure, leaves FROM erased WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
_HAS_ERASED = "SELECT 1 FROM sqlite_schema WHERE name = 'erased'"
_HASH_BYTES = 32

MARK = 4
"""Bytes of a record's hash that its batch's entry holds: enough to name what was changed; the root is what seals."""

_MOST_MARKS = 96
"""Records of a batch whose entry holds marks: with them it stays below a kilobyte."""

_number = itemgetter(0)
"""Of a row: its exchange's place in the order of recording."""

_encode = msgspec.json.Encoder().encode
_decode_steps = msgspec.msgpack.Decoder(list[list[Any]]).decode

Rows: TypeAlias = Sequence[sqlite3.Row]

_COLUMNS = (*spans.EXCHANGE_COLUMNS, *spans.COMMON_COLUMNS, *spans.BRANCH_COLUMNS)
_RECORDED = sorted([(name, at) for at, name in enumerate(_COLUMNS) if name not in _NO_RECORD])
_NO_BRANCH = (None,) * len(spans.BRANCH_COLUMNS)

_sorted = itemgetter(*[at for _, at in _RECORDED])
_record = msgspec.defstruct(
    "ExchangeRecord", [(name, Any, None) for name, _ in _RECORDED], omit_defaults=True, gc=False
)
"""Columns in the order of their names; those that are NULL are left out."""

_exchange_id = itemgetter(spans.EXCHANGE_COLUMNS.index("exchange_id"))


class _StepRecord(msgspec.Struct, frozen=True, gc=False):
    exchange_id: bytes | str
    step: list[Any]


class Seal(msgspec.Struct, frozen=True):
    """A batch as its entry names it."""

    count: int
    root: str
    rows: tuple[int, int]
    first: str
    last: str
    marks: str | None
    """See `StepsRecorded`."""


class SealedRecord(msgspec.Struct, frozen=True):
    """One record of a batch with what leads from it to the batch's root."""

    record: bytes
    index: int
    hashes: tuple[bytes, ...]


class Sealed(msgspec.Struct, frozen=True):
    """The records of one exchange: its own, then one for each step."""

    entry: int
    """Index in the log of the `step.recorded` entry whose root they lead to."""

    count: int
    """Records in the batch."""

    records: tuple[SealedRecord, ...]
    """None where the batch is no more what was sealed, and nothing leads to its root."""


def sealed(entry: int, rows: Rows, number: int, root: str) -> Sealed:
    """The records of the exchange with this number, out of the rows of its batch; `root` is the entry's."""
    at = [row["id"] for row in rows].index(number)
    hashes = [leaf_hashes(row) for row in rows]
    first = sum(map(len, hashes[:at]))
    leaves = Leaves([each for of_row in hashes for each in of_row])
    if b64encode(leaves.root()).decode() != root:
        return Sealed(entry, leaves.count, ())
    found = enumerate(records([rows[at]]), first)
    own = [SealedRecord(record, index, tuple(leaves.proof(index))) for index, record in found]
    return Sealed(entry, leaves.count, tuple(own))


def has_erased(day: sqlite3.Connection) -> bool:
    """Whether a day file is of a release that keeps hashes of what was erased."""
    return day.execute(_HAS_ERASED).fetchone() is not None


def is_buried(row: sqlite3.Row) -> bool:
    """Whether of this exchange only the hashes of its records are left."""
    return "leaves" in row.keys()  # noqa: SIM118 - a row is no mapping


def leaf_hashes(row: sqlite3.Row) -> list[bytes]:
    """What the records of one row hash to; of an erased one, what they did."""
    if is_buried(row):
        kept: bytes = row["leaves"]
        return [kept[at : at + _HASH_BYTES] for at in range(0, len(kept), _HASH_BYTES)]
    return [merkle.leaf_hash(record) for record in records([row])]


def rows_between(connections: Sequence[sqlite3.Connection], first: int, last: int, limit: int = -1) -> Rows:
    """The rows of exchanges numbered `first` to `last`, in order, whichever day files they are in, erased or not."""
    found: list[sqlite3.Row] = []
    sources = 0
    for connection in connections:
        queries = (_RANGE, _ERASED) if has_erased(connection) else (_RANGE,)
        for query in queries:
            rows = connection.execute(query, (first, last, limit)).fetchall()
            sources += bool(rows)
            found += rows
    if sources > 1:
        found.sort(key=_number)
    return found if limit < 0 else found[:limit]


def seal(rows: Rows) -> Seal:
    """The seal of at least one row."""
    first, last = rows[0], rows[-1]
    return _seal(Leaves.of(rows), (first["id"], last["id"]), first["exchange_id"], last["exchange_id"])


def seal_written(written: Sequence[spans.Written]) -> Seal:
    """The seal of at least one exchange, which equals that of its rows."""
    first, last = written[0], written[-1]
    leaves = Leaves(merkle.leaf_hashes(records_written(written)))
    return _seal(leaves, (first.number, last.number), _exchange_id(first.exchange), _exchange_id(last.exchange))


def _seal(leaves: "Leaves", rows: tuple[int, int], first: bytes | str, last: bytes | str) -> Seal:
    root = b64encode(leaves.root()).decode()
    marks = b64encode(b"".join(map(mark, leaves.hashes))).decode() if leaves.count <= _MOST_MARKS else None
    return Seal(count=leaves.count, root=root, rows=rows, first=unpack(first), last=unpack(last), marks=marks)


def mark(leaf: bytes) -> bytes:
    """What an entry keeps of a record's hash."""
    return leaf[:MARK]


def misfit(rows: Rows, marks: bytes) -> str | None:
    """The first record of these rows that is not what its mark says, in words; None where all are."""
    at = 0
    for row in rows:
        exchange_id = unpack(row["exchange_id"])
        try:
            hashes = leaf_hashes(row)
        except (msgspec.DecodeError, ValueError, TypeError):
            return f"the record of exchange {exchange_id} cannot be read"
        for number, leaf in enumerate(hashes):
            if mark(leaf) != marks[at : at + MARK]:
                what = f"step {number - 1} of exchange {exchange_id}" if number else f"exchange {exchange_id}"
                return f"{what} is not what was sealed"
            at += MARK
    return None if at == len(marks) else "records are missing at its end"


def parts_fit(rows: Rows, marks: bytes) -> bool:
    """Whether these rows are what their marks say, in their order, where others of their batch are gone.

    How many marks those that are gone had, nobody knows: a row is looked for behind the one before it.
    """
    at, before = 0, None
    for row in rows:
        try:
            own = [mark(leaf) for leaf in leaf_hashes(row)]
        except (msgspec.DecodeError, ValueError, TypeError):
            return False
        follows = before is not None and row["id"] == before + 1
        starts = (at,) if follows else range(at, len(marks), MARK)
        found = next((start for start in starts if marks[start : start + len(own) * MARK] == b"".join(own)), None)
        if found is None:
            return False
        at, before = found + len(own) * MARK, row["id"]
    return True


def records_written(written: Sequence[spans.Written]) -> list[bytes]:
    """The records of exchanges that were just written, in order."""
    found: list[msgspec.Struct] = []
    for _, _, exchange, common, branch, steps in written:
        found.append(_record(*_sorted(exchange + common + (branch or _NO_BRANCH))))
        exchange_id = _exchange_id(exchange)
        found += [_StepRecord(exchange_id, step) for step in steps]
    return list(map(_encode, found))


def records(rows: Rows) -> Iterator[bytes]:
    """The records of rows, in order."""
    columns: list[tuple[str, int]] | None = None
    for row in rows:
        if columns is None:
            places = {name: at for at, name in enumerate(row.keys()) if name not in _NO_RECORD}
            columns = sorted(places.items())
        values = tuple(row)
        yield _encode({name: values[at] for name, at in columns if values[at] is not None})
        exchange_id = row["exchange_id"]
        for step in _decode_steps(row["steps"] or b"\x90"):
            yield _encode({"exchange_id": exchange_id, "step": step})


@final
class Leaves:
    """The small tree over one batch; `storage.audit.merkle.Tree` by shape."""

    def __init__(self, hashes: list[bytes]) -> None:
        self._levels = [hashes]
        while len(self._levels[-1]) > 1:
            self._levels.append(merkle.pair_up(self._levels[-1]))

    @classmethod
    def of(cls, rows: Rows) -> "Leaves":
        """The tree over the records of rows."""
        if any(map(is_buried, rows)):
            return cls([each for row in rows for each in leaf_hashes(row)])
        return cls(merkle.leaf_hashes(records(rows)))

    @property
    def hashes(self) -> list[bytes]:
        """The leaf hashes, in order."""
        return self._levels[0]

    @property
    def count(self) -> int:
        """How many records there are."""
        return len(self._levels[0])

    def node(self, level: int, index: int) -> bytes:
        """The root over a complete subtree."""
        return self._levels[level][index]

    def root(self) -> bytes:
        """The root over all records, 32 bytes."""
        return merkle.root(self, self.count)

    def proof(self, index: int) -> list[bytes]:
        """From a record's sibling up to the root's child."""
        return merkle.inclusion_proof(self, index, self.count)
