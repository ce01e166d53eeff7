"""Viewers of the live feed in one process, and what is written to them.

Who may see the same shares everything: what came within a moment is one chunk of bytes, made once and handed to every
connection past the application, without a task, a lock or a clock of each viewer's own. One that does not read fast
enough loses chunks and is told how many events were in them; nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Final, Protocol

import msgspec

from gateway.api.events import event
from gateway.server import Outlet

CAPACITY: Final = 1 << 20
"""Bytes that may wait for one viewer."""

WATCHING: Final = b": watching\n\n"
"""The first words to a viewer: what happens from then on is told."""

_SETTLE_SECONDS: Final = 0.3
"""How soon a viewer that reads again is told what it missed."""


class Audience(msgspec.Struct, frozen=True, array_like=True):
    """Who may see the same."""

    app: str
    """`*` for those who may see all."""

    overseer: bool
    """Whether they may read what waits for a person."""


class Chunk:
    """What came within a moment, as it is sent to all who may see it."""

    def __init__(self, data: bytes, events: int) -> None:
        self.data = data
        self.events = events

    @cached_property
    def framed(self) -> bytes:
        """The same as a chunk of an HTTP/1.1 answer."""
        return b"%x\r\n%b\r\n" % (len(self.data), self.data)


class Sink(Protocol):
    """Where a viewer's chunks go."""

    def write(self, chunk: Chunk) -> None:
        """Send a chunk, now or when there is room; never waits."""
        ...

    def unsent(self) -> int:
        """Bytes that were written and have not left."""
        ...


class Connection:
    """An answer whose head has been sent, as a sink. Not for one that announced a length."""

    def __init__(self, outlet: Outlet | None, *, chunked: bool) -> None:
        assert outlet is not None, "whoever watches does so over a connection"
        self._outlet = outlet
        self._chunked = chunked
        self.unsent = outlet.unsent

    def write(self, chunk: Chunk) -> None:
        """See `Sink`. What comes between a connection's end and the end of its answer goes nowhere."""
        if not self._outlet.is_closing():
            self._outlet.write(chunk.framed if self._chunked else chunk.data)


class Viewer:
    """One who is told chunks, as long as no more than its capacity waits for it."""

    def __init__(self, sink: Sink, capacity: int = CAPACITY) -> None:
        self._sink = sink
        self._capacity = capacity
        self.missed = 0
        """Events that were dropped and that it has not been told of."""

    def offer(self, chunk: Chunk) -> None:
        """Write a chunk, or count its events as missed. One that finds nothing waiting is never too large."""
        waiting = self._sink.unsent()
        if waiting and waiting + len(chunk.data) > self._capacity:
            self.missed += chunk.events
            return
        if self.missed:
            self.admit()
        self._sink.write(chunk)

    def admit(self) -> None:
        """Say how many events were missed, once there is room again."""
        if self.missed and self._sink.unsent() < self._capacity // 2:
            self._sink.write(Chunk(event("dropped", {"events": self.missed}), 0))
            self.missed = 0


class Room:
    """Those of one audience who are here. Belongs to one event loop."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()
        self._settling: asyncio.TimerHandle | None = None

    @property
    def empty(self) -> bool:
        """Whether nobody is here."""
        return not self._viewers

    def add(self, viewer: Viewer) -> None:
        """Somebody comes; chunks from now on are theirs."""
        self._viewers.add(viewer)

    def discard(self, viewer: Viewer) -> None:
        """Somebody leaves."""
        self._viewers.discard(viewer)

    def tell(self, chunk: Chunk) -> None:
        """Hand a chunk to everybody."""
        missed = 0
        for viewer in self._viewers:
            viewer.offer(chunk)
            missed += viewer.missed
        if missed and self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._settle)

    def close(self) -> None:
        """Nobody comes any more."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def _settle(self) -> None:
        """Tell those who read again what they missed, though nothing else happens."""
        self._settling = None
        missed = 0
        for viewer in self._viewers:
            viewer.admit()
            missed += viewer.missed
        if missed:
            self._settling = asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._settle)


class Rooms:
    """The rooms of a worker: what the keeper tells an audience once reaches all of it that is here."""

    def __init__(self, watch: Callable[[Audience], Awaitable[None]], unwatch: Callable[[Audience], None]) -> None:
        """`watch` returns once the keeper tells an audience's chunks to this process; `unwatch` ends that."""
        self._watch = watch
        self._unwatch = unwatch
        self._rooms: dict[Audience, tuple[Room, asyncio.Future[None]]] = {}

    async def enter(self, audience: Audience, viewer: Viewer) -> None:
        """Let a viewer in; it is told everything that happens once this returns. `leave` in any case."""
        known = self._rooms.get(audience)
        if known is None:
            known = self._rooms[audience] = (Room(), asyncio.ensure_future(self._watch(audience)))
        room, told = known
        room.add(viewer)
        await asyncio.shield(told)

    def leave(self, audience: Audience, viewer: Viewer) -> None:
        """Let a viewer out; with the last of its audience the keeper need not tell any more."""
        known = self._rooms.get(audience)
        if known is None:
            return
        room, _ = known
        room.discard(viewer)
        if room.empty:
            room.close()
            del self._rooms[audience]
            self._unwatch(audience)

    def tell(self, audience: Audience, chunk: Chunk) -> None:
        """What the keeper tells; of an audience that has just left, nothing becomes of it."""
        known = self._rooms.get(audience)
        if known is not None:
            known[0].tell(chunk)
