"""Entry lines: what gives an audit entry its place and its time, so that a log's lines stand in the order of both.

A line is RFC 8785 canonical JSON: `seq` is its place in the log, `ts` RFC 3339 in UTC, `v` the version. It needs no
general encoder, as names are ASCII and numbers are integers within 2^53: fields in the right order are enough.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Final, final

import msgspec
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo

from policies.vocabulary.audit import GATEWAY, LARGEST, VERSION, ClockSkew, Entry, EntryTooLong

# Sorts the keys of dictionaries; the fields of a form stand in their order already.
_encode = msgspec.json.Encoder(order="deterministic").encode

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
        return encoded(entries, self.next, ts)

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


def encoded(entries: Sequence[Entry], first: int, ts: str) -> list[bytes]:
    """The lines of at least one entry, numbered from `first`, without their ends. Raises as `EntryLines.lines` does."""
    lines = [_encode(_form(type(entry)).fill(entry, seq, ts)) for seq, entry in enumerate(entries, first)]
    if max(map(len, lines)) > LARGEST:
        entry, line = next(pair for pair in zip(entries, lines, strict=True) if len(pair[1]) > LARGEST)
        raise EntryTooLong(_tag(type(entry)), len(line))
    return lines


@final
class _Form:
    """The fields of a line of one type of entry in the order of their names. Absent where an entry leaves them out."""

    def __init__(self, entry: type[Entry]) -> None:
        fields = {field.name: field for field in msgspec.structs.fields(entry)}
        given = (*fields, *_ADDED)
        order = sorted(range(len(given)), key=given.__getitem__)
        self._values = attrgetter(*fields)
        self._sort = itemgetter(*order)
        self._tag = _tag(entry)
        self._line = msgspec.defstruct(
            f"{entry.__name__}Line",
            [(given[at], Any, _default(fields.get(given[at]))) for at in order],
            omit_defaults=True,
            gc=False,
        )

    def fill(self, entry: Entry, seq: int, ts: str) -> msgspec.Struct:
        """The line of an entry, ready to be encoded."""
        return self._line(*self._sort((*self._values(entry), seq, ts, self._tag, VERSION)))


_ADDED: Final = ("seq", "ts", "type", "v")
_ALWAYS: Final = object()
"""The default of what no line leaves out: no value is this one."""

_form = cache(_Form)


def _default(field: FieldInfo | None) -> Any:
    """What is left out of a line where an entry has it, which is what the entry itself leaves out."""
    if field is None or field.required:
        return _ALWAYS
    if field.default_factory is not NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _tag(entry: type[Entry]) -> str:
    return str(entry.__struct_config__.tag)


def rfc3339_nanoseconds(at_ns: int) -> str:
    """A moment as `2026-11-29T13:24:05.123456789Z`: of one length, so that text sorts as time does."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def nanoseconds_of(ts: str) -> int:
    """The same back: nanoseconds since the Unix epoch."""
    whole = datetime.fromisoformat(f"{ts[:19]}+00:00")
    return int(whole.timestamp()) * 1_000_000_000 + int(ts[20:29])
