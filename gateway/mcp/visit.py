"""A visit: one HTTP request to a tool server, from its body to the last byte of its answer."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, Protocol

import msgspec

from gateway.config import Limits, McpServer
from gateway.http import Answer, Interrupted, Upstream
from gateway.ids import new_id
from gateway.mcp import heads
from gateway.mcp.events import TooLong, event, has_id, place_of
from gateway.mcp.pair import Caller, Pair, Transport
from gateway.mcp.pipe import Pipe
from gateway.mcp.refusals import NotSpoken, Withdrawn, told
from gateway.mcp.seat import Seat
from gateway.mcp.tokens import Tokens
from gateway.refusals import (
    BadFraming,
    Draining,
    Failed,
    LoginNeeded,
    ProviderKeyMissing,
    Refused,
    UpstreamBroke,
    UpstreamMalformed,
    UpstreamTimedOut,
)
from gateway.server import Door
from gateway.stations import forward, ingress
from gateway.stations.ingress import Headers, Presented, Watch, header
from gateway.wire import mcp
from gateway.wire.frames import Frame, Frames, Oversized, reframed
from gateway.wire.jsonrpc import PARSE_ERROR, Malformed, Message, error

log = logging.getLogger("stepwarden.mcp")

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

METHODS: Final[dict[str, Transport]] = {"POST": "POST", "GET": "GET", "DELETE": "DELETE"}

_DRAIN_SECONDS: Final = 1.0

_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (b"content-type", b"text/event-stream")
_OURS: Final = frozenset({b"authorization", b"cookie", b"content-length", b"content-encoding", b"accept-encoding"})
"""Headers of a caller that do not travel on: its credentials are for this gateway alone."""

_ABOUT_BYTES: Final = frozenset({b"content-length", b"content-encoding", b"content-type", b"set-cookie"})
_REDIRECTS: Final = range(300, 400)
_UNAUTHORIZED: Final = 401
_AUTH: Final = frozenset({401, 403, 407})


class Plane(Protocol):
    """What a visit needs of the plane it comes to."""

    @property
    def clients(self) -> Mapping[str, Upstream]:
        """Connection pools by server."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """Where tokens are read."""
        ...

    @property
    def tokens(self) -> Tokens:
        """The gateway's own tokens for servers with OAuth."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the gateway is about to end."""
        ...

    def limits(self, server: McpServer) -> Limits:
        """The bounds on a message to a server."""
        ...

    def judging(self, caller: Caller, message: Message, visit: "Visit") -> AbstractContextManager[None]:
        """While a call is judged, its caller can cancel it."""
        ...

    def withdraw(self, caller: Caller, wanted: object) -> bool:
        """Cancel a call that is being judged; False where there is none of this id."""
        ...


