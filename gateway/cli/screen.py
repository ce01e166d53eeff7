"""What reaches the terminal. Everything recorded is hostile: it is shown as text and can do nothing else."""

import datetime as dt
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.text import Text

from gateway.shown import clean
from gateway.times import nanoseconds

_THOUSAND = 1000
_MILLION = 1_000_000
_SHOWN = 100
"""Micro-USD of the smallest amount that is shown as a figure."""

_KIB = 1024


def out() -> Console:
    """Standard output: no markup, no highlighting, no emoji codes in what is printed."""
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=_width())


def err() -> Console:
    """Standard error, the same way."""
    return Console(file=sys.stderr, markup=False, highlight=False, emoji=False, width=_width())


def _width() -> int | None:
    """Terminals as they are; files and pipes 120 columns."""
    return None if sys.stdout.isatty() else 120


def _unseen(done: int, of: int) -> None:
    """No terminal to show it on."""


@contextmanager
def progress(title: str, *, quiet: bool) -> Generator[Callable[[int, int], None]]:
    """Where the terminal is one, a bar on standard error; gives what to tell how much is done, and of how much."""
    if quiet or not sys.stderr.isatty():
        yield _unseen
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def print_json(document: Any) -> None:
    """One JSON document on standard output; JSON escapes control characters itself."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def styled(text: str, style: str = "") -> Text:
    """Recorded text, cleaned, in one style."""
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis")


def local(at: str | None) -> str:
    """An RFC 3339 time as local clock time, with its day unless that is today."""
    if at is None:
        return "-"
    moment = dt.datetime.fromtimestamp(nanoseconds(at) // 1_000_000_000).astimezone()
    today = dt.datetime.fromtimestamp(time.time()).astimezone().date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%b %d %H:%M}"


def local_full(at: str | None) -> str:
    """An RFC 3339 time as local day, clock with milliseconds, and zone."""
    if at is None:
        return "-"
    at_ns = nanoseconds(at)
    moment = dt.datetime.fromtimestamp(at_ns // 1_000_000_000).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S}.{at_ns // 1_000_000 % 1000:03d} {moment:%Z}"


def between(start: str | None, end: str | None) -> str:
    """The time from one moment to another, readable and never negative; `-` where one is unknown."""
    if start is None or end is None:
        return "-"
    return duration(max(0, nanoseconds(end) - nanoseconds(start)))


def duration(length_ns: int) -> str:
    """Nanoseconds as milliseconds, seconds or minutes."""
    milliseconds = length_ns / 1e6
    if abs(milliseconds) < 1:
        return f"{milliseconds:.2f} ms"
    if abs(milliseconds) < _THOUSAND:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / _THOUSAND
    minute = 60
    if seconds < minute:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), minute)
    return f"{minutes} min {rest:02d} s" if minutes < minute else f"{minutes // minute} h {minutes % minute:02d} min"


def ending(exchange: dict[str, Any]) -> Text:
    """How an exchange ended: in which error, where there was one, else how far its answer came."""
    outcome, error = exchange["outcome"], exchange["error_type"]
    if error is None or error.endswith(outcome):
        return styled(outcome, "" if outcome == "complete" else "bold red")
    return styled(error if outcome in {"complete", "refused"} else f"{outcome} {error}", "bold red")


def money(micro_usd: int | None, *, unpriced: int = 0) -> str:
    """Millionths of a dollar; unknown stays unknown, little is not nothing, and a sum that misses some says so."""
    if micro_usd is None:
        return "unknown"
    if 0 < micro_usd < _SHOWN:
        return "> $0" if unpriced else "<$0.0001"
    amount = f"${micro_usd / _MILLION:,.4f}" if micro_usd < 10 * _MILLION else f"${micro_usd / _MILLION:,.2f}"
    return f"≥ {amount}" if unpriced else amount


def count(number: int | None) -> str:
    """A count, short; unknown is `?`."""
    if number is None:
        return "?"
    if number < 10 * _THOUSAND:
        return f"{number:,}"
    return f"{number / _THOUSAND:,.1f}k" if number < _MILLION else f"{number / _MILLION:,.2f}M"


def noun(number: int, one: str, many: str | None = None) -> str:
    """What so many are called."""
    return one if number == 1 else many or one + "s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """So many, and what they are called."""
    return f"{count(number)} {noun(number, one, many)}"


def size(length: int) -> str:
    """Bytes, short."""
    if length < _KIB:
        return f"{length} B"
    return f"{length / _KIB:.1f} KiB" if length < _KIB * _KIB else f"{length / _KIB / _KIB:.1f} MiB"
