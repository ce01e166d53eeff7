"""Somebody who watches the live feed: keeps what it is sent, and reads it or not."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from gateway.viewers import Chunk


def events(chunk: bytes) -> list[tuple[str, Any]]:
    """The events of a chunk; comments are none."""
    found: list[tuple[str, Any]] = []
    for block in chunk.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


class Screen:
    """A sink of the live feed. What is not read counts as unsent, as it does with a connection."""

    def __init__(self, shows: Callable[[Chunk], None] = lambda _: None, *, reads: bool = True) -> None:
        self.said: list[bytes] = []
        self._shows = shows
        self._reads = reads
        self._unread = 0
        self._more = asyncio.Event()

    def write(self, chunk: Chunk) -> None:
        """Take a chunk."""
        self.said.append(chunk.data)
        self._unread += 0 if self._reads else len(chunk.data)
        self._shows(chunk)
        self._more.set()

    def unsent(self) -> int:
        """Bytes that were not read."""
        return self._unread

    def read(self) -> None:
        """Read all that waits, and from now on at once."""
        self._unread, self._reads = 0, True

    async def holds(self, count: int) -> list[bytes]:
        """All chunks, once there are so many."""
        await self._until(lambda: len(self.said) >= count)
        return self.said

    async def says(self, words: bytes) -> None:
        """Once it was sent these words."""
        await self._until(lambda: any(words in each for each in self.said))

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                self._more.clear()
                await self._more.wait()
