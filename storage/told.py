"""Told: what a log tells of the record beside it: what each batch seals, and why rows may be gone."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, final

import msgspec

from storage.audit import tiles
from storage.audit.archive import Archive
from storage.audit.checkpoint import read_checkpoint
from storage.audit.directory import CHECKPOINT
from storage.audit.note import LARGEST, read_note
from storage.audit.tiles import WIDTH, Place
from storage.files import open_as_it_is
from storage.partitions import DAY_NS, day_of
from storage.ulids import minted_ns

_ENDED: Final = frozenset({"request.completed", "request.failed", "stream.aborted"})
_TYPES: Final = frozenset({*_ENDED, "step.recorded", "retention.applied", "ingest.dropped", "content.erased"})
_MARKS: Final = tuple(f'"{each}"'.encode() for each in sorted(_TYPES))
_WAITING: Final = "SELECT first, lines FROM audit_group WHERE first + count > ? ORDER BY first"

Line = tuple[int, bytes]
"""An entry with its index."""


class Said(msgspec.Struct):
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


class Batch(NamedTuple):
    """What one entry seals."""

    entry: int
    """Its index in the log."""

    said: Said
    rows: tuple[int, int]
    days: tuple[str, ...]
    """The day file of each of its rows; where a log does not say, none."""

    def files(self, number: int) -> Sequence[str]:
        """The day files that a row of it may have stood in."""
        return self.days[number - self.rows[0] :][:1] or (_file(self.said.first), _file(self.said.last))


@final
class Told:
    """What entries tell, in their order."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.batches: list[Batch] = []
        self.dropped: set[str] = set()
        """Day files that went whole, so that nothing of them has to be there."""

        self.expired: set[str] = set()
        """Day files of which anything went."""

        self.lost: list[tuple[int, int]] = []
        self.erased: list[tuple[int, int]] = []
        """Index of each entry that tells of an erasure, and how many exchanges it was of."""

        self._days: list[str] = []
        for index, entry in lines:
            if any(mark in entry for mark in _MARKS):
                self._add(index, msgspec.json.decode(entry, type=Said))

    def may_be_gone(self, batch: Batch, number: int) -> bool:
        """Whether an entry says why this row is not there."""
        return not self.dropped.isdisjoint(batch.files(number)) or self.is_lost(number)

    def is_lost(self, number: int) -> bool:
        """Whether the log tells that this row may be missing, or have no seal."""
        return any(first <= number <= last for first, last in self.lost)

    def explain(self, later: "Told") -> None:
        """Take what later entries say of what is gone; what they seal is newer than what was looked at."""
        self.dropped |= later.dropped
        self.expired |= later.expired
        self.lost += later.lost
        self.erased += later.erased

    def _add(self, index: int, entry: Said) -> None:
        if entry.type in _ENDED:
            self._days.append(_file(entry.exchange))
        elif entry.type == "step.recorded" and entry.rows is not None:
            count = entry.rows[1] - entry.rows[0] + 1
            # One entry that ends each of its exchanges stands right before it.
            days = tuple(self._days[-count:]) if len(self._days) >= count else ()
            self.batches.append(Batch(index, entry, entry.rows, days))
            self._days = []
        elif entry.type == "retention.applied":
            self.expired.update(entry.files)
            self.dropped.update(set(entry.files) - set(entry.stripped))
        elif entry.type == "content.erased":
            self.erased.append((index, entry.exchanges))
        elif entry.type == "ingest.dropped" and entry.rows is not None:
            self.lost.append(entry.rows)


def lines(files: Archive, size: int, *, first: int = 0) -> Iterator[Line]:
    """Entries of a published log of `size`, from one on. Raises `FileNotFoundError` or `Unreadable`."""
    for index in range(first // WIDTH, -(-size // WIDTH)):
        width = WIDTH if index < size // WIDTH else size % WIDTH
        place = Place(level=0, index=index, width=width, entries=True)
        for at, entry in enumerate(_bundle(files, place), index * WIDTH):
            if at >= first:
                yield at, entry


def later_lines(directory: Path, files: Archive, size: int) -> list[Line]:
    """Entries beyond a head of `size`: what was published since, and what waits for it in `ledger.db`.

    Nothing vouches for those that wait. What is taken out of the record was told of before, so whoever looks here
    after the record finds it. Raises as `lines`.
    """
    waiting = _waiting(directory / "ledger.db", size)
    head = read_checkpoint(read_note(files.read(CHECKPOINT, LARGEST)).text).size
    until = min(head, waiting[0][0]) if waiting else head
    return [*lines(files, until, first=size), *waiting] if until > size else waiting


def _waiting(ledger: Path, size: int) -> list[Line]:
    if not ledger.exists():
        return []
    try:
        with closing(open_as_it_is(ledger)) as connection:
            groups = connection.execute(_WAITING, (size,)).fetchall()
    except sqlite3.Error:
        return []  # of another release, or damaged: then nothing there explains anything
    found = [line for first, group in groups for line in enumerate(group.split(b"\n"), first)]
    return [line for line in found if line[0] >= size]


def _bundle(files: Archive, place: Place) -> list[bytes]:
    """The entries of a bundle; of a partial one also where a full one took its place since the log was verified."""
    try:
        data = files.read(place.path, tiles.LARGEST)
    except FileNotFoundError:
        data = files.read(msgspec.structs.replace(place, width=WIDTH).path, tiles.LARGEST)
    return tiles.unbundled(data)[: place.width]


def _file(exchange_id: str) -> str:
    """The day file that an exchange is recorded in, by the time in its id."""
    return _file_of(minted_ns(exchange_id) // DAY_NS)


@lru_cache(maxsize=512)
def _file_of(day: int) -> str:
    """One text for all exchanges of a day: of a long log there are millions."""
    return f"spans-{day_of(day * DAY_NS)}.db"
