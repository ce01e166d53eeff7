"""The keeper over a Unix socket: how several data-plane workers share one.

Frames are four bytes of length (big endian) and a msgpack array `[number, method, payload]`; answers are
`[number, error or nil, payload]`. `finish`, `show`, `close`, `lose`, `pulse` and `unwatch` have no answer. What a
worker opened and did not close is given up when its connection ends: reservations are spent in full, and its sessions
go on without it. The socket lies in the data directory, so its file permissions are the authentication. Nothing but
these Structs is ever decoded from it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import msgspec

from gateway import refusals
from gateway.keeper import LocalKeeper, Opened, Opening, Pulse
from gateway.refusals import Refused
from gateway.stations.asks import Done, Glimpse
from gateway.viewers import Audience, Chunk, Viewer
from policies.asking import Answer
from policies.errors import StepwardenError
from policies.guards.judge import Case
from policies.vocabulary.audit import ConfigActivated
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.grants import ToolToken
from policies.vocabulary.holds import HoldAsk
from policies.vocabulary.keys import Principal
from policies.vocabulary.pins import Listing, Pinned
from policies.vocabulary.reports import Report

log = logging.getLogger("stepwarden.keeper")

_LENGTH = 4
_LARGEST = 256 << 20
_UNASKED = 0
"""The number of what the keeper says by itself. Calls count from 1."""

_LINK_CAPACITY = 4 << 20
"""Bytes of the live feed that may wait for a worker that is slow to take them."""

_encoder = msgspec.msgpack.Encoder()


class KeeperLost(Refused):
    """The worker's link to the keeper broke; nothing can be admitted or recorded until it is back."""

    status = 503
    code = "supervision_unavailable"
    retry_after = 1


class _Call(msgspec.Struct, array_like=True, frozen=True):
    number: int
    method: str
    payload: msgspec.Raw


class _Answer(msgspec.Struct, array_like=True, frozen=True):
    number: int
    error: tuple[str, str] | None
    payload: msgspec.Raw


class _Forget(msgspec.Struct, array_like=True, frozen=True, tag="forget"):
    """Sessions that were erased."""

    sessions: tuple[str, ...]


class _Told(msgspec.Struct, array_like=True, frozen=True, tag="told"):
    """A chunk of the live feed for the viewers of one audience."""

    audience: Audience
    data: bytes
    events: int


_Unasked: TypeAlias = _Forget | _Told


