"""Seal check: whether the record beside a log is what the log's `step.recorded` entries sealed. Changes nothing.

Before each of these entries stand those of the exchanges it seals, one that ends each; so the log says from which day
every record is, and whatever is gone has to be gone on the word of another entry: a day that retention dropped, rows
that a power loss took, exchanges that were erased.
"""

import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, final

import msgspec

from storage.audit import tiles
from storage.audit.archive import Archive
from storage.audit.derive import Progress
from storage.audit.findings import Flaws
from storage.audit.tiles import WIDTH, Place
from storage.erased import EXPIRED
from storage.partitions import day_of
from storage.step_seals import Leaves, Rows, has_erased, is_buried, misfit, parts_fit, rows_between
from storage.ulids import unpack

_SEALING: Final = b'"step.recorded"'
_ENDING: Final = (b'"request.completed"', b'"request.failed"', b'"stream.aborted"')
_EXPLAINING: Final = (b'"retention.applied"', b'"ingest.dropped"', b'"content.erased"')
_MARKS: Final = (_SEALING, *_ENDING, *_EXPLAINING)
_LIMIT: Final = WIDTH * (2 + tiles.LONGEST)
_ENDED: Final = frozenset({"request.completed", "request.failed", "stream.aborted"})
_BEFORE_ALL: Final = -(1 << 63)


class _Said(msgspec.Struct):
    """What an entry says of the record, whichever of these types it is."""

    type: str
    rows: tuple[int, int] | None = None
    root: str = ""
    first: str = ""
    last: str = ""
    marks: str | None = None
    files: tuple[str, ...] = ()
    stripped: tuple[str, ...] = ()
    exchange: str = ""
    exchanges: int = 0


class _Batch(NamedTuple):
    """What one entry seals."""

    entry: int
    """Its index in the log."""

    said: _Said
    rows: tuple[int, int]
    days: tuple[str, ...]
    """The day file of each of its rows; where an older log does not say, none."""

    def files(self, number: int) -> Sequence[str]:
        """The day files that a row of it may have stood in."""
        return self.days[number - self.rows[0] :][:1] or (_file(self.said.first), _file(self.said.last))


class SealsChecked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    batches: int
    """Batches whose rows are as they were sealed."""

    expired: int
    """Batches that are gone, or partly, by retention or a power loss that the log tells of."""

    exchanges: int
    """Exchanges in the batches that hold."""

    unsealed: int
    """Exchanges recorded after the last batch of the published log."""

    older: int = 0
    """Exchanges recorded before the first batch: nothing vouches for them."""


def check_seals(directory: Path, files: Archive, size: int, flaws: Flaws, progress: Progress) -> SealsChecked | None:
    """Derive every seal anew from the day files in `directory`; None where no record stands beside the log.

    `files` is a log of `size` entries that was verified. Raises `sqlite3.Error` for a file that is no database.
    """
    paths = sorted(directory.glob("spans-*.db"))
    if not paths and not (directory / "meta.db").exists():
        return None
    with ExitStack() as opened:
        record = _Record([opened.enter_context(closing(_open(path))) for path in paths])
        told = _Told(_said(files, size))
        check = _Check(record, told, flaws)
        for done, batch in enumerate(told.batches):
            progress(done, len(told.batches))
            check.batch(batch)
        return check.result()


