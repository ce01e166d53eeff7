"""The live feed: exchanges and steps as they are recorded, as server-sent events.

Viewers who may see the same share everything: each event is made once, and what came within a moment is one chunk of
bytes that is handed to all of them. A viewer that does not read fast enough loses chunks and is told how many events
were in them; nobody waits for it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.response import Stream

from gateway.api import answers
from gateway.api.access import EVERY_APP, SUFFICES, actor_of, requires, scope_of
from gateway.api.ports import Audit
from gateway.api.problems import SAFE_HEADERS
from gateway.api.reading import Dialects
from gateway.contents import Reach, Recorded, texts
from policies.errors import StepwardenError
from policies.vocabulary.audit import ContentRead
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.holds import Hold
from policies.vocabulary.keys import Principal

_LONGEST: Final = 2000
"""Characters of a step's text in an event; the whole is in `/api/sessions/ID/steps`."""

_encode: Final = msgspec.json.Encoder().encode

_CHUNK: Final = 256 << 10
"""Bytes that are sent without waiting for the moment to be over."""

_NOTHING_NEW: Final = b": nothing new\n\n"


class TooManyViewers(StepwardenError):
    """All places at the live feed are taken."""

    status = 503

    def remedy(self) -> str:
        """What frees one."""
        return "Close another `stepwarden tail`, then try again."


class _Chunk(NamedTuple):
    """What came within a moment, as it is sent to all who may see it."""

    data: bytes
    events: int


