"""One connection to a provider: the answers that come in on it, read by llhttp, one at a time.

aiohttp's pool opens, keeps and closes these connections; its own reader hands every chunk through a queue, a parser
object and a timer of the loop, which cost more than all else a streamed chunk costs. Here a chunk is a callback.
"""

import asyncio
from typing import Final

import httptools
from aiohttp.base_protocol import BaseProtocol

from gateway.heads import BODILESS
from gateway.tcp import keep_alive

Headers = list[tuple[bytes, bytes]]

_HEAD_LIMIT: Final = 64 * 1024
"""Bytes in a row that are no body: a head, chunk framing, trailers."""

_HEADER_COUNT: Final = 1000
"""Headers of one answer; no server is known to send as many, and a caller's HTTP library rarely reads more than 100."""

_BODY_LIMIT: Final = 128 * 1024
"""Bytes of a body that wait to be read before no more are taken from the network."""

_SWITCHING: Final = 101
_FINAL: Final = 200


class Malformed(Exception):
    """What the provider sent is not HTTP/1.1 that can be read; says how."""


class ProviderConnection(BaseProtocol):
    """The protocol of one pooled connection. Its owner begins a request, awaits the head, then reads the body."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, idle_seconds: float) -> None:
        super().__init__(loop)
        self._idle = idle_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        """When the provider last sent something, or the request was over; loop time."""
        self._awaits_provider = False
        """True while silence is the provider's."""
        self._waiter: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self._parser_of_answer: httptools.HttpResponseParser | None = None
        self._error: BaseException | None = None
        self._kept_open = False
        self._bodiless = False
        self._overhead = 0
        self._framed = False
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self.status = 0
        """Of the newest head."""
        self.headers: Headers = []
        """Its names and values as they came."""
        self._in_head = False
        self.has_head = False
        """Whether the final head of the answer has come."""
        self.whole = False
        """Whether the answer's last byte has, read or not."""

    # --- what the pool asks -------------------------------------------------------------------------------------------

    @property
    def should_close(self) -> bool:
        """Whether nothing may be sent on this connection any more."""
        return self._error is not None or not (self.whole and self._kept_open)

    @property
    def closed(self) -> "asyncio.Future[None] | None":
        """Done when the connection has ended; None where it has."""
        if self.transport is not None and self._closed is None:
            self._closed = self._loop.create_future()
        return self._closed

    def is_connected(self) -> bool:
        """Whether the other end still listens, as far as is known."""
        return self.transport is not None and not self.transport.is_closing()

    def close(self) -> None:
        """End the connection once all that was written has left."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """End it at once."""
        if self.transport is not None:
            self.transport.abort()

    # --- what the owner of a request does -----------------------------------------------------------------------------

    def begin(self, *, bodiless: bool) -> None:
        """A request is about to be written; `bodiless` where its answer has no body whatever its head says."""
        parser = self._parser_of_answer = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._bodiless = bodiless
        self._overhead = 0
        self._pieces, self._waiting_bytes = [], 0
        self.has_head = self.whole = self._kept_open = False

    def start_timeout(self) -> None:
        """The request is whole: from here on the provider's silence counts."""
        self._heard = self._loop.time()
        self._awaits_provider = not self.whole
        if self._timer is None and self._awaits_provider:
            self._timer = self._loop.call_later(self._idle, self._look)

    def owes(self, error: OSError) -> None:
        """The request will never be whole. An answer that has begun is read on; the connection serves nobody else."""
        self._kept_open = False
        if not self.has_head:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Whoever waits is told this, now or as soon as all that came before is read."""
        if self._error is None:
            self._error = error
        self._awaits_provider = False
        self._wake()

    async def head(self) -> None:
        """Wait for the final head. Raises `TimeoutError`, `Malformed`, `OSError`."""
        while not self.has_head:
            await self._more()

    async def read(self) -> bytes:
        """All of the body that is at hand, after waiting for some; empty at its end. Raises as `head` does."""
        while not self._pieces:
            if self.whole:
                return b""
            await self._more()
        return self.at_hand()

    def at_hand(self) -> bytes:
        """What has come of the body and was not read yet; empty where that is nothing."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting_bytes = 0
        if self._reading_paused:
            self._reading_paused = False
            self._resume_transport_reading()
            if not self.whole:
                self.start_timeout()
        return data

    def _more(self) -> "asyncio.Future[None]":
        """Done when something has come. Raises what went wrong."""
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _look(self) -> None:
        """Whether the provider has been silent for too long. One timer a connection, not one a chunk."""
        self._timer = None
        if not self._awaits_provider:
            return
        left = self._heard + self._idle - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._fail(TimeoutError())

    # --- what the network brings --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        super().connection_made(transport)
        keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; those that nobody asked for end the connection."""
        parser = self._parser_of_answer
        if parser is None:
            self._malformed("unasked bytes")
            return
        self._heard = self._loop.time()
        self._overhead += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            ours = error.__context__
            self._malformed(str(ours) if isinstance(ours, Malformed) else type(error).__name__)
        if self._overhead > _HEAD_LIMIT:
            self._malformed("a head without end")
        self._wake()
        if self.whole:
            self._rest()

    def _malformed(self, what: str) -> None:
        self._fail(Malformed(what))
        self.close()

    def _rest(self) -> None:
        """The answer is whole, though it may still have to be read; silence and later bytes mean something else now."""
        self._awaits_provider = False
        if self._reading_paused:
            self._reading_paused = False
            self._resume_transport_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end of the connection: of a body too, where nothing else ends it."""
        super().connection_lost(exc)
        self._parser_of_answer = None  # it refers back to here
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._kept_open = False
        if exc is None and self.has_head and not self._framed:
            self.whole = True
        if not self.whole:
            self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the connection ended"))
        self._wake()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    # --- llhttp's callbacks -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The head of an interim or the final answer begins. Raises `Malformed` for an answer to nothing."""
        if self.whole:
            raise Malformed("a second answer")
        self.headers = []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; trailers are dropped. Raises `Malformed` for too many."""
        if not self._in_head:
            return
        if len(self.headers) == _HEADER_COUNT:
            raise Malformed("too many headers")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is whole. Raises `Malformed` for one that is too large."""
        parser = self._parser_of_answer
        assert parser is not None
        if self._overhead > _HEAD_LIMIT and sum(len(name) + len(value) for name, value in self.headers) > _HEAD_LIMIT:
            raise Malformed("a head too large")
        self._in_head = False
        self.status = parser.get_status_code()
        if self.status < _FINAL and self.status != _SWITCHING:
            return
        self.has_head = True
        self._kept_open = parser.should_keep_alive()
        self._framed = self._kept_open or _says_its_length(self.status, self.headers)
        if self._bodiless:
            self.whole, self._kept_open = True, False  # the parser waits for a body that does not come

    def on_body(self, body: bytes) -> None:
        """Bytes of a body, without their chunk framing."""
        self._overhead = 0
        if self._bodiless:
            return
        self._pieces.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > _BODY_LIMIT and not self._reading_paused:
            self._reading_paused = True
            self._awaits_provider = False
            self._pause_transport_reading()

    def on_message_complete(self) -> None:
        """The last byte of an answer has come, or of an interim head."""
        self.whole = self.has_head


def _says_its_length(status: int, headers: Headers) -> bool:
    """Whether an answer ends before its connection does (RFC 9112 section 6.3)."""
    if status in BODILESS:
        return True
    lowered = [(name.lower(), value.lower()) for name, value in headers]
    return any(
        name == b"content-length" or (name == b"transfer-encoding" and value.rstrip().endswith(b"chunked"))
        for name, value in lowered
    )
