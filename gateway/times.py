"""Times as people and programs write them: RFC 3339 in UTC with nanoseconds, and durations such as `2h`."""

import datetime as dt
import re
from functools import lru_cache

from policies.errors import StepwardenError

_SECOND = 1_000_000_000
_LATEST = (1 << 63) - 1
"""In April 2262: the last nanosecond that 64 bits count, and so the store."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")


class NotATime(StepwardenError):
    """A text is neither RFC 3339 nor a duration."""

    status = 400

    def remedy(self) -> str:
        """How to write one."""
        return "Write 2026-11-23T14:00:00Z, or a span of time such as 90s, 30m, 2h, 7d."


def rfc3339(at_ns: int) -> str:
    """A wall-clock time in nanoseconds as `2026-11-23T14:00:00.123456789Z`."""
    seconds, rest = divmod(at_ns, _SECOND)
    return f"{_to_the_second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=256)
def _to_the_second(seconds: int) -> str:
    """What many times that are told together have in common."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()[:19]


def nanoseconds(text: str) -> int:
    """An RFC 3339 time as nanoseconds since the Unix epoch. Raises `NotATime`."""
    found = _RFC3339.fullmatch(text.strip())
    if found is None:
        raise NotATime("this is not an RFC 3339 time")
    day, clock, fraction, zone = found.groups()
    try:
        moment = dt.datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError as error:
        raise NotATime("this day or hour does not exist") from error
    return _kept(int(moment.timestamp()) * _SECOND + int((fraction or "0").ljust(9, "0")))


def span_ns(text: str) -> int:
    """A duration such as `2h` in nanoseconds. Raises `NotATime`."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise NotATime("this is not a span of time")
    return int(found[1]) * _UNITS[found[2]] * _SECOND


def moment_ns(text: str, *, now_ns: int) -> int:
    """An RFC 3339 time, or a duration back from now, neither before 1970. Raises `NotATime`."""
    return max(0, now_ns - span_ns(text) if _DURATION.fullmatch(text.strip()) else nanoseconds(text))


def later_ns(text: str, *, now_ns: int) -> int:
    """An RFC 3339 time, or a duration from now on. Raises `NotATime`."""
    return _kept(now_ns + span_ns(text)) if _DURATION.fullmatch(text.strip()) else nanoseconds(text)


def _kept(at_ns: int) -> int:
    """A time that the store can hold. Raises `NotATime`."""
    if at_ns > _LATEST:
        raise NotATime("this is after the year 2262, beyond what is counted here")
    return at_ns