class _Viewer:
    """One reader: the chunks it has not taken yet, bounded by their bytes."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[_Chunk] = deque()
        self._bytes = 0
        self._capacity = capacity
        self._dropped = 0
        self._arrived: asyncio.Future[None] | None = None
        self._over = False

    def offer(self, chunk: _Chunk) -> None:
        """Queue a chunk, or count its events as dropped. One that finds nothing waiting is never too large."""
        if self._waiting and self._bytes + len(chunk.data) > self._capacity:
            self._dropped += chunk.events
        else:
            self._waiting.append(chunk)
            self._bytes += len(chunk.data)
        self._wake()

    def remind(self) -> None:
        """Say something where nothing waits, so that a connection that is gone is noticed."""
        if not self._waiting:
            self.offer(_Chunk(_NOTHING_NEW, 0))

    def end(self) -> None:
        """No more events will come."""
        self._over = True
        self._wake()

    async def next(self) -> bytes | None:
        """All that waits, as one chunk; None once it is over."""
        while not self._waiting:
            if self._over:
                return None
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        # The one chunk of a viewer that keeps up is the very bytes that all get.
        data = self._waiting[0].data if len(self._waiting) == 1 else b"".join([each.data for each in self._waiting])
        self._waiting.clear()
        self._bytes = 0
        if self._dropped:
            data += _event("dropped", None, {"events": self._dropped})
            self._dropped = 0
        return data

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class _Audience(NamedTuple):
    """Who may see the same."""

    app: str
    """`EVERY_APP` for those who may see all."""

    overseer: bool
    """Whether they may read what waits for a person."""


class _Channel:
    """What one audience is told: events gather for a moment, and go out to all its viewers as one chunk."""

    def __init__(self, gather_seconds: float, quiet_seconds: float) -> None:
        self.viewers: set[_Viewer] = set()
        self._gather_seconds = gather_seconds
        self._quiet_seconds = quiet_seconds
        self._loop = asyncio.get_running_loop()
        self._gathered: list[bytes] = []
        self._bytes = 0
        self._told = self._loop.time() - gather_seconds
        self._due: asyncio.TimerHandle | None = None
        self._reminder = self._loop.call_later(quiet_seconds, self._remind)

    def tell(self, events: Sequence[bytes]) -> None:
        """Take events; the first ones after a quiet time wait for nothing but the end of this turn of the loop."""
        self._gathered += events
        self._bytes += sum(map(len, events))
        if self._bytes >= _CHUNK:
            self._flush()
        elif self._due is None:
            self._due = self._loop.call_at(self._told + self._gather_seconds, self._flush)

    def close(self) -> None:
        """Nobody of this audience watches any more."""
        self._reminder.cancel()
        if self._due is not None:
            self._due.cancel()

    def end(self) -> None:
        """Send what gathered, and end every stream."""
        self._flush()
        for viewer in self.viewers:
            viewer.end()

    def _flush(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._gathered:
            return
        self._told = self._loop.time()
        chunk = _Chunk(b"".join(self._gathered), len(self._gathered))
        self._gathered, self._bytes = [], 0
        for viewer in self.viewers:
            viewer.offer(chunk)

    def _remind(self) -> None:
        self._reminder = self._loop.call_later(self._quiet_seconds, self._remind)
        if self._loop.time() - self._told >= self._quiet_seconds:
            for viewer in self.viewers:
                viewer.remind()


class LiveFeed:
    """Hands every recording to those who watch. Belongs to one event loop: call everything from its thread."""

    def __init__(
        self,
        dialects: Dialects,
        *,
        reach: Reach | None = None,
        capacity: int = 1 << 20,
        viewers: int = 64,
        quiet_seconds: float = 15.0,
        gather_seconds: float = 0.3,
    ) -> None:
        """`capacity` is bytes that wait for one viewer. After each chunk, what comes next gathers for a moment.

        So under load one write carries many events. The first event after a quiet time never waits.
        """
        self._dialects = dialects
        self._reach = reach or Reach()
        self._capacity = capacity
        self._most = viewers
        self._quiet_seconds = quiet_seconds
        self._gather_seconds = gather_seconds
        self._channels: dict[_Audience, _Channel] = {}

    @property
    def viewers(self) -> int:
        """How many watch; with none, `publish` costs nothing."""
        return sum(len(channel.viewers) for channel in self._channels.values())

    def publish(self, recording: Recording) -> None:
        """Show one recording to everyone who may see its app."""
        app = recording.exchange.app
        watching = [channel for audience, channel in self._channels.items() if audience.app in {EVERY_APP, app}]
        if not watching:
            return
        events = self._events(recording)
        for channel in watching:
            channel.tell(events)

    def announce(self, hold: Hold) -> None:
        """Show that a step waits for a person, or no longer does; what is asked only to those who may read holds."""
        watching = [pair for pair in self._channels.items() if pair[0].app in {EVERY_APP, hold.ask.app}]
        if not watching:
            return
        whole = answers.Hold.of(hold)
        full = _event("hold", hold.hold_id, whole)
        bare = _event("hold", hold.hold_id, msgspec.structs.replace(whole, text=""))
        for audience, channel in watching:
            channel.tell([full if audience.overseer else bare])

    def close(self) -> None:
        """End every stream, so that a draining server need not wait for them."""
        for channel in self._channels.values():
            channel.end()

    def watch(self, principal: Principal) -> AsyncIterator[bytes]:
        """The events from now on, encoded, with comments while nothing happens. Raises `TooManyViewers`."""
        if self.viewers >= self._most:
            raise TooManyViewers("all places at the live feed are taken")
        return self._stream(_Audience(principal.app, principal.role in SUFFICES["overseer"]))

    async def _stream(self, audience: _Audience) -> AsyncIterator[bytes]:
        viewer = _Viewer(self._capacity)
        channel = self._channels.get(audience)
        if channel is None:
            channel = self._channels[audience] = _Channel(self._gather_seconds, self._quiet_seconds)
        channel.viewers.add(viewer)
        try:
            yield b": watching\n\n"
            while (chunk := await viewer.next()) is not None:
                yield chunk
        finally:
            channel.viewers.discard(viewer)
            if not channel.viewers and self._channels.get(audience) is channel:
                channel.close()
                del self._channels[audience]

    def _events(self, recording: Recording) -> list[bytes]:
        exchange = recording.exchange
        found = texts(exchange, recording.steps, Recorded(recording), self._dialects.get(exchange.dialect), self._reach)
        said = {each.seq: each for each in recording.judged.steps} if recording.judged else {}
        shown = (
            answers.Step.of(step, text, longest=_LONGEST, said=said.get(step.seq))
            for step, text in zip(recording.steps, found, strict=True)
        )
        events = [_event("step", step.step_id, step) for step in shown]
        return [*events, _event("exchange", exchange.exchange_id, answers.Exchange.of(exchange))]


def _event(name: str, event_id: str | None, data: object) -> bytes:
    """One event; JSON escapes every control character, so that no content can start another."""
    identity = b"" if event_id is None else b"id: %s\n" % event_id.encode()
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), identity, _encode(data))


@get("/api/live", opt=requires("viewer"), media_type="text/event-stream")
async def live_feed(
    live: NamedDependency[SkipValidation[LiveFeed]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Stream:
    """Exchanges and steps as they are recorded."""
    read = ContentRead(actor=actor_of(principal), tenant=scope_of(principal, None), what="live")
    await asyncio.to_thread(audit.note, read)
    return Stream(live.watch(principal), media_type="text/event-stream", headers=SAFE_HEADERS)


WHOLE_HOUSE = Principal(role="admin", app=EVERY_APP)
"""For watchers inside this process."""
