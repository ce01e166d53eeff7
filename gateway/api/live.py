"""The live feed: steps as they happen and exchanges as they end, as server-sent events.

Each event is made once, whoever watches. What came within a moment is one chunk for each audience, written by
`gateway.viewers` to all of it that is in this process, and told once to each worker where viewers are at workers.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import SkipValidation
from litestar.response.base import ASGIResponse

from gateway.api import answers
from gateway.api.access import EVERY_APP, SUFFICES, Access, requires, scope_of
from gateway.api.events import EVENTS, event
from gateway.api.looks import look
from gateway.api.ports import Audit
from gateway.api.problems import SAFE_HEADERS
from gateway.api.reading import Dialects
from gateway.contents import Reach, Recorded, texts
from gateway.server import DOOR, Door
from gateway.stations.asks import GLIMPSED, Glimpse
from gateway.stations.ingress import Watch
from gateway.viewers import WATCHING, Audience, Chunk, Connection, Room, Viewer
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.holds import Hold
from policies.vocabulary.judgements import StepJudgement
from policies.vocabulary.keys import Principal
from policies.vocabulary.steps import Step

_Seen: TypeAlias = tuple[int, str, int]
"""Place, kind and size of a step: what tells whether it is still the one that was shown."""

_CHUNK: Final = 256 << 10
"""Bytes that are sent without waiting for the moment to be over."""

_NOTHING_NEW: Final = Chunk(b": nothing new\n\n", 0)

_AGAIN_SECONDS: Final = 5.0
"""How often whoever watches is asked whether it still may."""

RELAYED: Final = "stepwarden.relayed"
"""Key in `scope["extensions"]` of requests that a worker speaks for."""

AUDIENCE: Final = "stepwarden-audience"
"""Header by which the keeper tells a worker whose chunks a caller may have. No caller is shown it."""


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


class _Channel:
    """What one audience is told: events gather for a moment, and go out as one chunk."""

    def __init__(self, gather_seconds: float, quiet_seconds: float) -> None:
        self.room = Room()
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
            self.flush()
        elif self._due is None:
            self._due = self._loop.call_at(self._told + self._gather_seconds, self.flush)

    def flush(self) -> None:
        """Send what gathered."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._gathered:
            return
        self._told = self._loop.time()
        chunk = Chunk(b"".join(self._gathered), len(self._gathered))
        self._gathered, self._bytes = [], 0
        self.room.tell(chunk)

    def close(self) -> None:
        """Nobody of this audience watches any more."""
        self._reminder.cancel()
        self.room.close()
        if self._due is not None:
            self._due.cancel()

    def _remind(self) -> None:
        """Say something in a quiet time, so that a connection that is gone is noticed."""
        self._reminder = self._loop.call_later(self._quiet_seconds, self._remind)
        if self._loop.time() - self._told >= self._quiet_seconds:
            self.room.tell(_NOTHING_NEW)