class Visit:
    """One HTTP request to a tool server."""

    def __init__(self, plane: Plane, scope: Any, receive: Receive, send: Send) -> None:
        self._plane = plane
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers: Headers = scope["headers"]
        self._pair: Pair | None = None
        self._seat: Seat | None = None
        self._door: Door | None = None
        self._watch: Watch | None = None
        self._answer: Answer | None = None
        self._started = False
        self._streams = False
        """True once the caller's answer has begun as events."""
        self._id_token = b"null"
        self._task = asyncio.current_task()
        self._withdrawn = False

    async def carry(self, door: Door, server: McpServer, seat: Seat, caller: Caller, shown: Presented | None) -> None:
        """The whole way of a request. Raises `Refused`, `ClientGone`."""
        self._door, self._seat = door, seat
        if self._scope["method"] not in METHODS:
            raise NotSpoken("This endpoint takes POST, GET and DELETE.")
        message: Message | None = None
        body = b""
        if caller.transport == "POST":
            body = await ingress.read_body(self._receive, door, self._headers, self._plane.limits(server))
            message = await self._read(body, server, caller)
            if message is None:
                return
        self._pair = pair = Pair(server.name, caller, message)
        heads.check(self._headers, message)
        await seat.open(pair)
        self._watch = Watch(door)
        headers = self._outgoing(server, shown)
        if message is not None:
            ruling = await self._ruled(seat, pair, message)
            if ruling is None:
                return
            body = ruling
        await self._forward(server, pair, seat, headers, body)

    async def pipe(self, door: Door, server: McpServer, seat: Seat, caller: Caller, shown: Presented | None) -> None:
        """All messages between a client and a server that runs beside it, as lines of one request and its answer."""
        del shown
        if self._scope["method"] != "POST":
            raise NotSpoken("This endpoint takes POST.")
        self._door = door
        caller = msgspec.structs.replace(caller, transport="STDIO", connection=f"{server.name} {new_id()}")
        self._started = True
        kind = (b"content-type", b"application/x-ndjson")
        await self._send({"type": "http.response.start", "status": 200, "headers": [kind]})
        await self._piece(b"\n")
        await Pipe(server, seat, caller, self._piece, lambda: self._plane.draining).run(self._receive)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, body: bytes, server: McpServer, caller: Caller) -> Message | None:
        """The message in a body; None where it was none and that has been answered."""
        if header(self._headers, b"content-encoding") is not None:
            raise BadFraming("A message to a tool server is not compressed.")
        try:
            message = mcp.read_client(body)
        except Malformed as malformed:
            self._pair = pair = Pair(server.name, caller, None, body=body)
            assert self._seat is not None
            await self._seat.open(pair)
            pair.note, pair.error_type, pair.status = str(malformed), "malformed_message", 400
            said = f"{malformed} {malformed.remedy()}" if malformed.code != PARSE_ERROR else str(malformed)
            await self._whole(400, error(malformed.id_token, malformed.code, said))
            return None
        self._id_token = message.id_token or b"null"
        return message

    async def _ruled(self, seat: Seat, pair: Pair, message: Message) -> bytes | None:
        """The body that may go on; None where the message was answered here."""
        if message.kind != "request":
            if message.cancels is not None and self._plane.withdraw(pair.caller, message.cancels):
                pair.outcome = "complete"
                await self._whole(202, b"")
                return None
            return message.raw
        with self._plane.judging(pair.caller, message, self):
            ruling = await seat.request(pair, self._told)
        if ruling.passes:
            return ruling.body
        await self._last(ruling.body)
        return None

    def withdraw(self) -> None:
        """The caller does not want its call any more, which has not been passed on."""
        self._withdrawn = True
        if self._task is not None:
            self._task.cancel()

    def _outgoing(self, server: McpServer, shown: Presented | None) -> list[tuple[bytes, bytes]]:
        """The headers that travel on. Raises `ProviderKeyMissing`."""
        kept = [
            pair
            for pair in forward.request_headers(self._headers)
            if pair[0] not in _OURS and pair[0] not in ingress.KEY_HEADERS and pair[0] != server.key_header.encode()
        ]
        kept.append((b"accept-encoding", b"identity"))
        if server.oauth is not None and shown is None:
            raise ProviderKeyMissing("This tool server's tokens are used only for callers with a gateway key.")
        if server.key_env is None:
            return kept
        token = server.key(self._plane.environ)
        if shown is None or token is None:
            raise ProviderKeyMissing("This tool server's token is used only for callers with a gateway key.")
        value = token.encode()
        name = server.key_header.encode()
        return [*kept, (name, b"Bearer " + value if name == b"authorization" else value)]

    # ------------------------------------------------------------------------------------------------ the answer

    async def _forward(
        self, server: McpServer, pair: Pair, seat: Seat, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        pair.forwarded_ns = time.time_ns()
        answer = await self._answered(server, headers, body)
        pair.upstream_status = pair.status = answer.status
        if answer.status in _REDIRECTS:
            raise UpstreamMalformed("The tool server has moved; the operator has to give its new address.")
        if header([*answer.headers], b"content-encoding") not in (None, b"identity"):
            raise UpstreamMalformed("The tool server's answer is compressed, though nobody asked for that.")
        kind = (header([*answer.headers], b"content-type") or b"").partition(b";")[0].strip().lower()
        try:
            if kind == b"text/event-stream":
                await self._events(server, pair, seat, answer)
            else:
                await self._document(server, pair, seat, answer)
        except Interrupted as broken:
            pair.note = str(broken)
            kind_of = UpstreamTimedOut if broken.timed_out else UpstreamBroke
            raise kind_of("The tool server's answer broke off.") from broken
        except TooLong as long:
            raise UpstreamMalformed(str(long)) from long

    async def _answered(self, server: McpServer, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        """The server's answer, asked with its token. One that it does not take is renewed once: nothing was done yet.

        Raises `LoginNeeded`, `AuthorizationFailed`, and as `Upstream.send` does.
        """
        if server.oauth is None:
            return await self._sent(server, headers, body)
        token = await self._plane.tokens.of(server.name)
        while True:
            answer = await self._sent(server, [*headers, _bearer(token.value)], body)
            if answer.status != _UNAUTHORIZED:
                return answer
            answer.close()
            if token.made:
                raise LoginNeeded.at(server.name)
            token = await self._plane.tokens.instead(server.name, token)

    async def _sent(self, server: McpServer, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        target = "/" if (server.url or "").endswith("/") else ""
        client = self._plane.clients[server.name]
        self._answer = await client.send(self._scope["method"], target, headers, body or None)
        return self._answer

    async def _document(self, server: McpServer, pair: Pair, seat: Seat, answer: Answer) -> None:
        """An answer of one message, or of none."""
        pieces: list[bytes] = []
        size = 0
        while piece := await answer.read():
            pair.hear(piece)
            pieces.append(piece)
            size += len(piece)
            if size > server.message_bytes:
                raise TooLong("The tool server's answer is too long.")
        pair.answered_ns = time.time_ns()
        raw = b"".join(pieces)
        status = answer.status
        if not raw.strip():
            pair.outcome = "complete"
            await self._whole(status, b"")
            return
        if status >= 400 and not mcp.is_answer(raw):  # noqa: PLR2004 - client and server errors
            pair.outcome = "complete"
            said = f"The tool server refused the request with status {status}."
            body = mcp.error_of(-32000, said, pair.exchange_id, code="tool_server_refused", id_token=self._id_token)
            await self._whole(502 if status in _AUTH else status, body)
            return
        delivered = await seat.answer(pair, raw, self._told)
        if not pair.spoilt:
            pair.outcome = "complete"
        await self._last(delivered, status=502 if pair.spoilt else status)

    async def _events(self, server: McpServer, pair: Pair, seat: Seat, answer: Answer) -> None:
        """An answer in events: each is judged before it is passed on; what is no message is not passed on."""
        pair.stream, pair.media_type = True, "text/event-stream"
        frames = Frames(server.message_bytes)
        listens = pair.message is None
        resumable = False
        await self._begin(answer)
        while piece := await answer.read():
            pair.hear(piece)
            for frame in self._framed(frames, piece):
                resumable = resumable or has_id(frame)
                if await self._event(pair, seat, frame) and not listens:
                    pair.outcome = "complete"
                    await self._end()
                    await _drained(answer)
                    return
        if listens or resumable or (pair.message is not None and pair.message.kind != "request"):
            pair.outcome = "complete" if listens else "truncated"
            await self._end()
            return
        pair.outcome = "truncated"
        said = "The tool server's answer ended before it was complete."
        await self._last(
            mcp.error_of(-32603, said, pair.exchange_id, code="upstream_truncated", id_token=self._id_token)
        )

    def _framed(self, frames: Frames, piece: bytes) -> list[Frame]:
        try:
            return frames.feed(piece)
        except Oversized:
            raise TooLong("An event of the tool server is too long.") from None

    async def _event(self, pair: Pair, seat: Seat, frame: Frame) -> bool:
        """Pass one event on, judged; whether it was the answer."""
        data = b"" if frame.event is None else frame.event.data
        if not data:
            await self._piece(frame.raw)
            return False
        try:
            place = place_of(data, pair.message)
        except Malformed as malformed:
            pair.note = f"an event was not passed on: {malformed}"
            return False
        if place == "aside":
            await self._piece(frame.raw)
            return False
        if place == "another":
            pair.note = "an answer to another message was not passed on"
            return False
        pair.answered_ns = time.time_ns()
        delivered = await seat.answer(pair, data, self._told)
        if pair.message is not None:
            self._look_away()
        await self._piece(frame.raw if delivered is data else reframed(frame, delivered))
        return True

    # -------------------------------------------------------------------------------------------- to the caller

    async def _told(self, message: bytes) -> None:
        """A notification of ours, where the caller reads events."""
        accept = header(self._headers, b"accept") or b""
        if self._streams or (not self._started and b"text/event-stream" in accept):
            await self._begin(None)
            await self._piece(event(message))

    async def _begin(self, answer: Answer | None) -> None:
        """Begin an answer of events."""
        if self._started:
            return
        self._started = self._streams = True
        headers = [] if answer is None else self._kept(answer)
        await self._head(200 if answer is None else answer.status, [*headers, _EVENTS, (b"cache-control", b"no-cache")])

    def _kept(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        own = (*_ABOUT_BYTES, b"cache-control", b"www-authenticate", b"location", b"alt-svc")
        return [pair for pair in forward.response_headers(answer.headers) if pair[0] not in own]

    async def _piece(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self) -> None:
        self._look_away()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _last(self, message: bytes, *, status: int = 200) -> None:
        """The last message of an answer: as an event where it has begun so, else as a document."""
        if self._streams:
            await self._piece(event(message))
            await self._end()
        else:
            await self._whole(status, message)

    async def _whole(self, status: int, body: bytes) -> None:
        """An answer of one document."""
        self._look_away()
        if self._pair is not None:
            self._pair.status = status
        headers = [] if self._answer is None else self._kept(self._answer)
        headers += [(b"content-length", b"%d" % len(body)), *([_JSON] if body else [])]
        await self._head(status, headers)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._started = True
        if self._pair is not None:
            self._pair.status = status
            headers = [*headers, *_told_of(self._pair)]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _look_away(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    # -------------------------------------------------------------------------------------------- what goes wrong

    async def refuse(self, refusal: Refused) -> None:
        """Say no in JSON-RPC's shape."""
        pair, seat = self._pair, self._seat
        if pair is not None and seat is not None:
            body = seat.refusal(pair, refusal)
        else:
            body = told(refusal, "", self._id_token)
        if self._started:
            await self._ended(body)
            return
        self._look_away()
        length = (b"content-length", b"%d" % len(body))
        await self._head(refusal.status, [_JSON, length, *refusal.answer_headers])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _ended(self, body: bytes) -> None:
        """End an answer that has begun."""
        self._look_away()
        if self._streams:
            await self._last(body)
        elif self._door is not None:
            self._door.abort()

    def left(self) -> None:
        """The caller has left."""
        if self._pair is not None:
            self._pair.outcome = "client_aborted"

    async def cancelled(self) -> None:
        """The caller left, or the drain time is over."""
        if self._watch is not None and self._watch.recalled():
            self.left()
            return
        if self._withdrawn and self._task is not None:
            self._task.uncancel()
            await self.refuse(Withdrawn("The call was cancelled before it was passed on."))
            return
        await self.refuse(Draining("The gateway shut down before the tool server answered."))

    async def fail(self) -> None:
        """A bug of ours: the caller gets an error, never an unjudged answer."""
        try:
            await self.refuse(Failed("The gateway failed on this message."))
        except Exception:
            log.exception("a failed message could not be answered")
            if self._door is not None:
                self._door.abort()

    def close(self) -> None:
        """Drop the connection to the server, and record what there was."""
        if self._answer is not None:
            self._answer.close()
        if self._pair is not None and self._seat is not None:
            self._seat.close(self._pair)


def _bearer(token: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token.encode("ascii", "replace")


async def _drained(answer: Answer) -> None:
    """Read what follows the answer, which is nobody's, so that the connection can be used again."""
    with suppress(TimeoutError, Interrupted):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await answer.read():
                pass


def _told_of(pair: Pair) -> list[tuple[bytes, bytes]]:
    """The headers the gateway adds."""
    headers = [(b"stepwarden-exchange", pair.exchange_id.encode())]
    if pair.join is not None:
        headers.append((b"stepwarden-session", pair.join.session_id.encode()))
    if pair.docket is not None:
        verdict = "streaming" if pair.stream and not pair.brought else pair.docket.verdict.name
        headers.append((b"stepwarden-verdict", verdict.encode()))
    return headers
