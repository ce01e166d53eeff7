"""Answering: one request's cycle in the server, with an answer written in as few steps as it needs.

uvicorn checks every header with two patterns and takes each message through all that an answer can be; with a
stream of small chunks that is the dearest function of a worker. What is written is the same.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.heads import BODILESS
from policies.possessive import compiled

_TELLING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
"""Headers that say how the answer is framed."""

_HEADERS: Final = compiled(rb"(?:[^\x00-\x1f\x7f()<>@,;:\[\]={} \t\\\"]*+: [^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+")
"""A whole block of headers, each of a name and a value that can be written."""


class Unsayable(RuntimeError):
    """A header of the answer holds what no header may hold; nothing of the answer has left."""


class Arrival:
    """`asyncio.Event` for what has come of a request, made one only where somebody has to wait: most need not."""

    come = False
    _waited: asyncio.Event | None = None

    def set(self) -> None:
        """Something has come."""
        self.come = True
        if self._waited is not None:
            self._waited.set()

    def clear(self) -> None:
        """What has come is taken."""
        self.come = False
        if self._waited is not None:
            self._waited.clear()

    async def wait(self) -> None:
        """Until something has come."""
        if self.come:
            return
        if self._waited is None:
            self._waited = asyncio.Event()
        await self._waited.wait()


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    async def receive(self) -> Any:
        """The next piece of the request: all of it at once where that is at hand, as it is for most."""
        arrived: Any = self.message_event
        waits = not arrived.come or self.more_body or self.waiting_for_100_continue
        if waits or self.disconnected or self.response_complete:
            return await super().receive()
        arrived.clear()
        body, self.body = self.body, bytearray()
        if self.flow.read_paused:
            self.flow.resume_reading()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    async def send(self, message: Any) -> None:
        """Take one ASGI message of the answer. Raises `Unsayable`, or `RuntimeError` for one that cannot follow."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.response_started and not self.response_complete:
            self._continue(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], [*self.default_headers, *message.get("headers", ())])
        else:
            raise RuntimeError(f"the message {kind!r} cannot come here in an answer")

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Write the head."""
        block = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        if block.count(b"\n") != len(headers) or _HEADERS.fullmatch(block) is None:
            raise Unsayable
        self.response_started = True
        self.waiting_for_100_continue = False
        closing = False
        for name, value in headers:
            if name in _TELLING and self._told(name, value):
                closing = True
        if not self.keep_alive and not closing:
            block += b"connection: close\r\n"
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in BODILESS:
            self.chunked_encoding = True
            block += b"transfer-encoding: chunked\r\n"
        self.transport.write(b"%b%b\r\n" % (STATUS_LINE[status], block))

    def _told(self, name: bytes, value: bytes) -> bool:
        """Note how the answer is framed; whether this header says that the connection closes behind it."""
        if name == b"connection":
            closes = b"close" in [token.strip() for token in value.lower().split(b",")]
            self.keep_alive = self.keep_alive and not closes
            return closes
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        return False

    def _continue(self, body: bytes, *, more: bool) -> None:
        """Write a piece of the body; the last one ends the cycle."""
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
        elif self.chunked_encoding:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self.transport.write(piece if more else piece + b"0\r\n\r\n")
        elif len(body) > self.expected_content_length:
            raise RuntimeError("the answer is longer than its Content-Length")
        else:
            self.expected_content_length -= len(body)
            self.transport.write(body)
        if not more:
            self._end()

    def _end(self) -> None:
        if self.expected_content_length != 0:
            raise RuntimeError("the answer is shorter than its Content-Length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