@final
class _Told:
    """What the log tells of the record."""

    def __init__(self, said: Iterable[tuple[int, _Said]]) -> None:
        self.batches: list[_Batch] = []
        self.dropped: set[str] = set()
        """Day files that went whole, and none of which has to be there."""

        self.expired: set[str] = set()
        """Day files of which anything went."""

        self.lost: list[tuple[int, int]] = []
        self.erased: list[tuple[int, int]] = []
        """Index of each entry that tells of an erasure, and how many exchanges it was of."""

        self._days: list[str] = []
        for index, entry in said:
            self._add(index, entry)

    def is_lost(self, number: int) -> bool:
        """Whether the log tells that this row may be missing, or have no seal."""
        return any(first <= number <= last for first, last in self.lost)

    def _add(self, index: int, entry: _Said) -> None:
        if entry.type in _ENDED:
            self._days.append(_file(entry.exchange))
        elif entry.type == "step.recorded" and entry.rows is not None:
            count = entry.rows[1] - entry.rows[0] + 1
            days = tuple(self._days[-count:]) if len(self._days) >= count else ()
            self.batches.append(_Batch(index, entry, entry.rows, days))
            self._days = []
        elif entry.type == "retention.applied":
            self.expired.update(entry.files)
            self.dropped.update(set(entry.files) - set(entry.stripped))
        elif entry.type == "content.erased":
            self.erased.append((index, entry.exchanges))
        elif entry.rows is not None:
            self.lost.append(entry.rows)


@final
class _Record:
    """The day files."""

    def __init__(self, days: Sequence[sqlite3.Connection]) -> None:
        self._days = [(day, *_range(day)) for day in days]

    def rows(self, first: int, last: int) -> Rows:
        """The rows with these numbers, erased ones too."""
        return rows_between([day for day, low, high in self._days if low <= last and first <= high], first, last)

    def count(self, first: int, last: int) -> int:
        """How many exchanges have these numbers and are not erased."""
        query = "SELECT count(*) FROM exchange WHERE id BETWEEN ? AND ?"
        return sum(int(day.execute(query, (first, last)).fetchone()[0]) for day, _, _ in self._days)

    @property
    def newest(self) -> int:
        """The highest number there is."""
        return max((high for _, _, high in self._days), default=0)


@final
class _Check:
    def __init__(self, record: _Record, told: _Told, flaws: Flaws) -> None:
        self._record = record
        self._told = told
        self._flaws = flaws
        self._buried: list[tuple[int, int]] = []
        """Index of each entry that seals erased exchanges, and how many."""

        self._batches = self._expired = self._exchanges = 0

    def batch(self, batch: _Batch) -> None:
        """Hold one batch against its rows."""
        rows = self._record.rows(*batch.rows)
        if rows and _root(rows) == batch.said.root:
            self._batches += 1
            self._exchanges += len(rows)
        elif self._is_explained(batch, rows):
            self._expired += 1
        else:
            self._flaws.add("spans", _wrong(rows, batch.said), batch.entry)
        self._dig(batch, rows)

    def result(self) -> SealsChecked:
        """What came of all of them."""
        self._look_for_graves()
        batches = self._told.batches
        first = min((batch.rows[0] for batch in batches), default=1)
        last = max((batch.rows[1] for batch in batches), default=0)
        self._look_between(first)
        return SealsChecked(
            batches=self._batches,
            expired=self._expired,
            exchanges=self._exchanges,
            unsealed=self._record.count(last + 1, self._record.newest),
            older=self._record.count(1, first - 1),
        )

    def _is_explained(self, batch: _Batch, rows: Rows) -> bool:
        """Whether the log itself says why rows are gone, and what is left is what was sealed."""
        there = {row["id"] for row in rows}
        missing = [number for number in range(batch.rows[0], batch.rows[1] + 1) if number not in there]
        if not missing or not all(self._may_be_gone(batch, number) for number in missing):
            return False
        return batch.said.marks is None or parts_fit(rows, b64decode(batch.said.marks))

    def _may_be_gone(self, batch: _Batch, number: int) -> bool:
        return not self._told.dropped.isdisjoint(batch.files(number)) or self._told.is_lost(number)

    def _dig(self, batch: _Batch, rows: Rows) -> None:
        """Whether rows that only their hashes are left of went on the log's word."""
        buried = [row for row in rows if is_buried(row)]
        for row in buried:
            if row["erasure"] == EXPIRED and self._told.expired.isdisjoint(batch.files(row["id"])):
                what = f"exchange {unpack(row['exchange_id'])} was taken out, and no entry says that its day was over"
                self._flaws.add("spans", what, batch.entry)
                break
        if erased := sum(row["erasure"] != EXPIRED for row in buried):
            self._buried.append((batch.entry, erased))

    def _look_for_graves(self) -> None:
        """Whether more exchanges were erased than entries behind their seals tell of."""
        erased = self._told.erased.copy()
        found = told = 0
        for index, count in reversed(self._buried):
            found += count
            while erased and erased[-1][0] > index:
                told += erased.pop()[1]
            if found > told:
                what = f"{found} exchanges sealed from here on are erased, and the log tells of {told}"
                self._flaws.add("spans", what, index)
                return

    def _look_between(self, first: int) -> None:
        """Whether exchanges stand where no batch is: those of every batch follow on those of the last."""
        ranges = sorted(batch.rows for batch in self._told.batches)
        gaps = [(before[1] + 1, after[0] - 1) for before, after in pairwise(ranges)]
        for low, high in [(_BEFORE_ALL, min(first - 1, 0)), *gaps]:
            rows = self._record.rows(low, high) if low <= high else ()
            strays = [row for row in rows if not self._told.is_lost(row["id"])]
            if strays:
                self._flaws.add("spans", f"exchange {unpack(strays[0]['exchange_id'])} was added: it is under no seal")


