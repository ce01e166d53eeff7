"""Seal check: whether the record beside a log is what the log's `step.recorded` entries sealed. Changes nothing.

What is gone has to be gone on the log's word: a day that retention dropped, rows that a power loss took, exchanges
that were erased. A gateway may write meanwhile: it tells of what it takes out before it does so, and what it told
since the head that was verified is read after the record.
"""

import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, final

import msgspec

from policies.errors import StepwardenError
from storage.audit.archive import Archive, Unreadable
from storage.audit.derive import Progress
from storage.audit.findings import Flaws
from storage.erased import EXPIRED
from storage.files import open_as_it_is, open_locked, was_at_rest
from storage.step_seals import Leaves, Rows, has_erased, is_buried, misfit, parts_fit, rows_between
from storage.told import Batch, Told, later_lines, lines
from storage.ulids import unpack

_BEFORE_ALL: Final = -(1 << 63)
_DAYS: Final = "spans-*.db"
_Open: TypeAlias = Callable[[Path], sqlite3.Connection]


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

    on_trust: bool = False
    """True where something is gone on the word of entries beyond the head that was verified."""


class _Found(NamedTuple):
    """What was found of a batch that is not as it was written."""

    batch: Batch
    holds: bool
    """Whether what is there gives its root."""

    missing: tuple[int, ...]
    fits: bool
    """Whether what is left is what its marks say."""

    wrong: str
    expired: tuple[tuple[int, str], ...]
    """Number and id of exchanges that retention took out."""

    erased: int


class _Looked(NamedTuple):
    """What was found of all of them."""

    checked: SealsChecked
    found: list[_Found]
    strays: list[tuple[int, str]]
    """Number and id of exchanges that stand where no batch is."""


def check_seals(directory: Path, files: Archive, size: int, flaws: Flaws, progress: Progress) -> SealsChecked | None:
    """Derive every seal anew from the day files in `directory`; None where no record stands beside the log.

    `files` is a log of `size` entries that was verified. Raises `sqlite3.Error` for a file that is no database.
    """
    if not any(directory.glob(_DAYS)) and not (directory / "meta.db").exists():
        return None
    told = Told(lines(files, size))
    looked = _look(directory, told, progress)
    wrong, expired = _judged(looked, told)
    checked = msgspec.structs.replace(looked.checked, expired=expired)
    if wrong.found:
        with suppress(FileNotFoundError, Unreadable, StepwardenError):
            told.explain(Told(later_lines(directory, files, size)))
        later, expired = _judged(looked, told)
        checked = msgspec.structs.replace(checked, expired=expired, on_trust=len(later.found) < len(wrong.found))
        for flaw in later.found:
            flaws.add(flaw.place, flaw.what, flaw.entry)
    return checked


def _look(directory: Path, told: Told, progress: Progress) -> _Looked:
    before = was_at_rest(directory, _DAYS)
    with suppress(sqlite3.Error):
        looked = _look_at(directory, told, open_as_it_is, progress)
        if was_at_rest(directory, _DAYS) == before:
            return looked
    # It is damaged, or somebody wrote to a file that nobody had open.
    return _look_at(directory, told, open_locked, progress)


def _look_at(directory: Path, told: Told, opened_by: _Open, progress: Progress) -> _Looked:
    with ExitStack() as opened:
        paths = sorted(directory.glob(_DAYS))
        record = _Record([opened.enter_context(closing(opened_by(path))) for path in paths])
        check = _Check(record)
        for done, batch in enumerate(told.batches):
            progress(done, len(told.batches))
            check.batch(batch)
        return check.result(told.batches)


@final
class _Record:
    """The day files."""

    def __init__(self, days: Sequence[sqlite3.Connection]) -> None:
        self._days = [(day, *_range(day)) for day in days]

    def rows(self, first: int, last: int) -> Rows:
        """The rows with these numbers, erased ones too; of each day file as it is at one moment."""
        days = [day for day, low, high in self._days if low <= last and first <= high]
        for day in days:
            day.execute("BEGIN")
        try:
            return rows_between(days, first, last)
        finally:
            for day in days:
                day.execute("COMMIT")

    def count(self, first: int, last: int) -> int:
        """How many exchanges have these numbers and are not erased."""
        query = "SELECT count(*) FROM exchange WHERE id BETWEEN ? AND ?"
        return sum(int(day.execute(query, (first, last)).fetchone()[0]) for day, _, _ in self._days)

    @property
    def newest(self) -> int:
        """The highest number there was."""
        return max((high for _, _, high in self._days), default=0)


