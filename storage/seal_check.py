"""Seal check: whether the record beside a log is what the log's `step.recorded` entries sealed. Changes nothing."""

import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, final

import msgspec

from storage.audit import tiles
from storage.audit.archive import Archive
from storage.audit.derive import Progress
from storage.audit.findings import Flaws
from storage.audit.tiles import WIDTH, Place
from storage.files import max_id
from storage.partitions import day_of
from storage.step_seals import Leaves, Rows, misfit, rows_between

_MARKS: Final = (b'"step.recorded"', b'"retention.applied"', b'"ingest.dropped"')
_LIMIT: Final = WIDTH * (2 + tiles.LONGEST)


class _Said(msgspec.Struct):
    """What an entry says of the record, whichever of the three types it is."""

    type: str
    rows: tuple[int, int] | None = None
    root: str = ""
    first: str = ""
    last: str = ""
    marks: str | None = None
    files: tuple[str, ...] = ()


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


def check_seals(directory: Path, files: Archive, size: int, flaws: Flaws, progress: Progress) -> SealsChecked | None:
    """Derive every seal anew from the day files in `directory`; None where there are none.

    `files` is a log of `size` entries that was verified. Raises `sqlite3.Error` for a file that is no database.
    """
    paths = sorted(directory.glob("spans-*.db"))
    if not paths:
        return None
    with ExitStack() as opened:
        days = [opened.enter_context(closing(_open(path))) for path in paths]
        said = list(_said(files, size))
        check = _Check(days, said, flaws)
        batches = [(index, entry) for index, entry in said if entry.type == "step.recorded"]
        for done, (index, entry) in enumerate(batches):
            progress(done, len(batches))
            check.batch(index, entry)
        return check.result()


@final
class _Check:
    def __init__(self, days: list[sqlite3.Connection], said: list[tuple[int, _Said]], flaws: Flaws) -> None:
        self._days = days
        self._flaws = flaws
        self._dropped = {name for _, entry in said for name in entry.files}
        self._lost = [entry.rows for _, entry in said if entry.type == "ingest.dropped" and entry.rows]
        self._next: int | None = None
        """The first row beyond the last batch; None before any."""
        self._batches = self._expired = self._exchanges = 0

    def batch(self, index: int, entry: _Said) -> None:
        """Hold one batch against its rows."""
        assert entry.rows is not None
        first, last = entry.rows
        self._next = last + 1
        rows = rows_between(self._days, first, last)
        if rows and _root(rows) == entry.root:
            self._batches += 1
            self._exchanges += len(rows)
        elif self._explained(entry):
            self._expired += 1
        else:
            self._flaws.add("spans", _wrong(rows, entry), index)

    def result(self) -> SealsChecked:
        """What came of all of them."""
        newest = max(max_id(day, "exchange") for day in self._days)
        unsealed = 0 if self._next is None else len(rows_between(self._days, self._next, newest))
        return SealsChecked(batches=self._batches, expired=self._expired, exchanges=self._exchanges, unsealed=unsealed)

    def _explained(self, entry: _Said) -> bool:
        """Whether the log itself says why these rows are gone."""
        assert entry.rows is not None
        days = {f"spans-{day_of(_minted_ns(each))}.db" for each in (entry.first, entry.last)}
        return bool(days & self._dropped) or self._is_lost(*entry.rows)

    def _is_lost(self, first: int, last: int) -> bool:
        return any(lost[0] <= last and first <= lost[1] for lost in self._lost)


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
        for at, entry in enumerate(tiles.unbundled(files.read(place.path, _LIMIT)), index * WIDTH):
            if any(mark in entry for mark in _MARKS):
                yield at, msgspec.json.decode(entry, type=_Said)


def _open(path: Path) -> sqlite3.Connection:
    """Read a day file and write nothing: one that was closed well has no log, and needs no index over it."""
    log = path.with_name(f"{path.name}-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _minted_ns(exchange_id: str) -> int:
    """When a ULID was minted, 0 for another id."""
    value = 0
    for character in exchange_id[:10]:
        digit = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(character)
        if digit < 0:
            return 0
        value = value << 5 | digit
    return value * 1_000_000
