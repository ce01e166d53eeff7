"""The HTTP server's door: uvicorn's httptools protocol with the deadlines and checks it lacks.

uvicorn waits for ever on slow headers, reads headers and trailers without end, drops the body of a request
that offers an upgrade, sends chunks to HTTP/1.0, and accepts absolute-form targets, a missing Host and
HTTP/0.9. What is wrong with a request is noted in the scope, so that the data plane refuses it in the
caller's own error shape; only what cannot be parsed at all is answered here.
"""

import asyncio
import re
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, cast
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.answering import Arrival, Cycle
from gateway.config import Limits

DOOR = "stepwarden.door"
"""Key in `scope["extensions"]` under which the protocol leaves its `Door`."""

_LONGEST_TARGET = 65_535
"""Bytes of a target that httptools can take apart."""

_LINGER_SECONDS = 5.0
"""How long a caller that is still sending may go on after its answer, so that it comes to read it."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that the other end sees as a reset."""

_HOST = re.compile(rb"[\w!$&'()*+,;=\-.~:\[\]@%]*+")
"""What a host with its port can be written in (RFC 3986 section 3.2.2)."""


class Door:
    """What the protocol knows of one request beyond ASGI: its faults, its end, and whether its caller has left."""

    __slots__ = ("abort", "bare_query", "departed", "fault", "gone", "join_head", "outlet", "oversize", "whole")

    def __init__(
        self, abort: Callable[[], None], join_head: Callable[[], None], outlet: "Outlet | None" = None
    ) -> None:
        self.abort = abort
        """Cuts the connection at once."""
        self.join_head = join_head
        """Lets the answer's head, sent next, leave in one piece with the bytes that follow it at once."""
        self.outlet = outlet
        """Where the bytes of answers go; None where no connection waits for them."""
        self.fault: str | None = None
        """Why the framing of this request must be refused, as a sentence."""
        self.oversize: str | None = None
        """Why its headers must be refused, as a sentence."""
        self.bare_query = False
        """True where the target ends in a question mark, which ASGI does not tell from one without."""
        self.whole = False
        """True once the last byte of the request has arrived."""
        self.gone = False
        """True once the caller has closed the connection."""
        self.departed: Callable[[], object] | None = None
        """Whom to tell when the caller leaves; None tells nobody."""

    def on_departure(self, tell: Callable[[], object]) -> None:
        """Whom to tell when the caller leaves; told at once where it has left already."""
        self.departed = tell
        if self.gone:
            tell()

    def depart(self) -> None:
        """The connection is lost."""
        self.gone = True
        if self.departed is not None:
            self.departed()


