"""Long work on the record: one at a time, in a thread beside the event loop; whoever leaves ends it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from gateway.api.answers import Fault
from policies.errors import StepwardenError

_LOG = logging.getLogger("stepwarden.work")

_TOLD_SECONDS: Final = 0.25
"""How often a caller hears how far it is."""

Told = Callable[[int, int], None]
Gone = Callable[[], bool]


class WorkRunning(StepwardenError):
    """Other work on the record runs: one at a time is what a gateway spares beside its traffic."""

    status = 503

    def remedy(self) -> str:
        """What to do."""
        return "Try again when it is done; or stop the gateway and run it on the data directory itself."


class LongWork:
    """The one thread there is for it, and whoever waits."""

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._over = threading.Event()

    def close(self) -> None:
        """End what runs: the gateway stops."""
        self._over.set()

    def begin(self, work: Callable[[Told, Gone], object]) -> AsyncIterator[bytes]:
        """Start it and follow it: `progress` events, then its `report`, or `error`. Raises `WorkRunning`.

        `work` tells how far it is, and ends by itself once it is told that nobody waits any more.
        """
        if not self._running.acquire(blocking=False):
            raise WorkRunning("another backtest, or a search for proposals, is running")
        left = threading.Event()
        far = [0, 0]

        def told(done: int, of: int) -> None:
            far[:] = done, of

        def carried_out() -> object:
            try:
                return work(told, lambda: left.is_set() or self._over.is_set())
            finally:
                self._running.release()

        # Begun here, for who leaves at once follows nothing, and the next could then never begin.
        task = asyncio.get_running_loop().run_in_executor(None, carried_out)
        return self._follow(task, far, left)

    async def _follow(
        self, task: "asyncio.Future[object]", far: list[int], left: threading.Event
    ) -> AsyncIterator[bytes]:
        try:
            while not (await asyncio.wait({task}, timeout=_TOLD_SECONDS))[0]:
                yield _event("progress", {"done": far[0], "of": far[1]})
            yield _closing(task)
        finally:
            left.set()


def _closing(task: "asyncio.Future[object]") -> bytes:
    """The report, or why there is none."""
    error = task.exception()
    if error is None:
        return _event("report", task.result())
    if isinstance(error, StepwardenError):
        return _event("error", Fault(type=type(error).__name__, message=str(error), remedy=error.remedy()))
    # A bug of ours. Its message may hold content, so only its kind is told.
    _LOG.error("work on the record failed", extra={"error": type(error).__name__})
    return _event(
        "error",
        Fault(type="internal", message="this failed on what is recorded", remedy=StepwardenError().remedy()),
    )


def _event(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
