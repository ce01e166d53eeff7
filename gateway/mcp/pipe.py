"""A pipe: a client and a server that runs beside it, all of whose messages pass by here as lines.

`stepwarden mcp` starts the server where the agent runs and sends each line of either side: a letter for the side it
comes from (`c` client, `s` server), and the line as it was. It gets lines back with a letter for the side they go to.
`x` says that the server has ended. Messages keep their order; only what waits for a person lets others pass.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.config import McpServer
from gateway.mcp.lines import Lines
from gateway.mcp.pair import Caller, Pair
from gateway.mcp.seat import Seat
from gateway.refusals import Refused
from gateway.wire import mcp
from gateway.wire.jsonrpc import Malformed, Message, error, id_key, read

log = logging.getLogger("stepwarden.mcp")

WAITING: Final = 256
"""Requests of one client that may wait for answers."""

_TICK_SECONDS: Final = 1.0
_QUEUED: Final = 64

Send = Callable[[bytes], Awaitable[None]]


class Pipe:
    """One client, one server, and what waits between them."""

    def __init__(self, server: McpServer, seat: Seat, caller: Caller, send: Send, draining: Callable[[], bool]) -> None:
        """`send` passes bytes back to where the two are."""
        self._server = server
        self._seat = seat
        self._caller = caller
        self._send = send
        self._draining = draining
        self._waiting: dict[Any, Pair] = {}
        """Requests of the client that were passed on, by id."""
        self._tasks: dict[Any, asyncio.Task[None]] = {}
        """Requests that are being judged, by id."""
        self._answering: set[asyncio.Task[None]] = set()
        self._heard_at = time.monotonic()
        self._ended = False

    async def run(self, receive: Callable[[], Awaitable[Any]]) -> None:
        """Carry lines until the client leaves, the server ends or the gateway does."""
        client: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
        server: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
        loops = [
            asyncio.create_task(self._each(client, self._from_client)),
            asyncio.create_task(self._each(server, self._from_server)),
        ]
        try:
            await self._sorted(receive, client, server)
        finally:
            tasks = [*loops, *self._tasks.values(), *self._answering]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for pair in self._waiting.values():
                pair.outcome = "client_aborted"
                self._seat.close(pair)
            self._waiting.clear()

    async def _sorted(
        self, receive: Callable[[], Awaitable[Any]], client: asyncio.Queue[bytes], server: asyncio.Queue[bytes]
    ) -> None:
        """Take lines as they arrive and hand each to its side."""
        lines = Lines()
        arriving: asyncio.Task[Any] | None = None
        try:
            while not self._ended:
                arriving = arriving or asyncio.ensure_future(receive())
                done, _ = await asyncio.wait({arriving}, timeout=_TICK_SECONDS)
                if not done:
                    await self._tick()
                    continue
                message, arriving = arriving.result(), None
                if message["type"] == "http.disconnect":
                    return
                whole = lines.feed(message.get("body", b""))
                if lines.waiting > self._server.message_bytes + 1:
                    log.warning("a line of a tool server's pipe is too long", extra={"server": self._server.name})
                    return
                for line in whole:
                    if line[:1] == b"x":
                        await server.put(b"")
                    elif line:
                        await (client if line[:1] == b"c" else server).put(line[1:])
                if not message.get("more_body", False):
                    return
        finally:
            if arriving is not None:
                arriving.cancel()

    async def _each(self, queue: "asyncio.Queue[bytes]", take: Callable[[bytes], Awaitable[None]]) -> None:
        """Take lines one after the other. A bug of ours ends the pipe: nothing passes unjudged."""
        try:
            while True:
                await take(await queue.get())
        except Exception:
            log.exception("a tool server's pipe failed")
            self._ended = True

    async def _tick(self) -> None:
        """See whether the server has been silent for too long, or the gateway is about to end."""
        if self._draining() and not self._waiting and not self._tasks:
            self._ended = True
        if self._waiting and time.monotonic() - self._heard_at > self._server.idle_seconds:
            for key, pair in list(self._waiting.items()):
                del self._waiting[key]
                pair.outcome, pair.note = "timed_out", "the tool server fell silent"
                await self._failed(pair, "The tool server did not answer in time.", "upstream_timeout")

    # ---------------------------------------------------------------------------------------------- from the client

    async def _from_client(self, line: bytes) -> None:
        try:
            message = mcp.read_client(line)
        except Malformed as malformed:
            pair = Pair(self._server.name, self._caller, None, body=line)
            pair.note, pair.error_type = str(malformed), "malformed_message"
            await self._opened(pair)
            await self._to_client(error(malformed.id_token, malformed.code, str(malformed)))
            self._seat.close(pair)
            return
        pair = Pair(self._server.name, self._caller, message)
        if message.kind != "request":
            await self._unasked(pair, message)
            return
        key = id_key(message.id_token)
        if key in self._waiting or key in self._tasks:
            await self._refused(pair, "This id is in use by a request that is not answered yet.", "duplicate_id")
            return
        if len(self._waiting) + len(self._tasks) >= WAITING:
            await self._refused(pair, "Too many requests wait for answers.", "overloaded")
            return
        self._tasks[key] = task = asyncio.create_task(self._asked(key, pair))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
        await _until_parked(task, pair)

    async def _asked(self, key: Any, pair: Pair) -> None:
        """Judge a request and pass it on, or answer it."""
        try:
            await self._seat.open(pair)
            ruling = await self._seat.request(pair, self._to_client)
        except Refused as refusal:
            await self._to_client(self._seat.refusal(pair, refusal))
            self._seat.close(pair)
        except asyncio.CancelledError:
            pair.outcome = "client_aborted"
            self._seat.close(pair)
            raise
        except Exception:
            log.exception("a message to a tool server failed", extra={"exchange": pair.exchange_id})
            await self._refused(pair, "The gateway failed on this message.", "internal_error", is_open=True)
        else:
            if not ruling.passes:
                await self._to_client(ruling.body)
                self._seat.close(pair)
                return
            if not self._waiting:
                self._heard_at = time.monotonic()
            pair.forwarded_ns = time.time_ns()
            self._waiting[key] = pair
            await self._to_server(ruling.body)

    async def _unasked(self, pair: Pair, message: Message) -> None:
        """A notification, or the client's answer to the server. Cancelling what waits for a person ends the waiting."""
        if message.method == "notifications/cancelled":
            parked = self._tasks.get(message.cancels)
            if parked is not None:
                parked.cancel()
                return
        await self._opened(pair)
        pair.outcome = "complete"
        await self._to_server(message.raw)
        self._seat.close(pair)

    async def _opened(self, pair: Pair) -> None:
        try:
            await self._seat.open(pair)
        except Refused as refusal:
            pair.note = str(refusal)

    # ---------------------------------------------------------------------------------------------- from the server

    async def _from_server(self, line: bytes) -> None:
        self._heard_at = time.monotonic()
        if not line:
            await self._lost()
            return
        try:
            message = read(line)
        except Malformed as malformed:
            log.warning("a tool server wrote what is no message", extra={"server": self._server.name})
            await self._spoilt(malformed)
            return
        if message.kind in ("request", "notification"):
            await self._to_client(line)
            await self._said(message)
            return
        pair = self._waiting.pop(id_key(message.id_token), None)
        if pair is None:
            log.warning("a tool server answered what nobody asked", extra={"server": self._server.name})
            return
        task = asyncio.create_task(self._answered(pair, line))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        pair.parked.clear()
        await _until_parked(task, pair)

    async def _answered(self, pair: Pair, line: bytes) -> None:
        """Judge an answer and pass it on."""
        pair.hear(line)
        pair.answered_ns = time.time_ns()
        try:
            delivered = await self._seat.answer(pair, line, self._to_client)
        except Refused as refusal:
            delivered = self._seat.refusal(pair, refusal)
        except asyncio.CancelledError:
            pair.outcome = "client_aborted"
            self._seat.close(pair)
            raise
        except Exception:
            log.exception("an answer of a tool server failed", extra={"exchange": pair.exchange_id})
            await self._failed(pair, "The gateway failed on this answer.", "internal_error")
            return
        else:
            pair.outcome = pair.outcome if pair.spoilt else "complete"
        await self._to_client(delivered)
        self._seat.close(pair)

    async def _spoilt(self, malformed: Malformed) -> None:
        """An answer that cannot be read: its request is told so, where it can be told which that was."""
        pair = self._waiting.pop(id_key(malformed.id_token), None) if malformed.id_token != b"null" else None
        if pair is not None:
            pair.outcome, pair.note = "not_an_answer", str(malformed)
            await self._failed(pair, "The tool server's answer could not be read.", "upstream_malformed")

    async def _said(self, message: Message) -> None:
        """Record what the server says by itself; what it tells of progress belongs to a pair that is recorded."""
        if message.method == "notifications/progress":
            return
        pair = Pair(self._server.name, self._caller, None)
        await self._opened(pair)
        pair.hear(message.raw)
        pair.outcome, pair.note = "complete", "said by the server"
        self._seat.close(pair)

    async def _lost(self) -> None:
        """The server has ended: nobody waits for its answers any more."""
        for pair in self._waiting.values():
            pair.outcome, pair.note = "upstream_reset", "the tool server ended"
            await self._failed(pair, "The tool server ended before it answered.", "upstream_reset")
        self._waiting.clear()
        self._ended = True

    # ----------------------------------------------------------------------------------------------------- shared

    async def _failed(self, pair: Pair, said: str, code: str) -> None:
        pair.error_type = code
        token = b"null" if pair.message is None else pair.message.id_token
        await self._to_client(mcp.error_of(-32603, said, pair.exchange_id, code=code, id_token=token))
        self._seat.close(pair)

    async def _refused(self, pair: Pair, said: str, code: str, *, is_open: bool = False) -> None:
        if not is_open:
            await self._opened(pair)
        await self._failed(pair, said, code)

    async def _to_client(self, message: bytes) -> None:
        await self._send(b"c" + message + b"\n")

    async def _to_server(self, message: bytes) -> None:
        await self._send(b"s" + message + b"\n")


async def _until_parked(task: "asyncio.Task[None]", pair: Pair) -> None:
    """Wait until something is done, or waits for a person."""
    parked = asyncio.ensure_future(pair.parked.wait())
    try:
        await asyncio.wait({task, parked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        parked.cancel()
