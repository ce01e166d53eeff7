"""MCP over streamable HTTP at `/mcp/{server}`: a message on its way to a tool server, and the answer's way back.

    ingress -> admit -> read -> open -> judge -> forward -> judge the answer -> record

Whatever is neither an act nor an answer passes as it came: unknown methods, progress, cancellation, sampling,
elicitation. An answer that cannot be read does not pass, for nobody could say what it holds.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from gateway.config import Config, Limits, McpServer, is_loopback
from gateway.exchange import Gate
from gateway.http import Answer, Interrupted, Upstream
from gateway.ids import new_id
from gateway.keeper import Keeper
from gateway.mcp import heads
from gateway.mcp.events import Block, Blocks, TooLong, event
from gateway.mcp.pair import Caller, Pair, Transport
from gateway.mcp.pipe import Pipe
from gateway.mcp.seat import Seat
from gateway.refusals import (
    BadFraming,
    Draining,
    Failed,
    ProviderKeyMissing,
    Refused,
    UpstreamBroke,
    UpstreamMalformed,
    UpstreamTimedOut,
)
from gateway.server import Door
from gateway.stations import forward, ingress
from gateway.stations.ingress import ClientGone, Headers, Presented, Watch, header
from gateway.wire import mcp
from gateway.wire.jsonrpc import PARSE_ERROR, Malformed, Message, error, id_key, read

log = logging.getLogger("stepwarden.mcp")

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

IN_FLIGHT: Final = 256
"""Messages at once to one server, a worker: one that hangs takes no room from others."""

_DRAIN_SECONDS: Final = 1.0

_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (b"content-type", b"text/event-stream")
_OURS: Final = frozenset({b"authorization", b"cookie", b"content-length", b"content-encoding", b"accept-encoding"})
"""Headers of a caller that do not travel on: its credentials are for this gateway alone."""

_ABOUT_BYTES: Final = frozenset({b"content-length", b"content-encoding", b"content-type", b"set-cookie"})
_REDIRECTS: Final = range(300, 400)
_AUTH: Final = frozenset({401, 403, 407})
_METHODS: Final[dict[str, Transport]] = {"POST": "POST", "GET": "GET", "DELETE": "DELETE"}


class NoSuchServer(Refused):
    """No MCP server of this name can be reached by this caller over HTTP."""

    status = 404
    code = "unknown_server"

    def remedy(self) -> str:
        """Who knows."""
        return "Ask the operator which [mcp.NAME] tables there are; one with a `command` is run by `stepwarden mcp`."


class NotSpoken(Refused):
    """A method of HTTP that this protocol does not use."""

    status = 405
    code = "method_not_allowed"
    headers = ((b"allow", b"GET, POST, DELETE"),)


class Foreign(Refused):
    """A web page asks, or somebody under a name this gateway does not have."""

    status = 403
    code = "foreign_origin"

    def remedy(self) -> str:
        """How to be let in."""
        return "Use the address the gateway listens on, or add the name to `allowed_hosts` in [gateway]."


class Withdrawn(Refused):
    """Its own caller cancelled a call while a person was waited for."""

    code = "cancelled"
    outcome = "client_aborted"

    def remedy(self) -> str:
        """Nothing: it is what the caller wanted."""
        return ""


class McpPlane:
    """The ASGI application of every MCP server."""

    def __init__(
        self,
        config: Config,
        *,
        clients: Mapping[str, Upstream],
        seats: Mapping[str, Seat],
        keeper: Keeper,
        gate: Gate,
        environ: Mapping[str, str],
    ) -> None:
        """`clients` and `seats` by server; a server over stdio has no client."""
        self._servers = config.mcp
        self._limits = config.limits
        self._hosts = frozenset(name.lower() for name in config.gateway.allowed_hosts)
        self._host = config.gateway.host.lower()
        self.clients = clients
        self.seats = seats
        self.keeper = keeper
        self._gate = gate
        self._judging: dict[tuple[str, object], _Visit] = {}
        """Calls that are being judged, by connection and id, for whoever cancels one."""
        self._gates = {name: Gate(IN_FLIGHT) for name in config.mcp}
        self.environ = environ

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Carry one HTTP request. Never raises."""
        visit = _Visit(self, scope, receive, send)
        try:
            with self._gate:
                await self._carry(visit, scope)
        except Refused as refusal:
            await visit.refuse(refusal)
        except ClientGone:
            visit.left()
        except asyncio.CancelledError:
            await visit.cancelled()
        except Exception:
            log.exception("an exchange with a tool server failed")
            await visit.fail()
        finally:
            visit.close()

    async def _carry(self, visit: "_Visit", scope: Any) -> None:
        door = ingress.check(scope)
        shown = ingress.presented(scope["headers"])
        self.refuse_strangers(scope["headers"], keyed=shown is not None)
        principal = await self.keeper.admit(shown.secret if shown else None)
        server, over_pipe = self.server(scope["raw_path"], principal.app)
        seat = self.seats[server.name]
        with self._gates[server.name]:
            await (visit.pipe if over_pipe else visit.carry)(
                door,
                server,
                seat,
                Caller(
                    principal=principal,
                    secret=shown.secret if shown else None,
                    headers=scope["headers"],
                    transport=_METHODS.get(scope["method"], "POST"),
                    connection=_connection(server, scope["headers"]),
                    revision=heads.revision(scope["headers"]),
                ),
                shown,
            )

    def server(self, raw_path: bytes, app: str) -> tuple[McpServer, bool]:
        """The server a path names, and whether it runs where the agent does. Raises `NoSuchServer`."""
        _, _, rest = raw_path.decode("latin-1").lstrip("/").partition("/")
        name, _, way = unquote(rest.rstrip("/")).partition("/")
        server = self._servers.get(name)
        over_pipe = server is not None and server.url is None
        if server is None or (server.apps and app not in server.apps) or way != ("stdio" if over_pipe else ""):
            raise NoSuchServer("No MCP server of this name is served here in this way.")
        return server, over_pipe

    @contextmanager
    def judging(self, caller: Caller, message: Message, visit: "_Visit") -> Iterator[None]:
        """While a call is judged, its caller can cancel it; later that is the server's to do."""
        key = (caller.connection or "", id_key(message.id_token))
        if caller.connection is None or key in self._judging:
            yield
            return
        self._judging[key] = visit
        try:
            yield
        finally:
            del self._judging[key]

    def withdraw(self, caller: Caller, wanted: object) -> bool:
        """Cancel a call that is being judged; False where there is none of this id."""
        visit = self._judging.get((caller.connection or "", wanted))
        if visit is not None:
            visit.withdraw()
        return visit is not None

    @property
    def draining(self) -> bool:
        """Whether the gateway is about to end."""
        return self._gate.draining

    def limits(self, server: McpServer) -> Limits:
        """The bounds on a message to a server."""
        return msgspec.structs.replace(self._limits, body_bytes=min(self._limits.body_bytes, server.message_bytes))

    def refuse_strangers(self, headers: Headers, *, keyed: bool) -> None:
        """Raise `Foreign` for web pages of others, and for callers without a key under a name we do not have."""
        host = (header(headers, b"host") or b"").decode("latin-1").strip().lower()
        origin = header(headers, b"origin")
        if origin is not None and not self._is_ours(origin.decode("latin-1").strip().lower().partition("://")[2]):
            raise Foreign("Requests from this Origin are not answered.")
        if not keyed and not self._is_ours(host):
            raise Foreign("This Host is not one the gateway answers to.")

    def _is_ours(self, host: str) -> bool:
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return is_loopback(name) or name == self._host or host in self._hosts or name in self._hosts