@final
class _Check:
    def __init__(self, record: _Record) -> None:
        self._record = record
        self._found: list[_Found] = []
        self._batches = self._exchanges = 0

    def batch(self, batch: Batch) -> None:
        """Hold one batch against its rows."""
        rows = self._record.rows(*batch.rows)
        holds = bool(rows) and _root(rows) == batch.said.root
        if holds:
            self._batches += 1
            self._exchanges += len(rows)
        buried = [row for row in rows if is_buried(row)]
        if not holds or buried:
            self._found.append(_looked_at(batch, rows, buried, holds=holds))

    def result(self, batches: Sequence[Batch]) -> _Looked:
        """What came of all of them."""
        first = min((batch.rows[0] for batch in batches), default=1)
        last = max((batch.rows[1] for batch in batches), default=0)
        checked = SealsChecked(
            batches=self._batches,
            expired=0,
            exchanges=self._exchanges,
            unsealed=self._record.count(last + 1, self._record.newest),
            older=self._record.count(1, first - 1),
        )
        return _Looked(checked, self._found, self._strays(sorted(batch.rows for batch in batches), first))

    def _strays(self, ranges: Sequence[tuple[int, int]], first: int) -> list[tuple[int, str]]:
        """Exchanges between two batches or before all: those of every batch follow on those of the last."""
        gaps = [(before[1] + 1, after[0] - 1) for before, after in pairwise(ranges)]
        gaps = [gap for gap in [(_BEFORE_ALL, min(first - 1, 0)), *gaps] if gap[0] <= gap[1]]
        rows = [row for gap in gaps for row in self._record.rows(*gap)]
        return [(row["id"], unpack(row["exchange_id"])) for row in rows]


def _looked_at(batch: Batch, rows: Rows, buried: Rows, *, holds: bool) -> _Found:
    there = {row["id"] for row in rows}
    missing = tuple([number for number in range(batch.rows[0], batch.rows[1] + 1) if number not in there])
    fits = batch.said.marks is None or parts_fit(rows, b64decode(batch.said.marks))
    expired = [(row["id"], unpack(row["exchange_id"])) for row in buried if row["erasure"] == EXPIRED]
    wrong = "" if holds else _wrong(rows, batch)
    return _Found(batch, holds, missing, fits, wrong, tuple(expired), len(buried) - len(expired))


def _judged(looked: _Looked, told: Told) -> tuple[Flaws, int]:
    """What no entry explains, and how many batches are gone, or partly, on the word of one."""
    flaws, gone = Flaws(), 0
    for each in looked.found:
        if each.missing and each.fits and all(told.may_be_gone(each.batch, number) for number in each.missing):
            gone += 1
        elif not each.holds:
            flaws.add("spans", each.wrong, each.batch.entry)
        for number, exchange_id in each.expired:
            if told.expired.isdisjoint(each.batch.files(number)):
                what = f"exchange {exchange_id} was taken out, and no entry says that its day was over"
                flaws.add("spans", what, each.batch.entry)
                break
    _look_for_graves(looked.found, told, flaws)
    for number, exchange_id in looked.strays:
        if not told.is_lost(number):
            flaws.add("spans", f"exchange {exchange_id} was added: it is under no seal")
    return flaws, gone


def _look_for_graves(found: Sequence[_Found], told: Told, flaws: Flaws) -> None:
    """Whether more exchanges were erased than entries behind their seals tell of."""
    entries = told.erased.copy()
    erased = said = 0
    for each in reversed(found):
        erased += each.erased
        while entries and entries[-1][0] > each.batch.entry:
            said += entries.pop()[1]
        if erased > said:
            what = f"{erased} exchanges sealed from here on are erased, and the log tells of {said}"
            flaws.add("spans", what, each.batch.entry)
            return


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


def _wrong(rows: Rows, batch: Batch) -> str:
    """What does not hold, down to the step where the entry holds marks of the batch's records."""
    entry = batch.said
    whole = f"the record of exchanges {entry.first} to {entry.last}"
    if not rows:
        return f"{whole} is missing"
    first = misfit(rows, b64decode(entry.marks)) if entry.marks else None
    return f"{whole} is not what was sealed" + (f": {first}" if first else "")
