"""Memory given back: bodies come and go on two threads, and glibc keeps what it got unless it is asked.

Without this a worker under 60 KB requests holds half as much again as it uses. On other C libraries both
calls do nothing.
"""

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress

_M_ARENA_MAX = -8
"""mallopt(3)."""

_SECONDS = 0.5


def share_one_arena() -> None:
    """Let all threads allocate from one arena; the interpreter lock keeps them apart anyway."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free pages to the system: a millisecond, without the interpreter lock."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def tidy(carried: Callable[[], int]) -> None:
    """Give memory back twice a second while exchanges are carried; runs until cancelled."""
    before = carried()
    while True:
        await asyncio.sleep(_SECONDS)
        now = carried()
        if now != before:
            before = now
            await asyncio.to_thread(give_back)