class _Visit:
    """One HTTP request to a tool server."""

    def __init__(self, plane: McpPlane, scope: Any, receive: Receive, send: Send) -> None:
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
        if self._scope["method"] not in _METHODS:
            raise NotSpoken("This endpoint takes POST, GET and DELETE.")
        message: Message | None = None
        body = b""
        if caller.transport == "POST":
            body = await ingress.read_body(self._receive, door, self._headers, self._plane.limits(server))
            message = await self._read(body, server, caller)
            if message is None:
                return
        self._pair = pair = Pair(server.name, caller, message)
        if message is not None:
            heads.check(self._headers, message, caller.revision)
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
            message = read(body)
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
        target = "/" if (server.url or "").endswith("/") else ""
        client = self._plane.clients[server.name]
        answer = self._answer = await client.send(self._scope["method"], target, headers, body or None)
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
        blocks = Blocks(server.message_bytes)
        listens = pair.message is None
        resumable = False
        await self._begin(answer)
        while piece := await answer.read():
            pair.hear(piece)
            for block in blocks.feed(piece):
                resumable = resumable or block.has_id
                if await self._event(pair, seat, block) and not listens:
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

    async def _event(self, pair: Pair, seat: Seat, block: Block) -> bool:
        """Pass one event on, judged; whether it was the answer."""
        data = block.data
        if not data:
            await self._piece(block.raw)
            return False
        try:
            message = read(data)
        except Malformed as malformed:
            pair.note = f"an event was not passed on: {malformed}"
            return False
        if message.kind in ("request", "notification"):
            await self._piece(block.raw)
            return False
        if pair.message is not None and message.id_token != pair.message.id_token:
            pair.note = "an answer to another message was not passed on"
            return False
        pair.answered_ns = time.time_ns()
        delivered = await seat.answer(pair, data, self._told)
        if pair.message is not None:
            self._look_away()
        await self._piece(block.raw if delivered is data else block.with_data(delivered))
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
            body = mcp.error_of(-32000, f"{refusal} {refusal.remedy()}".rstrip(), "", code=refusal.code)
        if self._started:
            await self._ended(body)
            return
        extra = [*refusal.headers]
        if refusal.closes:
            extra.append((b"connection", b"close"))
        if refusal.retry_after is not None:
            extra.append((b"retry-after", str(refusal.retry_after).encode()))
        self._look_away()
        length = (b"content-length", b"%d" % len(body))
        await self._head(refusal.status, [_JSON, length, *extra])
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


def _connection(server: McpServer, headers: Headers) -> str | None:
    """What the messages of one protocol session share."""
    session = header(headers, heads.SESSION)
    return None if session is None else f"{server.name} {session.decode('latin-1')[:256]}"
