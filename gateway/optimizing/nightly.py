"""Nightly: the gateway proposes by itself at a time of day. What is proposed climbs the same ladder as ever."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.api.long_work import WorkRunning

_LOG: Final = logging.getLogger("stepwarden.optimizer")

_CHECK_SECONDS: Final = 30.0
"""How often the clock is looked at: it may be set."""


def due(schedule: str, since: datetime, now: datetime) -> bool:
    """Whether a time of day, `HH:MM` UTC, has come between two moments."""
    hour, minute = (int(part) for part in schedule.split(":"))
    next_time = since.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if next_time <= since:
        next_time += timedelta(days=1)
    return now >= next_time


async def nightly(
    schedule: str,
    optimize: Callable[[], AsyncIterator[bytes]],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Propose once a day, until it is cancelled. A run that finds other work under way begins when that is done.

    `optimize` begins a run and follows it; `now` is UTC.
    """
    since = now()
    while True:
        await pause(_CHECK_SECONDS)
        if not due(schedule, since, now()):
            continue
        try:
            async for event in optimize():
                if event.startswith(b"event: error"):
                    _LOG.error("the nightly run for proposals failed", extra={"said": event.decode()[:500]})
        except WorkRunning:
            continue
        since = now()
        _LOG.info("the nightly run for proposals is over")
