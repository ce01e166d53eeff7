"""The one HTTP client towards providers: bytes in, bytes out, nothing added, nothing followed, nothing decoded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol, cast

import aiohttp
import yarl
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter

from gateway.provider_connection import Malformed, ProviderConnection
from gateway.refusals import BadFraming, UpstreamBroke, UpstreamMalformed, UpstreamTimedOut, UpstreamUnreachable

Headers = list[tuple[bytes, bytes]]


class Interrupted(Exception):
    """The provider's answer broke off after its headers: a reset, a short body, or silence past the deadline."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Answer(Protocol):
    """A provider's response whose headers have arrived."""

    status: int

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values as they came."""
        ...

    async def read(self) -> bytes:
        """The next bytes of the body as they arrived, still content-encoded; empty at its end. Raises `Interrupted`."""
        ...

    def close(self) -> None:
        """Drop the connection unless the whole body was read; safe to call twice."""
        ...


class Upstream(Protocol):
    """What the stations need of a provider's connection pool."""

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] | None
    ) -> Answer:
        """Send one request and wait for its response headers.

        Raises `UpstreamUnreachable`, `UpstreamTimedOut`, `UpstreamBroke` or `UpstreamMalformed`; a request is never
        sent twice.
        """
        ...


class _Resting:
    """Connections that wait for their next request, the latest to rest in front.

    aiohttp's connector opens and closes them; asking it for each request would cost as much as writing the request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Connection, ProviderConnection, float]] = deque()
        """With the loop's time from which each rests: the longest at the left."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self) -> tuple[Connection, ProviderConnection] | None:
        """A connection that can be used again; None where there is none."""
        oldest = self._loop.time() - _REST_SECONDS
        while self._waiting:
            connection, incoming, since = self._waiting.pop()
            if since >= oldest and incoming.is_connected():
                return connection, incoming
            connection.close()
        return None

    def put(self, connection: Connection, incoming: ProviderConnection) -> None:
        """Keep a connection whose answer is whole for a while; one that says no more is closed."""
        if self._closed or incoming.should_close:
            connection.close()
            return
        self._waiting.append((connection, incoming, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(_REST_SECONDS, self._tidy)

    def close(self) -> None:
        """Close them all, and each that comes later. Idempotent."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._waiting.pop()[0].close()

    def _tidy(self) -> None:
        """Close what has rested for too long."""
        self._timer = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][2] <= now - _REST_SECONDS:
            self._waiting.popleft()[0].close()
        if self._waiting:
            left = self._waiting[0][2] + _REST_SECONDS - now
            self._timer = self._loop.call_later(max(left, _TIDY_SECONDS), self._tidy)


class _PooledAnswer:
    """`Answer` on a pooled connection; lets the connection rest when the last byte has come."""

    __slots__ = ("_connection", "_incoming", "_resting", "_sending", "headers", "status")

    def __init__(self, connection: Connection, incoming: ProviderConnection, resting: _Resting) -> None:
        self.status = 0
        self.headers: Headers = []
        self._connection: Connection | None = connection
        self._incoming = incoming
        self._resting = resting
        self._sending: asyncio.Task[None] | None = None

    def upload(self, sending: asyncio.Task[None]) -> None:
        """The request's own body goes on in this task."""
        self._sending = sending

    def begun(self) -> None:
        """The head has come."""
        self.status, self.headers = self._incoming.status, self._incoming.headers

    async def read(self) -> bytes:
        incoming = self._incoming
        try:
            piece = (incoming.at_hand() or await incoming.read()) if self._connection is not None else b""
        except TimeoutError as error:
            raise Interrupted("the provider fell silent in mid-answer", timed_out=True) from error
        except (Malformed, aiohttp.ClientError, OSError) as error:
            raise Interrupted("the provider's connection broke in mid-answer", timed_out=False) from error
        if incoming.whole:
            self.close()
        return piece

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if (self._sending is not None and self._sending.cancel()) or not self._incoming.whole:
            connection.close()  # what follows on it, of this answer or of a request that is not whole, is nobody's
        else:
            self._resting.put(connection, self._incoming)


class ProviderClient:
    """A connection pool for one provider.

    aiohttp's connector, without its session, request and response objects: cookies, redirects,
    middlewares, added headers and the repetition of idempotent requests are what a relay must not have, and they
    cost half of a small request. Times in seconds: `connect_seconds` for DNS, TCP and TLS together; `idle_seconds`
    between any two bytes.
    """

    def __init__(
        self, base_url: str, *, connect_seconds: float, idle_seconds: float, socket: str | None = None
    ) -> None:
        base = yarl.URL(base_url.rstrip("/"), encoded=True)
        self._loop = asyncio.get_running_loop()
        self._connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(path=socket, limit=0) if socket else aiohttp.TCPConnector(limit=0, ttl_dns_cache=30)
        )
        self._resting = _Resting(self._loop)
        self._connector._factory = cast("Any", self._connection)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._idle_seconds = idle_seconds
        self._timeout = aiohttp.ClientTimeout(connect=connect_seconds)
        self._whom = aiohttp.ClientRequest("GET", base, loop=self._loop)
        """What the connector connects for; it reads nothing of it but the address."""
        self._path = base.raw_path.rstrip("/").encode()
        self._host = b"host: " + (base.host_port_subcomponent or "").encode()

    def _connection(self) -> ProviderConnection:
        """The protocol of a new connection. aiohttp offers no way to name it, so its pool is told."""
        return ProviderConnection(self._loop, idle_seconds=self._idle_seconds)

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] | None
    ) -> Answer:
        """See `Upstream.send`. `target` is path and query, sent as it is."""
        named = [name for name, _ in headers]
        declared = _declared_length(headers, named)
        if body is None or isinstance(body, bytes):
            if declared is not None and declared != len(body or b""):
                raise BadFraming("The body is not as long as its Content-Length says.")
        elif declared is not None:
            body = _measured(body, declared)
        try:
            return await self._exchange(method, self._head(method, target, headers, named, _said(body, declared)), body)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise UpstreamUnreachable(f"No connection to the provider ({type(error).__name__}).") from error
        except TimeoutError as error:
            raise UpstreamTimedOut("The provider sent nothing within the idle deadline.") from error
        except Malformed as error:
            raise UpstreamMalformed(f"The provider's answer is not HTTP/1.1 that can be read ({error}).") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamBroke(
                f"The provider's connection broke before its answer ({type(error).__name__})."
            ) from error

    def _head(self, method: str, target: str, headers: Headers, named: list[bytes], framing: bytes) -> bytes:
        """The request's head as it goes out: what the caller sent, and how long its body is where it did not say."""
        lines = [b"%b %b%b HTTP/1.1" % (method.encode(), self._path, target.encode("latin-1"))]
        if b"host" not in named:
            lines.append(self._host)
        lines += [b"%b: %b" % pair for pair in headers]
        if framing:
            lines.append(framing)
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
            raise BadFraming("A header holds a line break.")
        return head + b"\r\n\r\n"

    async def _exchange(self, method: str, head: bytes, body: bytes | AsyncIterator[bytes] | None) -> Answer:
        """Send on a pooled or new connection and wait for the response headers."""
        connection, incoming = self._resting.take() or await self._connected()
        answer = _PooledAnswer(connection, incoming, self._resting)
        try:
            incoming.begin(bodiless=method == "HEAD")
            if _write(incoming, head, body):
                incoming.start_timeout()
            else:
                answer.upload(self._loop.create_task(_pour(body, incoming, chunked=_is_chunked(head))))
            await incoming.head()
            answer.begun()
            if answer.status not in _FINAL:
                _refuse_oddity(answer.status)
        except BaseException:
            answer.close()
            raise
        return answer

    async def _connected(self) -> tuple[Connection, ProviderConnection]:
        """A new connection. Raises what aiohttp raises where there can be none."""
        try:
            connection = await self._connector.connect(self._whom, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        try:
            return connection, _protocol(connection)
        except BaseException:
            connection.close()
            raise

    async def close(self) -> None:
        """Close the pool; open answers are cut."""
        self._resting.close()
        await self._connector.close()


_REST_SECONDS = 15.0
"""How long a connection waits for its next request."""

_TIDY_SECONDS = 1.0
_FINAL = range(200, 600)
"""Statuses an answer can end with (RFC 9110 section 15)."""

_CHUNKED = b"transfer-encoding: chunked"
_JOINED_BYTES = 64 * 1024
"""Bodies up to this size leave in one piece with their head: one system call, for a copy that costs less."""


def _declared_length(headers: Headers, named: list[bytes]) -> int | None:
    """The Content-Length that will be sent. Raises `BadFraming` where it is none, or one of several."""
    if b"content-length" not in named:
        return None
    value = headers[named.index(b"content-length")][1]
    if named.count(b"content-length") > 1 or not value.isdigit():
        raise BadFraming("The body's length must be announced once, as a number.")
    return int(value)


def _said(body: bytes | AsyncIterator[bytes] | None, declared: int | None) -> bytes:
    """The header that says how long a body is, where the caller's headers do not."""
    if body is None or declared is not None:
        return b""
    return b"content-length: %d" % len(body) if isinstance(body, bytes) else _CHUNKED


async def _measured(body: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """A body that must be as long as its head says.

    Raises `ValueError` instead of its first byte too many or its end too soon: on a connection that is used again,
    the difference would be read as part of somebody else's request.
    """
    left = length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            raise ValueError(f"the body is longer than the {length} bytes announced")
        yield piece
    if left:
        raise ValueError(f"the body ended {left} bytes before the length announced")


def _is_chunked(head: bytes) -> bool:
    return head.endswith(_CHUNKED + b"\r\n\r\n")


def _protocol(connection: Connection) -> ProviderConnection:
    """The protocol of a connection just handed out. Raises `aiohttp.ServerDisconnectedError` where it is gone."""
    if connection.protocol is None or connection.transport is None:
        raise aiohttp.ServerDisconnectedError
    return cast("ProviderConnection", connection.protocol)


def _write(incoming: ProviderConnection, head: bytes, body: bytes | AsyncIterator[bytes] | None) -> bool:
    """Write what is at hand; whether that was all and has left already."""
    transport = incoming.transport
    if transport is None:
        raise aiohttp.ServerDisconnectedError
    if isinstance(body, bytes) and len(body) <= _JOINED_BYTES:
        transport.write(head + body)
    elif isinstance(body, bytes):
        transport.writelines((head, body))
    else:
        transport.write(head)
    return (body is None or isinstance(body, bytes)) and transport.get_write_buffer_size() == 0


async def _pour(body: bytes | AsyncIterator[bytes] | None, protocol: ProviderConnection, *, chunked: bool) -> None:
    """Send a body as it arrives, or wait for a whole one to leave; only then does the provider's silence count.

    What goes wrong with it shows to whoever waits for the answer.
    """
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    if chunked:
        writer.enable_chunking()
    try:
        if isinstance(body, AsyncIterator):
            async for piece in body:
                await writer.write(piece)
        if chunked:
            await writer.write_eof()
        await writer.drain()
    except Exception as error:  # noqa: BLE001 - whoever waits for the answer is told
        protocol.owes(ConnectionAbortedError(f"the request body ended early ({type(error).__name__})"))
    else:
        protocol.start_timeout()


def _refuse_oddity(status: int) -> None:
    """Raise `UpstreamMalformed` for a final status that is none."""
    if status == 101:  # noqa: PLR2004 - nobody asked for another protocol
        raise UpstreamMalformed("The provider switched protocols, which nobody asked for.")
    raise UpstreamMalformed(f"The provider answered with status {status}, which does not exist.")
