"""Long work on the record: one at a time, in a thread beside the event loop; whoever leaves ends it."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from gateway.api.answers import Fault
from gateway.api.events import event
from policies.errors import StepwardenError

_LOG = logging.getLogger("stepwarden.work")

_TOLD_SECONDS: Final = 0.25
"""How often a caller hears how far it is."""


class Watcher:
    """Whoever waits for work: hears how far it is and what it found on the way; may leave. Safe from any thread."""

    def __init__(self, over: threading.Event, patience: float) -> None:
        """`patience`: seconds after which whoever asks for no news has left without a word."""
        self._over = over
        self._patience = patience
        self._left = threading.Event()
        self._asked = time.monotonic()
        self._far = (0, 0)
        self._found: deque[bytes] = deque()

    def told(self, done: int, of: int) -> None:
        """So much is done."""
        self._far = (done, of)

    def found(self, data: object) -> None:
        """Something that is shown before the report is there."""
        self._found.append(event("found", data))

    def gone(self) -> bool:
        """Whether nobody waits any more: the work ends then."""
        return self._left.is_set() or self._over.is_set() or time.monotonic() - self._asked > self._patience

    def leave(self) -> None:
        """Nobody waits any more."""
        self._left.set()

    def news(self) -> bytes:
        """What was found since the last time, and how far it is."""
        self._asked = time.monotonic()
        return self.finds() + event("progress", {"done": self._far[0], "of": self._far[1]})

    def finds(self) -> bytes:
        """What was found since the last time."""
        return b"".join([self._found.popleft() for _ in range(len(self._found))])


class WorkRunning(StepwardenError):
    """Other work on the record runs: one at a time is what a gateway spares beside its traffic."""

    status = 503

    def remedy(self) -> str:
        """What to do."""
        return "Try again when it is done; or stop the gateway and run it on the data directory itself."


class LongWork:
    """The one thread there is for it, and whoever waits."""

    def __init__(self, *, patience: float = 60.0) -> None:
        """`patience`: seconds after which work ends that nobody asks about any more."""
        self._patience = patience
        self._running = threading.Lock()
        self._over = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="long-work")

    def close(self) -> None:
        """End what runs: the gateway stops."""
        self._over.set()
        self._thread.shutdown(wait=False)

    def begin(self, work: Callable[[Watcher], object]) -> AsyncIterator[bytes]:
        """Start it and follow it: `progress` events with what is `found`, then its `report`, or `error`.

        `work` tells how far it is, and ends by itself once nobody waits any more. Raises `WorkRunning`.
        """
        if not self._running.acquire(blocking=False):
            raise WorkRunning("a backtest, a search or a run of optimizers is going on")
        watcher = Watcher(self._over, self._patience)

        def carried_out() -> object:
            try:
                return work(watcher)
            finally:
                self._running.release()

        # Begun here and not with the first look: a caller that leaves before it would keep the place for good.
        return self._follow(watcher, self._thread.submit(carried_out))

    async def _follow(self, watcher: Watcher, carried_out: "Future[object]") -> AsyncIterator[bytes]:
        task = asyncio.wrap_future(carried_out)
        try:
            while not (await asyncio.wait({task}, timeout=_TOLD_SECONDS))[0]:
                yield watcher.news()
            yield watcher.finds() + _closing(task)
        finally:
            task.add_done_callback(_looked_at)
            watcher.leave()


def _looked_at(task: "asyncio.Future[object]") -> None:
    """Take what went wrong in work that nobody follows any more: told by asyncio, its message could hold content."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.info("work that nobody followed ended", extra={"error": type(error).__name__})


def _closing(task: "asyncio.Future[object]") -> bytes:
    """The report, or why there is none."""
    error = task.exception()
    if error is None:
        return event("report", task.result())
    if isinstance(error, StepwardenError):
        return event("error", Fault(type=type(error).__name__, message=str(error), remedy=error.remedy()))
    # A bug of ours. Its message may hold content, so only its kind is told.
    _LOG.error("work on the record failed", extra={"error": type(error).__name__})
    return event(
        "error",
        Fault(type="internal", message="this failed on what is recorded", remedy=StepwardenError().remedy()),
    )