class Outlet:
    """The transport as uvicorn's answers see it: they close it with the protocol's patience.

    Every write is a system call that also wakes the reader; a head that leaves with its body saves one of two.
    """

    __slots__ = ("_head", "_write", "close", "is_closing", "unsent", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = self._write = transport.write
        self.is_closing = transport.is_closing
        self.unsent = transport.get_write_buffer_size
        self.close = close
        self._head = b""

    def join(self) -> None:
        """Keep what is written next until more is written. Only for an answer that has its first bytes at hand."""
        self.write = self._keep

    def let_go(self) -> None:
        """Send what was kept by itself: what should have followed will not."""
        if self._head:
            self._join(b"")

    def _keep(self, head: bytes) -> None:
        self._head, self.write = head, self._join

    def _join(self, data: bytes) -> None:
        self._head, joined, self.write = b"", self._head + data, self._write
        self._write(joined)


class GuardedHttp(HttpToolsProtocol):
    """One connection, with deadlines and limits on its request heads."""

    limits: ClassVar[Limits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._overhead = 0
        """Bytes that have come since the last one of a body: heads, chunk framing, trailers."""
        self._upgrade_ignored = False
        """The head just parsed offers an upgrade and is to be parsed again without it."""
        self._deaf = False
        """Nothing that comes is read any more; it is thrown away until the connection ends."""
        self._keeps = False
        """Whether the newest request leaves its connection open, once it is whole."""
        self._last_words: tuple[int, str] | None = None
        """What is to be said, as status and message, once all earlier requests are answered."""
        self._idle_since: float | None = None
        """When the last answer was over, loop time; None while a request is at hand."""
        self._running: RequestResponseCycle | None = None
        """The newest request that the application was started on; a later one may wait for its turn."""
        self._doors: deque[Door] = deque()
        """Doors of requests that are not answered yet, oldest first: more than one while a client pipelines."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request's head."""
        super().connection_made(transport)
        self._outlet = Outlet(transport, self._hang_up)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks, and tell whoever is at work for this caller.

        A caller that shuts down its sending side alone is taken to have left as well: until bytes are refused nothing
        tells the two apart, and an abandoned answer goes on costing money.
        """
        self._disarm()
        self._unset_keepalive_if_required()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn says so to the last request alone, which may not be at work yet
        for door in self._doors:
            door.depart()
        self._doors.clear()

    def data_received(self, data: bytes) -> None:
        """Count what is no body: a head without end is cut off, and so are chunk framing and trailers."""
        if self._deaf:
            return
        self._overhead += len(data)
        self._parse(data)
        if self._in_head and not self._deaf:
            self._arm()  # most heads come whole and need no clock
        # Bodies may share the packet, so the count is only decisive once the packet is read.
        if self._overhead > self.limits.header_bytes and not self._deaf and not self.transport.is_closing():
            if self._in_head:
                self._say(431, f"The request head exceeds {self.limits.header_bytes} bytes.")
            else:
                self.transport.abort()

    def _parse(self, data: bytes) -> None:
        """Feed the parser. An upgrade is declined by reading on without it (RFC 9110 section 7.8)."""
        self._idle_since = None
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser takes all that follows such a head for another protocol, its body included.
                if self._upgrade_ignored:
                    data = self._head_without_upgrade() + data[upgrade.args[0] :]
                    continue
                self._deaf = True
            except httptools.HttpParserError:
                self._say(400, "The request is not valid HTTP/1.1; it was not forwarded.")
            return

    def _head_without_upgrade(self) -> bytes:
        """The head just parsed as a client would have sent it that offers no upgrade, for a fresh parser."""
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [line, *(b"%b: %b" % pair for pair in self.headers if pair[0] != b"upgrade")]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets its own
        self._doors.pop()
        self._upgrade_ignored = False
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        """Open a scope with a door of its own."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._doors.append(Door(self._abort, self._outlet.join, self._outlet))

    def on_headers_complete(self) -> None:
        """Judge the head, then let uvicorn start the application."""
        if self._head_timer is not None:
            self._disarm()
        self._in_head = False
        seen, self._overhead = self._overhead, 0
        door = self._doors[-1]
        door.oversize = self._oversize(seen)
        door.bare_query = self.url.endswith(b"?") and self.url.count(b"?") == 1
        upgrade = self.parser.should_upgrade()
        door.fault = self._fault(upgrade=upgrade)
        if upgrade and not (door.oversize or door.fault or self._wants_websocket()):
            self._upgrade_ignored = True
            return
        if not self.url.startswith(b"/"):
            # Only the path part of an absolute or asterisk form would reach routing; keep it routable, refuse it there.
            self.url = b"/" + self.url.split(b"/", 3)[-1] if self.url.count(b"/") > 2 else b"/"  # noqa: PLR2004 - scheme://host/
        self.url = self.url[:_LONGEST_TARGET]  # what is longer is refused, by whoever its first segment names
        self._open(door, usable=not (door.oversize or door.fault or upgrade))

    def _wants_websocket(self) -> bool:
        return any(name == b"upgrade" and b"websocket" in value.lower() for name, value in self.headers)

    def _open(self, door: Door, *, usable: bool) -> None:
        """Start the application on the request whose head has been read, or let it wait for its turn."""
        before: Any = self.cycle  # None for the first request, whatever its type says
        app = cast("Any", self.app)  # pyright: ignore[reportUnknownMemberType] - uvicorn takes applications of any shape
        outlet: Any = self._outlet
        arrival: Any = Arrival()
        nothing: Any = b""
        scope = self.scope = self._scope(door)
        self._keeps = usable and scope["http_version"] != "1.0" and self.parser.should_keep_alive()
        cycle = self.cycle = Cycle(
            scope=scope,
            transport=outlet,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=arrival,
            expect_100_continue=self.expect_100_continue,
            keep_alive=False,  # an answer that leaves before its request is whole says that it closes the connection
            on_response=self.on_response_complete,
        )
        cycle.body = nothing  # a body that comes in one piece is then never copied
        self.headers = []  # trailers are read into a list of their own, which nobody looks at
        if scope["http_version"] == "1.0":
            door.abort = self._reset
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))

    def _scope(self, door: Door) -> Any:
        """The request's head as ASGI has it."""
        raw_path, _, query = self.url.partition(b"#")[0].partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": self.parser.get_http_version(),
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": self.parser.get_method().decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": {},
            "extensions": {DOOR: door},
        }

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if cycle.scope["http_version"] == "1.0":
            app = _without_chunks(app, cycle, self._reset)
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Begin to count anew, and hand the bytes to whoever reads the request."""
        self._overhead = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self._upgrade_ignored:
            return
        self._overhead = 0
        if self._doors:
            self._doors[-1].whole = True
        cycle = self.cycle
        if not cycle.response_started:
            cycle.keep_alive = self._keeps
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Close the door of the request that has been answered."""
        if self._doors:
            self._doors.popleft()
        if self._linger_timer is not None:
            return
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_words is not None:
            self._answer(*self._last_words)
        else:
            self._idle_since = self.loop.time()
            if self.timeout_keep_alive_task is None:
                self._rest(self.timeout_keep_alive)

    def _rest(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was left alone for too long. One timer a connection, not one an answer."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest(left)
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Let no request that is still arriving keep its connection."""
        self._keeps = False
        super().shutdown()

    def _oversize(self, seen: int) -> str | None:
        """What is too much in this head; `seen` bytes have arrived on the connection since it began."""
        if len(self.headers) > self.limits.header_count:
            return f"The request has {len(self.headers)} headers; at most {self.limits.header_count} are read."
        if len(self.url) > _LONGEST_TARGET:
            return f"The request target has {len(self.url)} bytes; at most {_LONGEST_TARGET} are read."
        if seen > self.limits.header_bytes:
            size = sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
            if size > self.limits.header_bytes:
                return f"The request head has {size} bytes; at most {self.limits.header_bytes} are read."
        return None

    def _fault(self, *, upgrade: bool) -> str | None:
        """What makes this head readable in two ways."""
        named = dict(self.headers)
        version = self.parser.get_http_version()
        host = _HOST.fullmatch(named.get(b"host", b"")) is not None
        plain = version == "1.1" and b"host" in named and host and b"transfer-encoding" not in named and not upgrade
        if plain and len(named) == len(self.headers) and self.url[:1] == b"/" and b"#" not in self.url:
            return None
        names = [name for name, _ in self.headers]
        encodings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        hosts, lengths = names.count(b"host"), names.count(b"content-length")
        faults = (
            (version not in {"1.0", "1.1"}, "Only HTTP/1.1 and HTTP/1.0 are spoken here."),
            (upgrade and self.parser.get_method() == b"CONNECT", "Nothing is tunnelled here; CONNECT is not served."),
            (not self.url.startswith(b"/"), "The request target must be a path, not an absolute address."),
            (b"#" in self.url, "The request target must not hold a fragment."),
            (hosts > 1 or (hosts == 0 and version != "1.0"), "The request must carry exactly one Host header."),
            (not host, "The Host header must name a host."),
            (bool(encodings) and lengths > 0, "Content-Length and Transfer-Encoding must not be sent together."),
            (lengths > 1 or len(encodings) > 1, "The body's length must be announced once."),
            (encodings not in ([], [b"chunked"]), "The only transfer encoding understood is `chunked`."),
        )
        return next((sentence for wrong, sentence in faults if wrong), None)

    def _arm(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.header_seconds, self._head_is_late)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing() or self._deaf:
            return
        if self._is_answering():
            self._arm()  # its turn has not come
        elif self._doors or self._overhead:
            self._say(408, f"The request head did not arrive within {self.limits.header_seconds:g} seconds.")
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _say(self, status: int, message: str) -> None:
        """Answer what no application will, in its turn, and end the connection; nothing more is read from it."""
        self._deaf = True
        if not self._is_answering():
            self._answer(status, message)
        elif self.pipeline or not self.cycle.more_body:
            self._last_words = (status, message)  # it is a later request that is wrong
        elif self.cycle.response_started:
            self.transport.abort()
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._answer(status, message)

    def _answer(self, status: int, message: str) -> None:
        """Write an error in an envelope both SDK families read, and hang up."""
        envelope = {"type": "invalid_request_error", "message": message, "code": None, "param": None}
        body = msgspec.json.encode({"type": "error", "error": envelope})
        head = b"content-type: application/json\r\nx-should-retry: false\r\nconnection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + length + body)
        self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection after what has been written.

        Bytes left unread would turn into a reset that overtakes the answer, so a caller in the middle of a
        request is listened to for a while (RFC 9112 section 9.6).
        """
        if self._linger_timer is not None or self.transport.is_closing():
            return
        if not (self._deaf or self._in_head or self.cycle.more_body):
            self.transport.close()
            return
        self._deaf = True
        self._disarm()
        self.flow.resume_reading()
        self.transport.write_eof()
        self._linger_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _abort(self) -> None:
        """Cut the connection. A head that was promised a body leaves first: without it a client would ask again."""
        self._outlet.let_go()
        self.transport.abort()

    def _reset(self) -> None:
        """Cut the connection so that it cannot be taken for the end of an answer that ends with its connection."""
        if self.transport.is_closing():
            return
        self._outlet.let_go()
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


def _without_chunks(app: Any, cycle: RequestResponseCycle, cut: Callable[[], None]) -> Any:
    """An application as HTTP/1.0 is answered: what announces no length ends with its connection (RFC 9112 section 6.1).

    `cut` is called where the application leaves its answer unfinished.
    """

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        measured = True

        async def send_plain(message: Any) -> None:
            nonlocal measured
            if message["type"] == "http.response.start":
                measured = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                cycle.chunked_encoding = None if measured else False
            elif not measured:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await app(scope, receive, send_plain)
        finally:
            if cycle.response_started and not cycle.response_complete:
                cut()

    return answer


def protocol_class(limits: Limits) -> type[GuardedHttp]:
    """The protocol class uvicorn takes for `http=`, bound to these limits."""
    return type("BoundHttp", (GuardedHttp,), {"limits": limits})