class LiveFeed:
    """Hands every recording to those who watch. Belongs to one event loop: call everything from its thread."""

    def __init__(
        self,
        dialects: Dialects,
        *,
        reach: Reach | None = None,
        viewers: int = 64,
        quiet_seconds: float = 15.0,
        gather_seconds: float = 0.3,
    ) -> None:
        """After each chunk, what comes next gathers for `gather_seconds`: under load one write carries many events.

        The first event after a quiet time never waits.
        """
        self._dialects = dialects
        self._reach = reach or Reach()
        self._most = viewers
        self._quiet_seconds = quiet_seconds
        self._gather_seconds = gather_seconds
        self._channels: dict[Audience, _Channel] = {}
        self._shown: dict[str, set[_Seen]] = {}
        """Steps of exchanges under way that were shown already."""
        self._over = asyncio.Event()
        self.viewers = 0
        """How many watch; with none, `publish` costs nothing."""

    def watched(self, app: str) -> bool:
        """Whether anybody watches who may see this app."""
        return bool(self._watching(app))

    def glimpse(self, glimpse: Glimpse) -> None:
        """Show what is new of an exchange under way; once it is over, that is not shown again, if it still holds."""
        watching = self._watching(glimpse.app)
        if not watching:
            return
        shown = self._shown.get(glimpse.exchange_id)
        events: list[bytes] = []
        if shown is None:
            shown = self._shown[glimpse.exchange_id] = set()
            events.append(event("begun", answers.Begun.of(glimpse), glimpse.exchange_id))
        for step, text in zip(glimpse.steps, glimpse.texts, strict=True):
            shown.add(_seen(step))
            events.append(event("step", answers.Step.of(step, text, longest=GLIMPSED), step.step_id))
        for channel in watching:
            channel.tell(events)

    def forget(self, exchange_id: str) -> None:
        """Nothing more will come of an exchange under way."""
        self._shown.pop(exchange_id, None)

    def publish(self, recording: Recording) -> None:
        """Show one recording to everyone who may see its app."""
        shown = self._shown.pop(recording.exchange.exchange_id, None)
        watching = self._watching(recording.exchange.app)
        if not watching:
            return
        events = self._events(recording, shown or set[_Seen]())
        for channel in watching:
            channel.tell(events)

    def _watching(self, app: str) -> "list[_Channel]":
        return [channel for audience, channel in self._channels.items() if audience.app in {EVERY_APP, app}]

    def announce(self, hold: Hold) -> None:
        """Show that a step waits for a person, or no longer does; what is asked only to those who may read holds."""
        watching = [pair for pair in self._channels.items() if pair[0].app in {EVERY_APP, hold.ask.app}]
        if not watching:
            return
        whole = answers.Hold.of(hold)
        full = event("hold", whole, hold.hold_id)
        bare = event("hold", msgspec.structs.replace(whole, text=""), hold.hold_id)
        for audience, channel in watching:
            channel.tell([full if audience.overseer else bare])

    def close(self) -> None:
        """Let everybody go for good, so that a draining server need not wait for those who come back at once."""
        for channel in self._channels.values():
            channel.flush()
        self._over.set()

    @contextmanager
    def place(self) -> Generator[None]:
        """One viewer's place, wherever its connection is. Raises `TooManyViewers`, and `FeedOver` once it is closed."""
        if self._over.is_set():
            raise FeedOver("the gateway is about to end, and its live feed with it")
        if self.viewers >= self._most:
            raise TooManyViewers("all places at the live feed are taken")
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1

    async def over(self, seconds: float) -> bool:
        """Whether the feed is closed, or closes within so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def enter(self, audience: Audience, viewer: Viewer) -> None:
        """Tell a viewer, or all viewers of this audience at a worker, what happens from now on."""
        channel = self._channels.get(audience)
        if channel is None:
            channel = self._channels[audience] = _Channel(self._gather_seconds, self._quiet_seconds)
        channel.room.add(viewer)

    def leave(self, audience: Audience, viewer: Viewer) -> None:
        """Tell it no more. With the last one of an audience, nothing is made for it any more."""
        channel = self._channels.get(audience)
        if channel is None:
            return
        channel.room.discard(viewer)
        if channel.room.empty:
            channel.close()
            del self._channels[audience]

    def _events(self, recording: Recording, shown: AbstractSet[_Seen]) -> list[bytes]:
        """Its steps, but those that were shown under way and are as they were; and the exchange itself."""
        exchange = recording.exchange
        said = {each.seq: each for each in recording.judged.steps} if recording.judged else {}
        steps = [step for step in recording.steps if _seen(step) not in shown or _stands_out(said.get(step.seq))]
        found = texts(exchange, steps, Recorded(recording), self._dialects.get(exchange.dialect), self._reach)
        told = (
            answers.Step.of(step, text, longest=GLIMPSED, said=said.get(step.seq))
            for step, text in zip(steps, found, strict=True)
        )
        events = [event("step", step, step.step_id) for step in told]
        return [*events, event("exchange", answers.Exchange.of(exchange), exchange.exchange_id)]


def _seen(step: Step) -> _Seen:
    return step.seq, step.kind, step.size


def _stands_out(said: StepJudgement | None) -> bool:
    """Whether a step is told again because of what clauses made of it meanwhile."""
    return said is not None and (said.verdict.name, said.verdict.shadow) != ("allow", "allow")


class _Watching(ASGIResponse):
    """The answer that lasts as long as its caller stays, the feed goes on, and the caller may watch."""

    __slots__ = ("_audience", "_live", "_may")
    _should_set_content_length = False

    def __init__(self, live: LiveFeed, audience: Audience, may: Callable[[], object]) -> None:
        """`may` raises once this caller may watch no more."""
        super().__init__(media_type=EVENTS, headers=SAFE_HEADERS)
        self._live = live
        self._audience = audience
        self._may = may

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer. What is told goes past the application, straight to the connection."""
        del receive
        door: Door = scope["extensions"][DOOR]
        with self._live.place():
            watch = Watch(door)
            try:
                if RELAYED in scope["extensions"]:
                    await self._vouch(send)
                else:
                    await self._tell(door, scope["http_version"], send)
                watch.stop()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except asyncio.CancelledError:
                if not watch.recalled():
                    raise

    async def _tell(self, door: Door, version: str, send: Any) -> None:
        """Tell this caller everything."""
        await self.start_response(send)
        viewer = Viewer(Connection(door.outlet, chunked=version != "1.0"))
        self._live.enter(self._audience, viewer)
        try:
            await send({"type": "http.response.body", "body": WATCHING, "more_body": True})
            while await self._lasts():
                pass
        finally:
            self._live.leave(self._audience, viewer)

    async def _vouch(self, send: Any) -> None:
        """Tell a worker whose chunks its caller may have, for as long as this answer lasts."""
        self.headers.add(AUDIENCE, msgspec.msgpack.encode(self._audience).hex())
        await self.start_response(send)
        while await self._lasts():
            await send({"type": "http.response.body", "body": b": it may\n\n", "more_body": True})

    async def _lasts(self) -> bool:
        """Whether, after a while, the feed still goes on and this caller still may watch."""
        if await self._live.over(_AGAIN_SECONDS):
            return False
        try:
            self._may()
        except StepwardenError:
            return False
        return True


def audience_of(header: bytes) -> Audience:
    """What the keeper said in `AUDIENCE`."""
    return msgspec.msgpack.decode(bytes.fromhex(header.decode()), type=Audience)


@get(
    "/api/live",
    opt=requires("viewer"),
    media_type=EVENTS,
    responses={
        200: ResponseSpec(
            str, generate_examples=False, media_type=EVENTS, description="Events, until either side ends them."
        )
    },
)
async def live_feed(
    request: Request[Any, Any, Any],
    live: NamedDependency[SkipValidation[LiveFeed]],
    audit: NamedDependency[SkipValidation[Audit]],
    access: NamedDependency[SkipValidation[Access]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> ASGIResponse:
    """Steps as they happen and exchanges as they end; a step is told again where a clause has made something of it."""
    await asyncio.to_thread(look, audit, principal, "live", app=scope_of(principal, None))
    audience = Audience(principal.app, principal.role in SUFFICES["overseer"])
    return _Watching(live, audience, lambda: access.principal(request))
