"""Partitions: which file a moment belongs to. Days and months are cut in UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAY_NS = 86_400_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(at_ns: int) -> str:
    """`YYYYMMDD` of a wall-clock time in nanoseconds since the Unix epoch."""
    return _name(at_ns // DAY_NS)


def end_of(day: str) -> int:
    """When a day is over, by its name."""
    return ((datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) - _EPOCH).days + 1) * DAY_NS


def month_of(day: str) -> str:
    """`YYYYMM` of a day."""
    return day[:6]


@lru_cache(maxsize=512)
def _name(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y%m%d")
