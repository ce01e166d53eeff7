"""The provider of the demo and of the tests: a real HTTP/1.1 server that plays `Answer`s.

It speaks on asyncio sockets with httptools and knows nothing of any dialect; a script, a plain function from
`SeenRequest` to `Answer`, decides what to say. Keep-alive, pipelining, chunked and sized request bodies and
`Expect: 100-continue` are honoured, so that every client meets the protocol it expects, until the script asks for
a fault. `python -m gateway.demo.provider` runs it alone; see `--help`.
"""

import asyncio
import fcntl
import http
import logging
import socket
import struct
import sys
import termios
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import httptools
import msgspec

from gateway.demo.answers import Answer, Cut, Garble, Gate, Piece, Reset, SeenRequest, Stall, pieces

Script: TypeAlias = Callable[[SeenRequest], Answer]

_LOG = logging.getLogger(__name__)
_REASONS = {status.value: status.phrase.encode() for status in http.HTTPStatus} | {529: b"Overloaded"}
_PIPELINE = 16
"""Requests one connection may queue before it is not read from."""


def head(answer: Answer, length: int | None) -> bytes:
    """The status line and headers as sent; `length` is the body's true size, None where it is not known."""
    reason = _REASONS.get(answer.status, b"Unknown")
    lines = [b"HTTP/1.1 %d %s\r\n" % (answer.status, reason)]
    lines += [b"%s: %s\r\n" % header for header in answer.headers]
    if answer.transfer == "chunked":
        lines.append(b"transfer-encoding: chunked\r\n")
    elif answer.transfer == "content-length":
        declared = length if answer.declared_length is None else answer.declared_length
        lines.append(b"content-length: %d\r\n" % (declared or 0))
    if answer.close or answer.transfer == "close":
        lines.append(b"connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _framed(answer: Answer, data: bytes) -> bytes:
    if answer.transfer != "chunked":
        return data
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def _tail(answer: Answer) -> bytes:
    if answer.transfer != "chunked":
        return b""
    return b"0\r\n" + b"".join(b"%s: %s\r\n" % trailer for trailer in answer.trailers) + b"\r\n"


def _bodiless(method: str, status: int) -> bool:
    return method == "HEAD" or status in (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED)


def _at_once(answer: Answer, method: str) -> bytes | None:
    """The whole answer as one write, or None where it needs time, gates, faults or an endless body."""
    if answer.fault is not None or answer.delay or not isinstance(answer.body, tuple | list):
        return None
    parts: list[bytes] = []
    for part in answer.body:
        if isinstance(part, bytes):
            parts.append(part)
        elif isinstance(part, Piece) and not part.delay:
            parts.append(part.data)
        else:
            return None
    start = head(answer, sum(map(len, parts)))
    if _bodiless(method, answer.status):
        return start
    if answer.transfer == "chunked":
        return start + b"".join([_framed(answer, part) for part in parts]) + _tail(answer)
    return start + b"".join(parts)


class _Gone(Exception):
    """The client is no longer there."""


class _Turn(msgspec.Struct, frozen=True):
    """A request in the queue of its connection, with what is known about its answer."""

    request: SeenRequest
    last: bool
    """The connection ends with this answer."""
    answer: Answer | None = None
    """Set where the answer was decided before the body had come."""


class _Connection(asyncio.Protocol):
    """One client connection: parses requests, answers them one after the other in their order."""

    def __init__(self, provider: "Provider", number: int) -> None:
        self._provider = provider
        self._number = number
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser: Any = httptools.HttpRequestParser(self)
        self._waiting: deque[_Turn] = deque()
        self._answering: SeenRequest | None = None
        self._task: asyncio.Task[None] | None = None
        self._gone = False
        self._blocked = False
        self._sleeper: asyncio.Future[None] | None = None
        self._early = False
        self.on_message_begin()

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._provider.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request itself was handed over; whatever follows would be another protocol
        except httptools.HttpParserError:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, by whichever side."""
        del exc
        self._gone = True
        self._wake()
        self._provider.closed(self)
        if self._begun and not self._early:
            self._provider.saw(self._request(complete=False, aborted=True))
        for turn in self._waiting:
            self._provider.ended(turn.request, aborted=True)
        self._waiting.clear()

    def pause_writing(self) -> None:
        """The client reads slower than the answer is written."""
        self._blocked = True

    def resume_writing(self) -> None:
        """The client caught up."""
        self._blocked = False
        self._wake()

    # what the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._begun = 0.0
        self._early = False

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, in the client's spelling."""
        self._headers.append((name, value))
        if len(name) == len(b"expect") and name.lower() == b"expect":
            self._expected = value.lower() == b"100-continue"

    _expected = False

    def on_headers_complete(self) -> None:
        """The head is whole; the body may wait for our word."""
        self._begun = time.monotonic()
        if self._provider.early is not None:
            request = self._request(complete=False)
            answer = self._provider.early(request)
            if answer is not None:
                self._early = True
                self._enqueue(_Turn(request, last=True, answer=answer))
                return
        if self._expected:
            self._expected = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body, without chunk framing."""
        if not self._early:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._early:
            if self._answering is None:
                self._transport.close()
        else:
            self._enqueue(_Turn(self._request(), last=not self._parser.should_keep_alive()))
        self._begun = 0.0

    def _request(self, *, complete: bool = True, aborted: bool = False) -> SeenRequest:
        return SeenRequest(
            number=self._provider.numbered(),
            connection=self._number,
            method=self._parser.get_method().decode("latin-1"),
            target=self._target.decode("latin-1"),
            headers=tuple(self._headers),
            body=b"".join(self._body),
            begun=self._begun,
            complete=complete,
            aborted=aborted,
            ended=time.monotonic() if aborted else None,
        )

    # answering

    def _enqueue(self, turn: _Turn) -> None:
        self._provider.saw(turn.request)
        self._waiting.append(turn)
        self._next()
        if len(self._waiting) >= _PIPELINE:
            self._transport.pause_reading()

    def _next(self) -> None:
        """Answer what waits, one after the other, as long as answers are out at once."""
        while self._waiting and self._answering is None and not self._transport.is_closing():
            if len(self._waiting) == _PIPELINE:
                self._transport.resume_reading()
            self._answer(self._waiting.popleft())

    def _answer(self, turn: _Turn) -> None:
        self._answering = turn.request
        answer = self._provider.script(turn.request) if turn.answer is None else turn.answer
        if turn.last and not answer.close:
            answer = msgspec.structs.replace(answer, close=True)
        whole = _at_once(answer, turn.request.method)
        if whole is None:
            self._task = asyncio.get_running_loop().create_task(self._play(answer, turn.request.method))
            return
        self._transport.write(whole)
        self._end(answer)

    def _end(self, answer: Answer) -> None:
        # A connection closed while the client still sends is reset, and the reset may eat the answer.
        if (answer.close or answer.transfer == "close") and not (self._early and self._begun):
            self._transport.close()
        self._finish(aborted=False)

    def _finish(self, *, aborted: bool) -> None:
        request, self._answering, self._task = self._answering, None, None
        if request is not None:
            self._provider.ended(request, aborted=aborted)

    async def _play(self, answer: Answer, method: str) -> None:
        """Play an answer that takes time or ends in a fault."""
        try:
            went_well = await self._play_head(answer)
            if went_well and not _bodiless(method, answer.status):
                went_well = await self._play_body(answer)
        except _Gone:
            self._finish(aborted=True)
        except asyncio.CancelledError:
            self._transport.abort()
            self._finish(aborted=True)
            raise
        except Exception:  # noqa: BLE001 -- a script's lazy body is foreign code; the client must see a broken connection
            _LOG.exception("the body of an answer could not be played")
            self._transport.abort()
            self._finish(aborted=False)
        else:
            if went_well:
                self._end(answer)
            else:
                self._finish(aborted=False)
            self._next()

    async def _play_head(self, answer: Answer) -> bool:
        """Send the head; False where a fault made an end of it."""
        await self._pause(answer.delay)
        fault = answer.fault
        if isinstance(fault, Garble):
            await self._write(fault.data)
            self._transport.close()
            return False
        if fault is not None and fault.before_headers:
            await self._break(fault)
            return False
        length = None
        if answer.transfer == "content-length" and answer.declared_length is None:
            if not isinstance(answer.body, tuple | list):
                raise TypeError("a content-length answer needs a tuple as its body, or a declared length")
            length = sum(len(part.data) for part in pieces(answer.body) if isinstance(part, Piece))
        await self._write(head(answer, length))
        return True

    async def _play_body(self, answer: Answer) -> bool:
        """Send the body; False where a fault made an end of it."""
        fault = None if isinstance(answer.fault, Garble) else answer.fault
        left = sys.maxsize if fault is None else fault.after
        for part in pieces(answer.body):
            if isinstance(part, Gate):
                await self._wait(part)
                continue
            if part.delay:
                await self._pause(part.delay)
            else:
                await asyncio.sleep(0)  # an endless body without pauses must not starve the other clients
            data = part.data[:left]
            await self._write(_framed(answer, data))
            left -= len(data)
            if not left:
                break
        if fault is not None:
            await self._break(fault)
            return False
        await self._write(_tail(answer))
        return True

    async def _break(self, fault: Reset | Stall | Cut) -> None:
        if isinstance(fault, Stall):
            await self._pause(fault.seconds)
            self._transport.close()
        elif isinstance(fault, Cut):
            self._transport.close()
        else:
            await self._drained()
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    async def _drained(self) -> None:
        """Until the kernel has handed over what was written, so that a reset does not eat it; one second at most."""
        sock = self._transport.get_extra_info("socket")
        until = time.monotonic() + 1
        while time.monotonic() < until and not self._gone:
            queued = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
            if not queued and not self._transport.get_write_buffer_size():
                return
            await self._pause(0.001)

    def _wake(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def _asleep(self) -> None:
        """Until something wakes this connection; raises `_Gone` where that was the client's leaving."""
        if not self._gone:
            self._sleeper = asyncio.get_running_loop().create_future()
            await self._sleeper
        if self._gone:
            raise _Gone

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the client does."""
        if seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            timer = loop.call_at(until, self._wake)
            try:
                await self._asleep()
            finally:
                timer.cancel()

    async def _wait(self, gate: Gate) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake)

        gate.when_open(wake)
        while not gate.is_open:
            await self._asleep()

    async def _write(self, data: bytes) -> None:
        if self._gone or self._transport.is_closing():
            raise _Gone
        if data:
            self._transport.write(data)
        while self._blocked:
            await self._asleep()

    def shut(self) -> None:
        """Drop the connection at once; used when the provider stops."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()


class Provider:
    """The server. `script` may be replaced at any time, from any thread; it decides per request."""

    def __init__(self, script: Script, *, keep: int = 1000) -> None:
        self.script: Script = script
        self.early: Callable[[SeenRequest], Answer | None] | None = None
        """Asked when a request's head is whole; an Answer here goes out before the body and ends the connection."""
        self.on_change: Callable[[], None] | None = None
        """Called in the server's thread whenever a request was seen or ended."""
        self._keep = keep
        self._seen: dict[int, SeenRequest] = {}
        self._numbers = 0
        self._connections = 0
        self._open: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.url = ""

    @property
    def requests(self) -> list[SeenRequest]:
        """The last `keep` requests, oldest first, each as it stands now."""
        return list(self._seen.values())

    @property
    def connections(self) -> int:
        """How many TCP connections are open now."""
        return len(self._open)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; returns the URL (no trailing slash). Port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, host, port, backlog=1024)
        bound = self._server.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.url = f"http://{shown}:{bound[1]}"
        return self.url

    async def stop(self) -> None:
        """Stop listening and drop every connection. Idempotent."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._open):
            connection.shut()
        await self._server.wait_closed()
        self._server = None
        if self._open:
            await self._empty.wait()

    def _connect(self) -> _Connection:
        self._connections += 1
        return _Connection(self, self._connections - 1)

    # what a connection reports

    def opened(self, connection: _Connection) -> None:
        """A client connected."""
        self._open.add(connection)
        self._empty.clear()

    def closed(self, connection: _Connection) -> None:
        """A connection is over."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()
        self._changed()

    def numbered(self) -> int:
        """The next request number."""
        self._numbers += 1
        return self._numbers - 1

    def saw(self, request: SeenRequest) -> None:
        """A request arrived."""
        if not self._keep:
            return
        self._seen[request.number] = request
        while len(self._seen) > self._keep:
            self._seen.pop(next(iter(self._seen)))
        self._changed()

    def ended(self, request: SeenRequest, *, aborted: bool) -> None:
        """A request was answered, or its client left."""
        if request.number in self._seen:
            self._seen[request.number] = msgspec.structs.replace(request, ended=time.monotonic(), aborted=aborted)
            self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def main() -> None:
    """Run the provider alone, with the canned replies of `gateway.demo.scenarios`."""
    from gateway.demo.alone import run  # noqa: PLC0415 -- the dialects are needed only when run as a program

    run()


if __name__ == "__main__":
    main()