class _Frames(asyncio.Protocol):
    """Cuts a byte stream into frames and hands each to `on_frame`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH:
            size = int.from_bytes(self._buffer[:_LENGTH], "big")
            if size > _LARGEST:
                log.error("a frame on the keeper's socket is too long")
                assert self.transport is not None
                self.transport.abort()
                return
            if len(self._buffer) < _LENGTH + size:
                return
            frame = bytes(memoryview(self._buffer)[_LENGTH : _LENGTH + size])
            del self._buffer[: _LENGTH + size]
            self.on_frame(frame)

    def on_frame(self, frame: bytes) -> None:
        """Take one frame's payload."""
        raise NotImplementedError

    def unsent(self) -> int:
        """Bytes that wait for the other end to take them."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def say(self, message: object) -> bool:
        """Send one frame; False for one that the other end would not take: it would end the connection over it."""
        payload = _encoder.encode(message)
        if len(payload) > _LARGEST:
            return False
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(len(payload).to_bytes(_LENGTH, "big") + payload)
        return True


class _WorkersAudience:
    """All of one audience that is at one worker, as a sink of the live feed."""

    def __init__(self, link: _Frames, audience: Audience) -> None:
        self._link = link
        self._audience = audience
        self.unsent = link.unsent

    def write(self, chunk: Chunk) -> None:
        """See `Sink`."""
        self._link.say((_UNASKED, None, _Told(self._audience, chunk.data, chunk.events)))


class KeeperSide(_Frames):
    """One worker's connection, at the keeper."""

    def __init__(self, keeper: LocalKeeper) -> None:
        super().__init__()
        self._keeper = keeper
        self._answering: set[asyncio.Task[None]] = set()
        self._holding: dict[int, asyncio.Task[None]] = {}
        """Answers that wait for a person, by the number of their call."""
        self._open: set[str] = set()
        """Exchange ids this worker opened and has not closed."""
        self._watching: dict[Audience, Viewer] = {}
        """Who watches the live feed at this worker."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell this worker of what is erased from now on."""
        super().connection_made(transport)
        self._keeper.forgetting.add(self._forget)

    def _forget(self, sessions: Sequence[str]) -> None:
        self.say((_UNASKED, None, _Forget(tuple(sessions))))

    def on_frame(self, frame: bytes) -> None:
        """Answer a call, in order for those that need no waiting."""
        call = msgspec.msgpack.decode(frame, type=_Call)
        if call.method == "close":
            recording = msgspec.msgpack.decode(call.payload, type=Recording)
            self._open.discard(recording.exchange.exchange_id)
            self._keeper.close(recording)
            return
        if call.method == "lose":
            exchange_id, why = msgspec.msgpack.decode(call.payload, type=tuple[str, str])
            self._open.discard(exchange_id)
            self._keeper.lose(exchange_id, why)
            return
        if not self._noted(call):
            self._begin(call)

    def _noted(self, call: _Call) -> bool:
        """Take what needs no waiting, in the order in which it comes; whether it was that."""
        if call.method == "finish":
            self._keeper.finish(msgspec.msgpack.decode(call.payload, type=Done))
        elif call.method == "show":
            self._keeper.show(msgspec.msgpack.decode(call.payload, type=Glimpse))
        elif call.method == "pulse":
            self._keeper.pulses[self] = msgspec.msgpack.decode(call.payload, type=Pulse)
        elif call.method == "abandon":
            self._abandon(msgspec.msgpack.decode(call.payload, type=int))
        elif call.method in {"watch", "unwatch"}:
            self._watched(call)
        else:
            return False
        return True

    def _begin(self, call: _Call) -> None:
        """Answer a call as soon as that can be done."""
        opening = msgspec.msgpack.decode(call.payload, type=Opening) if call.method == "open" else None
        if opening is not None:
            self._open.add(opening.accepted.exchange)
        task = asyncio.get_running_loop().create_task(self._answer(call, opening))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        if call.method == "hold":
            self._holding[call.number] = task
            task.add_done_callback(lambda _: self._holding.pop(call.number, None))

    def _watched(self, call: _Call) -> None:
        """Tell this worker what its viewers of an audience may see, or no more; in the order in which it asks."""
        audience = msgspec.msgpack.decode(call.payload, type=Audience)
        if call.method == "unwatch":
            self._unwatch(audience)
            return
        viewer = self._watching[audience] = Viewer(_WorkersAudience(self, audience), _LINK_CAPACITY)
        self._keeper.live.enter(audience, viewer)
        self.say((call.number, None, None))

    def _unwatch(self, audience: Audience) -> None:
        viewer = self._watching.pop(audience, None)
        if viewer is not None:
            self._keeper.live.leave(audience, viewer)

    def _abandon(self, number: int) -> None:
        """Stop waiting for a person: whoever waited has left, and an approval must be there when it comes again."""
        task = self._holding.pop(number, None)
        if task is not None:
            task.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up and count what the worker had open: it cannot say any more what that was, nor what it cost."""
        del exc
        self._keeper.forgetting.discard(self._forget)
        self._keeper.pulses.pop(self, None)
        for number in list(self._holding):
            self._abandon(number)
        for audience in list(self._watching):
            self._unwatch(audience)
        lost = list(self._open)
        self._open.clear()
        if lost:
            log.error("a worker is gone and its exchanges with it", extra={"exchanges": len(lost)})
        for exchange_id in lost:
            self._keeper.lose(exchange_id, "its worker is gone")

    async def _answer(self, call: _Call, opening: Opening | None) -> None:
        try:
            result = await self._result(call, opening)
        except StepwardenError as error:
            self.say((call.number, (type(error).__name__, str(error.args[0]) if error.args else ""), None))
        except Exception:
            log.exception("the keeper failed to answer a worker")
            self.say((call.number, (KeeperLost.__name__, "The keeper failed to answer."), None))
        else:
            if not self.say((call.number, None, result)):
                self.say((call.number, (KeeperLost.__name__, "The keeper's answer is too large for its socket."), None))

    async def _result(self, call: _Call, opening: Opening | None) -> object:
        if opening is not None:
            return await self._opened(opening)
        if call.method == "admit":
            return await self._keeper.admit(msgspec.msgpack.decode(call.payload, type=str | None))
        if call.method == "hold":
            return await self._keeper.hold(msgspec.msgpack.decode(call.payload, type=HoldAsk))
        if call.method == "activate":
            return await self._keeper.activate(msgspec.msgpack.decode(call.payload, type=tuple[ConfigActivated, ...]))
        if call.method == "terminate":
            return await self._keeper.terminate(msgspec.msgpack.decode(call.payload, type=str))
        return await self._judged(call)

    async def _judged(self, call: _Call) -> object:
        if call.method == "supervise":
            return await self._keeper.supervise(msgspec.msgpack.decode(call.payload, type=Case))
        if call.method == "parameters":
            return await self._keeper.parameters(msgspec.msgpack.decode(call.payload, type=str))
        if call.method == "report":
            return await self._keeper.report(msgspec.msgpack.decode(call.payload, type=Report))
        return await self._of_tools(call)

    async def _of_tools(self, call: _Call) -> object:
        if call.method == "pin":
            return await self._keeper.pin(msgspec.msgpack.decode(call.payload, type=Listing))
        if call.method == "withheld":
            return await self._keeper.withheld(*msgspec.msgpack.decode(call.payload, type=tuple[str, str]))
        if call.method == "tool_token":
            return await self._keeper.tool_token(*msgspec.msgpack.decode(call.payload, type=tuple[str, str | None]))
        return None  # `flush`: answered after everything sent before it was taken

    async def _opened(self, opening: Opening) -> Opened:
        try:
            opened = await self._keeper.open(opening)
        except BaseException:
            self._open.discard(opening.accepted.exchange)
            raise
        if opening.accepted.exchange not in self._open:
            # Its caller or its worker was gone before this task began.
            self._keeper.give_up(opening.accepted.exchange)
        return opened


class RemoteKeeper(_Frames):
    """The keeper as a worker sees it; satisfies `Keeper`."""

    here = False

    def __init__(self, *, queue_bytes: int, on_lost: Callable[[], None]) -> None:
        super().__init__()
        self._queue_bytes = queue_bytes
        self._on_lost = on_lost
        self._number = 0
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self.forget: Callable[[Sequence[str]], None] = lambda _: None
        """What this worker does once sessions are erased."""
        self.tell: Callable[[Audience, Chunk], None] = lambda _, __: None
        """What this worker does with what its viewers are told."""

    @property
    def connected(self) -> bool:
        """Whether the keeper can be reached."""
        return self.transport is not None and not self.transport.is_closing()

    async def admit(self, secret: str | None) -> Principal:
        """See `Keeper.admit`."""
        return msgspec.msgpack.decode(await self._ask("admit", secret), type=Principal)

    async def open(self, opening: Opening) -> Opened:
        """See `Keeper.open`."""
        return msgspec.msgpack.decode(await self._ask("open", opening), type=Opened)

    async def activate(self, active: Sequence[ConfigActivated]) -> None:
        """See `Keeper.activate`."""
        await self._ask("activate", active)

    async def parameters(self, revision: str) -> bytes:
        """See `Keeper.parameters`."""
        return msgspec.msgpack.decode(await self._ask("parameters", revision), type=bytes)

    async def hold(self, ask: HoldAsk) -> bool:
        """See `Keeper.hold`; the keeper is told when nobody waits any more."""
        number = self._number + 1
        try:
            return msgspec.msgpack.decode(await self._ask("hold", ask), type=bool)
        except asyncio.CancelledError:
            self._waiting.pop(number, None)
            self.say((0, "abandon", number))
            raise

    async def terminate(self, session_id: str) -> None:
        """See `Keeper.terminate`."""
        await self._ask("terminate", session_id)

    async def supervise(self, case: Case) -> Sequence[Answer]:
        """See `Keeper.supervise`; who leaves while it is judged ends nothing."""
        return msgspec.msgpack.decode(await self._ask("supervise", case), type=tuple[Answer, ...])

    async def pin(self, listing: Listing) -> Pinned:
        """See `Keeper.pin`."""
        return msgspec.msgpack.decode(await self._ask("pin", listing), type=Pinned)

    async def withheld(self, server: str, tool: str) -> bool:
        """See `Keeper.withheld`."""
        return msgspec.msgpack.decode(await self._ask("withheld", (server, tool)), type=bool)

    async def tool_token(self, server: str, refused: str | None) -> ToolToken:
        """See `Keeper.tool_token`."""
        return msgspec.msgpack.decode(await self._ask("tool_token", (server, refused)), type=ToolToken)

    async def report(self, report: Report) -> None:
        """See `Keeper.report`."""
        await self._ask("report", report)

    def finish(self, done: Done) -> None:
        """See `Keeper.finish`."""
        self.say((0, "finish", done))

    def show(self, glimpse: Glimpse) -> None:
        """See `Keeper.show`; where the keeper is slow to take anything, nothing is shown."""
        if self.unsent() < _LINK_CAPACITY:
            self.say((0, "show", glimpse))

    def close(self, recording: Recording) -> None:
        """See `Keeper.close`; of what a stalled keeper cannot take, it gets only the news that it is lost."""
        exchange_id = recording.exchange.exchange_id
        if not self.connected:
            log.error("exchange not recorded: no keeper", extra={"exchange": exchange_id})  # counted at the other end
        elif self.unsent() > self._queue_bytes:
            self.lose(exchange_id, "the keeper is too slow")
        elif not self.say((0, "close", recording)):
            self.lose(exchange_id, "it is too large for the keeper's socket")

    def lose(self, exchange_id: str, why: str) -> None:
        """See `Keeper.lose`."""
        self.say((0, "lose", (exchange_id, why)))

    def pulse(self, pulse: Pulse) -> None:
        """Say how this worker fares."""
        self.say((0, "pulse", pulse))

    async def watch(self, audience: Audience) -> None:
        """Be told, from its return on, what an audience of the live feed is told."""
        await self._ask("watch", audience)

    def unwatch(self, audience: Audience) -> None:
        """Be told it no more."""
        self.say((0, "unwatch", audience))

    async def flush(self) -> None:
        """Wait until the keeper has taken everything sent so far."""
        await self._ask("flush", None)

    def on_frame(self, frame: bytes) -> None:
        """Hand an answer to whoever waits for it."""
        answer = msgspec.msgpack.decode(frame, type=_Answer)
        if answer.number == _UNASKED:
            self._hear(msgspec.msgpack.decode(answer.payload, type=_Unasked))
            return
        future = self._waiting.pop(answer.number, None)
        if future is None or future.done():
            return
        if answer.error is None:
            future.set_result(answer.payload)
        else:
            future.set_exception(_refusal(*answer.error))

    def _hear(self, said: _Unasked) -> None:
        """Take what the keeper says by itself."""
        if isinstance(said, _Forget):
            self.forget(said.sessions)
        else:
            self.tell(said.audience, Chunk(said.data, said.events))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits, and tell the worker."""
        del exc
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(KeeperLost("The gateway's keeper is gone."))
        self._waiting.clear()
        self._on_lost()

    async def _ask(self, method: str, payload: object) -> msgspec.Raw:
        if not self.connected:
            raise KeeperLost("The gateway's keeper cannot be reached.")
        self._number += 1
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        if not self.say((self._number, method, payload)):
            del self._waiting[self._number]
            raise KeeperLost("What the gateway's keeper is asked is too large for its socket.")
        return await future


def _refusal(name: str, argument: str) -> Exception:
    """The keeper's refusal, made again on this side of the socket of what it was made of there."""
    kind: Any = getattr(refusals, name, KeeperLost)
    return kind(argument) if isinstance(kind, type) and issubclass(kind, Refused) else KeeperLost(argument)
