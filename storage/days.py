"""Days: which day files there are and how far each goes, for readers while the writer moves on."""

from collections.abc import Mapping
from pathlib import Path
from typing import final

from storage.partitions import day_of, month_of


@final
class Days:
    """Day files by name. Changed by the writing thread, read by any: every change is a new mapping."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._last: dict[str, int] = {}

    @property
    def last(self) -> Mapping[str, int]:
        """Highest visible `exchange.id` of each day, oldest day first."""
        return self._last

    def publish(self, last: Mapping[str, int]) -> None:
        """Make exchanges up to these ids visible to those who read in order of insertion."""
        self._last = dict(sorted({**self._last, **last}.items()))

    def withdraw(self, day: str) -> None:
        """A day is about to be dropped."""
        self._last = {name: last for name, last in self._last.items() if name != day}

    def newest_first(self) -> list[str]:
        """Every day, newest first."""
        return list(reversed(self._last))

    def last_written_first(self) -> list[str]:
        """Every day, the one that was written to last first: not the newest where a clock was set back."""
        return sorted(self._last, key=self._last.__getitem__, reverse=True)

    def between(self, first_ns: int, last_ns: int) -> list[str]:
        """The days that touch a span of time (Unix epoch, nanoseconds), oldest first."""
        first, last = day_of(first_ns), day_of(last_ns)
        return [day for day in self._last if first <= day <= last]

    def after(self, number: int) -> list[str]:
        """The days that hold exchanges inserted after this one."""
        return [day for day, last in self._last.items() if last > number]

    def spans(self, day: str) -> Path:
        """The day's file."""
        return self.directory / f"spans-{day}.db"

    def contents(self, day: str) -> Path:
        """The file of the month a day lies in."""
        return self.month(month_of(day))

    def month(self, month: str) -> Path:
        """The file of a month's contents."""
        return self.directory / f"content-{month}.db"
