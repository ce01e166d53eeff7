"""Entry lines: what gives an audit entry its place and its time, so that a log's lines stand in the order of both."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import final

from policies.vocabulary.audit import GATEWAY, ClockSkew, Entry, line

SKEW_NS = 1_000_000_000
"""How far the wall clock may move against the monotonic one between two entries before that is an entry itself."""


@final
class EntryLines:
    """Turns entries into lines. Belongs to whoever holds the ledger's lock."""

    def __init__(
        self,
        next_seq: int,
        last_ns: int | None,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`last_ns`: the time of the log's last entry where it is known; a clock that stands before it is said."""
        self.next = next_seq
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._ahead_ns = wall_ns() - steady_ns()
        self._before_ns = last_ns
        """Only until the first entry: what the wall clock must not stand before."""

    def lines(self, entries: Sequence[Entry]) -> list[bytes]:
        """The lines of entries in order, numbered from `next`; a jump of the clock is said before them.

        `next` stays until `keep`, so that a transaction that fails leaves no gap. Raises `EntryTooLong` or
        `UnicodeEncodeError`.
        """
        now_ns = self._wall_ns()
        skew_ns = self._skew_ns(now_ns)
        ts = rfc3339_nanoseconds(now_ns)
        if abs(skew_ns) >= SKEW_NS:
            entries = (ClockSkew(actor=GATEWAY, milliseconds=skew_ns // 1_000_000), *entries)
        return [line(entry, seq=seq, ts=ts) for seq, entry in enumerate(entries, self.next)]

    def keep(self, count: int) -> None:
        """So many lines are in the ledger."""
        self.next += count
        self._ahead_ns = self._wall_ns() - self._steady_ns()
        self._before_ns = None

    def _skew_ns(self, now_ns: int) -> int:
        """How far the clock went since the last line: against its own pace, or back behind the last run's end."""
        moved = now_ns - self._steady_ns() - self._ahead_ns
        if self._before_ns is not None and now_ns < self._before_ns:
            return now_ns - self._before_ns
        return moved


def rfc3339_nanoseconds(at_ns: int) -> str:
    """A moment as `2026-11-29T13:24:05.123456789Z`: of one length, so that text sorts as time does."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def nanoseconds_of(ts: str) -> int:
    """The same back: nanoseconds since the Unix epoch."""
    whole = datetime.fromisoformat(f"{ts[:19]}+00:00")
    return int(whole.timestamp()) * 1_000_000_000 + int(ts[20:29])
