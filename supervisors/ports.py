"""What supervisors need of the floor above: a way to send something to one address."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from policies.asking import Answer
from policies.trail import Scene

Clock = Callable[[], int]
"""Nanoseconds of a monotonic clock."""


class Posted(msgspec.Struct, frozen=True):
    """An answer to a `POST`."""

    status: int
    body: bytes
    """Whole, and no longer than was allowed; empty where the status is not 200."""

    retry_after_seconds: float | None = None
    """How long whoever answered wants to be left alone, where it said so."""


class Unposted(Exception):
    """There is no answer; `why` is a low-cardinality word, and never holds what was sent or a key."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Post(Protocol):
    """One address, which the configuration fixed."""

    async def post(
        self, body: bytes, *, key: str | None, most: int, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> Posted:
        """Send JSON, with a bearer token where there is a key; at most `most` bytes of the answer are read.

        `headers` go with it.

        Follows no redirect and sends nothing twice. Raises `Unposted`; a cancelled call drops its connection.
        """
        ...

    async def close(self) -> None:
        """Close the connections that are open."""
        ...


class Adapter(Protocol):
    """Answers for one guard that is asked."""

    async def ask(self, scene: Scene) -> Answer:
        """What is to be said of a step, or why nothing is. May raise; the panel then says so."""
        ...

    async def close(self) -> None:
        """Let go of what is held open."""
        ...
