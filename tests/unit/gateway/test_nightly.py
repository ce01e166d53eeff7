"""When the gateway proposes by itself."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.long_work import WorkRunning
from gateway.optimizing.nightly import due, nightly

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 23), st.integers(0, 59))
def test_a_time_of_day_comes_once_in_every_day(since: datetime, hour: int, minute: int) -> None:
    schedule = f"{hour:02}:{minute:02}"
    day = [since + timedelta(minutes=at) for at in range(1, 24 * 60 + 1)]
    came = next(now for now in day if due(schedule, since, now))
    assert (came.hour, came.minute) == (hour, minute) or came - since == timedelta(days=1)
    assert not due(schedule, came, came + timedelta(hours=22))


def test_a_run_begins_when_other_work_is_done_and_once_a_night() -> None:
    clock = [NOON]
    asked: list[datetime] = []

    async def events() -> AsyncIterator[bytes]:
        yield b"event: report\ndata: {}\n\n"

    def optimize() -> AsyncIterator[bytes]:
        asked.append(clock[0])
        if len(asked) == 1:
            raise WorkRunning("a backtest is running")
        return events()

    async def pause(_: float) -> None:
        clock[0] += timedelta(hours=1)
        if clock[0] > NOON + timedelta(hours=47):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(nightly("03:30", optimize, now=lambda: clock[0], pause=pause))
    assert [(each.day, each.hour) for each in asked] == [(1, 4), (1, 5), (2, 4)]