def _range(day: sqlite3.Connection) -> tuple[int, int]:
    """The lowest and the highest number of a row in a day file, erased or not."""
    tables = ("exchange", "erased") if has_erased(day) else ("exchange",)
    ends = [day.execute(f"SELECT min(id), max(id) FROM {table}").fetchone() for table in tables]  # noqa: S608 - literals
    found = [(low, high) for low, high in ends if low is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else (1, 0)


def _root(rows: Rows) -> str | None:
    """The root over the records of rows; None where one of them cannot be read."""
    try:
        return b64encode(Leaves.of(rows).root()).decode()
    except (msgspec.DecodeError, ValueError, TypeError):
        return None


def _wrong(rows: Rows, entry: _Said) -> str:
    """What does not hold, down to the step where the entry holds marks of the batch's records."""
    whole = f"the record of exchanges {entry.first} to {entry.last}"
    if not rows:
        return f"{whole} is missing"
    first = misfit(rows, b64decode(entry.marks)) if entry.marks else None
    return f"{whole} is not what was sealed" + (f": {first}" if first else "")


def _said(files: Archive, size: int) -> Iterator[tuple[int, _Said]]:
    for index in range(-(-size // WIDTH)):
        width = WIDTH if index < size // WIDTH else size % WIDTH
        place = Place(level=0, index=index, width=width, entries=True)
        for at, entry in enumerate(_bundle(files, place), index * WIDTH):
            if any(mark in entry for mark in _MARKS):
                yield at, msgspec.json.decode(entry, type=_Said)


def _bundle(files: Archive, place: Place) -> list[bytes]:
    """The entries of a bundle; of a partial one also where a full one took its place since the log was verified."""
    try:
        data = files.read(place.path, _LIMIT)
    except FileNotFoundError:
        data = files.read(msgspec.structs.replace(place, width=WIDTH).path, _LIMIT)
    return tiles.unbundled(data)[: place.width]


def _open(path: Path) -> sqlite3.Connection:
    """Read a day file and write nothing: one that was closed well has no log, and needs no index over it."""
    log = path.with_name(f"{path.name}-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _file(exchange_id: str) -> str:
    """The day file that an exchange is recorded in, by the time in its id."""
    return f"spans-{day_of(_minted_ns(exchange_id))}.db"


def _minted_ns(exchange_id: str) -> int:
    """When a ULID was minted, 0 for another id."""
    value = 0
    for character in exchange_id[:10]:
        digit = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(character)
        if digit < 0:
            return 0
        value = value << 5 | digit
    return value * 1_000_000
