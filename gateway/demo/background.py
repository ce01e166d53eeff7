"""A provider in a thread of its own, so that plain code, a command or a test can talk to it over real sockets."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.provider import Provider, Script
from policies.errors import StepwardenError


class ProviderDidNotSee(StepwardenError):
    """What a waiter expected of the provider did not happen in time."""

    def remedy(self) -> str:
        """What the reader should do next, in one sentence."""
        return "Look at `requests`: it holds what did arrive."


class BackgroundProvider:
    """Runs a `Provider` in a daemon thread; usable as a context manager.

    Everything here may be called from any thread but the provider's own. Scripts run in the provider's thread.
    """

    def __init__(self, script: Script, *, keep: int = 1000) -> None:
        self._provider = Provider(script, keep=keep)
        self._provider.on_change = self._changed
        self._change = threading.Condition()  # its lock is re-entrant: waiters look at `requests` while holding it
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-provider", daemon=True)

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash; empty before `start`."""
        return self._provider.url

    @property
    def script(self) -> Script:
        """What decides about answers; may be replaced at any time."""
        return self._provider.script

    @script.setter
    def script(self, script: Script) -> None:
        self._provider.script = script

    @property
    def early(self) -> Callable[[SeenRequest], Answer | None] | None:
        """See `Provider.early`."""
        return self._provider.early

    @early.setter
    def early(self, early: Callable[[SeenRequest], Answer | None] | None) -> None:
        self._provider.early = early

    @property
    def requests(self) -> list[SeenRequest]:
        """What arrived, oldest first, each as it stands now."""
        with self._change:
            return self._provider.requests

    @property
    def connections(self) -> int:
        """How many TCP connections are open now."""
        return self._provider.connections

    def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; returns the URL."""
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._provider.start(host, port), self._loop).result(timeout=10)

    def stop(self) -> None:
        """Drop every connection and end the thread. Idempotent."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._provider.stop(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def wait_for(self, happened: Callable[["BackgroundProvider"], bool], timeout: float = 30.0) -> None:
        """Block until `happened(self)` holds; it is asked again at every change.

        Raises `ProviderDidNotSee` after `timeout` seconds. In async code, call it through `asyncio.to_thread`.
        """
        with self._change:
            if not self._change.wait_for(lambda: happened(self), timeout):
                raise ProviderDidNotSee(f"nothing of the kind within {timeout:g} s; saw {len(self.requests)} requests")

    def wait_seen(self, count: int, timeout: float = 30.0) -> list[SeenRequest]:
        """Block until `count` requests have arrived; returns them all."""
        self.wait_for(lambda provider: len(provider.requests) >= count, timeout)
        return self.requests

    def wait_ended(self, count: int, timeout: float = 30.0) -> list[SeenRequest]:
        """Block until `count` requests have been answered or abandoned; returns all requests seen."""
        self.wait_for(lambda it: sum(request.ended is not None for request in it.requests) >= count, timeout)
        return self.requests

    def _changed(self) -> None:
        with self._change:
            self._change.notify_all()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.stop()
