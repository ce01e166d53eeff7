"""The live feed: exchanges and steps as they are recorded, as server-sent events.

A viewer that does not read fast enough loses events and is told how many; nobody waits for it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.response import Stream

from gateway.api import answers
from gateway.api.access import EVERY_APP, SUFFICES, actor_of, requires, scope_of, sees
from gateway.api.ports import Audit
from gateway.api.problems import SAFE_HEADERS
from gateway.api.reading import Dialects
from gateway.contents import Reach, Recorded, texts
from policies.errors import StepwardenError
from policies.vocabulary.audit import ContentRead
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.holds import Hold
from policies.vocabulary.keys import Principal

_LONGEST = 2000
"""Characters of a step's text in an event; the whole is in `/api/sessions/ID/steps`."""


class TooManyViewers(StepwardenError):
    """All places at the live feed are taken."""

    status = 503

    def remedy(self) -> str:
        """What frees one."""
        return "Close another `stepwarden tail`, then try again."


class FeedOver(StepwardenError):
    """The gateway is about to end."""

    status = 503

    def remedy(self) -> str:
        """When there is one again."""
        return "Try again once the gateway is back."


class _Viewer:
    """One reader: a bounded queue of encoded events."""

    def __init__(self, principal: Principal, capacity: int) -> None:
        self.principal = principal
        self._waiting: deque[bytes] = deque()
        self._capacity = capacity
        self._dropped = 0
        self._arrived = asyncio.Event()
        self._over = False

    def offer(self, event: bytes) -> None:
        """Queue an event, or count it as dropped."""
        if len(self._waiting) < self._capacity:
            self._waiting.append(event)
        else:
            self._dropped += 1
        self._arrived.set()

    def end(self) -> None:
        """No more events will come."""
        self._over = True
        self._arrived.set()

    async def next(self) -> bytes | None:
        """All that waits, as one chunk; None once it is over."""
        while not self._waiting:
            if self._over:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        chunk = b"".join(self._waiting)
        self._waiting.clear()
        if self._dropped:
            chunk += _event("dropped", None, {"events": self._dropped})
            self._dropped = 0
        return chunk


class LiveFeed:
    """Hands every recording to those who watch. Belongs to one event loop: call everything from its thread."""

    def __init__(
        self,
        dialects: Dialects,
        *,
        reach: Reach | None = None,
        capacity: int = 1000,
        viewers: int = 64,
        quiet_seconds: float = 15.0,
        gather_seconds: float = 0.2,
    ) -> None:
        """After each chunk, what comes next gathers for a moment, so that under load one write carries many events.

        The first event after a quiet time never waits.
        """
        self._dialects = dialects
        self._reach = reach or Reach()
        self._capacity = capacity
        self._most = viewers
        self._quiet_seconds = quiet_seconds
        self._gather_seconds = gather_seconds
        self._viewers: set[_Viewer] = set()
        self._over = False

    @property
    def viewers(self) -> int:
        """How many watch; with none, `publish` costs nothing."""
        return len(self._viewers)

    def publish(self, recording: Recording) -> None:
        """Show one recording to everyone who may see its app."""
        exchange = recording.exchange
        watching = [viewer for viewer in self._viewers if sees(viewer.principal, exchange.app)]
        if not watching:
            return
        for event in self._events(recording):
            for viewer in watching:
                viewer.offer(event)

    def announce(self, hold: Hold) -> None:
        """Show that a step waits for a person, or no longer does; what is asked only to those who may read holds."""
        watching = [viewer for viewer in self._viewers if sees(viewer.principal, hold.ask.app)]
        if not watching:
            return
        whole = answers.Hold.of(hold)
        full = _event("hold", hold.hold_id, whole)
        bare = _event("hold", hold.hold_id, msgspec.structs.replace(whole, text=""))
        for viewer in watching:
            viewer.offer(full if viewer.principal.role in SUFFICES["overseer"] else bare)

    def close(self) -> None:
        """End every stream for good, so that a draining server need not wait for those who come back at once."""
        self._over = True
        for viewer in self._viewers:
            viewer.end()

    def watch(self, principal: Principal) -> AsyncIterator[bytes]:
        """The events from now on, encoded, with comments while nothing happens.

        Raises `TooManyViewers`, and `FeedOver` once it is closed.
        """
        if self._over:
            raise FeedOver("the gateway is about to end, and its live feed with it")
        if len(self._viewers) >= self._most:
            raise TooManyViewers("all places at the live feed are taken")
        return self._stream(_Viewer(principal, self._capacity))

    async def _stream(self, viewer: _Viewer) -> AsyncIterator[bytes]:
        if self._over:  # closed since it was asked for
            return
        self._viewers.add(viewer)
        try:
            yield b": watching\n\n"
            while True:
                try:
                    chunk = await asyncio.wait_for(viewer.next(), self._quiet_seconds)
                except TimeoutError:
                    chunk = b": nothing new\n\n"
                if chunk is None:
                    return
                yield chunk
                await asyncio.sleep(self._gather_seconds)
        finally:
            self._viewers.discard(viewer)

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
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), identity, msgspec.json.encode(data))


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
