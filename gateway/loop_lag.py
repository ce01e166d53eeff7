"""Loop lag: how late the event loop is, which no timer inside a request can see."""

import asyncio
from collections import deque
from typing import Final, final

_EVERY_SECONDS: Final = 0.25
_KEPT: Final = 60
"""Fifteen seconds of it: a scrape sees what was between two."""


@final
class LoopLag:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=_KEPT)

    def worst(self) -> float:
        """The longest the loop was late lately, seconds."""
        return max(self._late, default=0.0)

    async def watch(self) -> None:
        """Look again and again; ends with its task."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY_SECONDS
            await asyncio.sleep(_EVERY_SECONDS)
            self._late.append(max(loop.time() - due, 0.0))
