"""One section of a report: figures, lines of text, pictures."""

from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any, Final

import msgspec

from bench.plots import Axes, Series

_T: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Student's t at 95 %, two-sided, for 1 to 9 degrees of freedom."""


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What a section has to say."""

    title: str
    figures: dict[str, Any]
    lines: list[str]
    pictures: list[tuple[Axes, list[Series]]] = msgspec.field(default_factory=list)


def interval(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval over a few splits (Student's t). Splits share tasks, so it is a little too narrow."""
    every = list(values)
    middle = mean(every)
    if len(every) < 2:
        return middle, middle, middle
    half = _T[min(len(every) - 2, len(_T) - 1)] * stdev(every) / len(every) ** 0.5
    return middle, middle - half, middle + half


def said(values: Iterable[float]) -> str:
    """Mean and interval, for a table."""
    middle, low, high = interval(values)
    return f"{middle:.1f} [{low:.1f}, {high:.1f}]"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A table in Markdown."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *["| " + " | ".join(row) + " |" for row in rows],
    ]
