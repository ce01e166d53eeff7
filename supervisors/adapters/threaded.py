"""Threaded: a library that may block, run beside the event loop, on one text at a time.

A thread cannot be broken off. Whoever asks gets an answer in time all the same; until the late text is done with,
others are told at once that the guard is stuck.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Final

from policies.asking import Answer
from policies.trail import Scene
from policies.vocabulary.findings import Hit
from supervisors.ports import Clock

log = logging.getLogger("stepwarden.threaded")

PATIENCE_SECONDS: Final = 10.0
"""How long a step may wait for its turn."""

LOADING_SECONDS: Final = 30.0
"""How long the first steps may wait for the library to load."""

Examine = Callable[[Scene], tuple[Hit, ...]]
Load = Callable[[], Examine]
"""Imports what is needed and makes it ready; seconds. Raises `Unloadable`, or whatever the library does."""


class Unloadable(Exception):
    """What is asked for is not there; the message is for operators."""


class Threaded:
    """One library with a thread of its own, which begins to load at once.

    Failures are `loading not_loaded overloaded timed_out stuck`; what the library raises, is raised.
    """

    def __init__(self, name: str, load: Load, *, deadline_ms: int, clock: Clock) -> None:
        self._deadline_seconds = deadline_ms / 1000
        self._clock = clock
        self._turn = asyncio.Lock()
        self._late = False
        self._loaded: Future[None] = Future()
        self._jobs: SimpleQueue[tuple[Scene, Future[tuple[Hit, ...]]] | None] = SimpleQueue()
        Thread(target=_run, args=(load, self._loaded, self._jobs), name=name, daemon=True).start()

    async def ask(self, scene: Scene) -> Answer:
        """What the library makes of a step, or why nothing."""
        began_ns = self._clock()
        why = await self._entered()
        if why is not None:
            return Answer(failure=why, micros=self._since(began_ns))
        job: Future[tuple[Hit, ...]] = Future()
        done = asyncio.wrap_future(job)
        done.add_done_callback(self._ended)
        self._jobs.put((scene, job))
        try:
            async with asyncio.timeout(self._deadline_seconds):
                found = await asyncio.shield(done)
        except TimeoutError:
            if done.done():
                raise
            self._late = True
            return Answer(failure="timed_out", micros=self._since(began_ns))
        return Answer(hits=found, micros=self._since(began_ns))

    async def _entered(self) -> str | None:
        """Wait for the library and for a turn; why there is none, where there is none."""
        if self._late:
            return "stuck"
        try:
            async with asyncio.timeout(LOADING_SECONDS):
                await asyncio.shield(asyncio.wrap_future(self._loaded))
        except TimeoutError:
            return "loading"
        except Exception:  # noqa: BLE001 - why it did not load was told when it did not; here it is one more failure
            return "not_loaded"
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            return "overloaded"
        return None

    def _ended(self, done: "asyncio.Future[tuple[Hit, ...]]") -> None:
        self._late = False
        self._turn.release()
        if not done.cancelled():
            done.exception()  # whoever asked may have gone, and then nobody else looks

    def _since(self, began_ns: int) -> int:
        return max(self._clock() - began_ns, 0) // 1000

    async def close(self) -> None:
        """Let the thread end once it has nothing to do."""
        self._jobs.put(None)


def _run(load: Load, loaded: Future[None], jobs: "SimpleQueue[tuple[Scene, Future[tuple[Hit, ...]]] | None]") -> None:
    """The whole life of the thread."""
    try:
        examine = load()
    except BaseException as error:  # noqa: BLE001 - handed to whoever asks
        why = str(error) if isinstance(error, Unloadable) else type(error).__name__
        log.error("a guard could not be loaded", extra={"reason": why})  # noqa: TRY400 - the rest may hold anything
        loaded.set_exception(error)
        return
    loaded.set_result(None)
    while (one := jobs.get()) is not None:
        scene, job = one
        try:
            job.set_result(examine(scene))
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked
            job.set_exception(error)
