"""The one HTTP client towards providers: bytes in, bytes out, nothing added, nothing followed, nothing decoded."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol

import aiohttp
import yarl
from multidict import CIMultiDict

from gateway.refusals import UpstreamBroke, UpstreamTimedOut, UpstreamUnreachable

Headers = list[tuple[bytes, bytes]]

_HEAD_LIMIT = 64 * 1024
_NOTHING_ADDED = ("user-agent", "accept", "accept-encoding", "content-type")
"""Headers aiohttp would fill in where a caller sent none."""


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

        Raises `UpstreamUnreachable`, `UpstreamTimedOut` or `UpstreamBroke`; a request is never sent twice.
        """
        ...


class _AiohttpAnswer:
    """`Answer` over an aiohttp response."""

    __slots__ = ("_response", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        return self._response.raw_headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except TimeoutError as error:
            raise Interrupted("the provider fell silent in mid-answer", timed_out=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Interrupted("the provider's connection broke in mid-answer", timed_out=False) from error

    def close(self) -> None:
        self._response.close()


class _AsSent(aiohttp.ClientRequest):
    """A request to which nothing is added: aiohttp announces an empty body where a caller announced none."""

    def update_body_from_data(self, body: Any, _stacklevel: int = 3) -> None:
        """Leave a request without a body alone."""
        if body is None:
            self._body = None
            return
        super().update_body_from_data(body, _stacklevel + 1)


class ProviderClient:
    """A connection pool for one provider.

    aiohttp's connector, request and response, without its session: cookies, redirects, middlewares and the
    repetition of idempotent requests are what a relay must not have, and they cost a third of a small request.
    Times in seconds: `connect_seconds` for DNS, TCP and TLS together; `idle_seconds` between any two bytes.
    """

    def __init__(
        self, base_url: str, *, connect_seconds: float, idle_seconds: float, socket: str | None = None
    ) -> None:
        self._base = base_url.rstrip("/")
        self._loop = asyncio.get_running_loop()
        self._connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(path=socket, limit=0)
            if socket
            else aiohttp.TCPConnector(limit=0, ttl_dns_cache=30, keepalive_timeout=15)
        )
        self._timeout = aiohttp.ClientTimeout(connect=connect_seconds, sock_read=idle_seconds)

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] | None
    ) -> Answer:
        """See `Upstream.send`. `target` is path and query, sent as it is."""
        request = _AsSent(
            method,
            yarl.URL(self._base + target, encoded=True),
            headers=CIMultiDict([(name.decode("latin-1"), value.decode()) for name, value in headers]),
            skip_auto_headers=_NOTHING_ADDED,
            data=body,
            loop=self._loop,
        )
        try:
            return _AiohttpAnswer(await self._exchange(request))
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise UpstreamUnreachable(f"No connection to the provider ({type(error).__name__}).") from error
        except TimeoutError as error:
            raise UpstreamTimedOut("The provider sent nothing within the idle deadline.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamBroke(
                f"The provider's connection broke before its answer ({type(error).__name__})."
            ) from error

    async def _exchange(self, request: aiohttp.ClientRequest) -> aiohttp.ClientResponse:
        """Send on a pooled or new connection and wait for the response headers."""
        try:
            connection = await self._connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        try:
            assert connection.protocol is not None
            connection.protocol.set_response_params(
                skip_payload=request.method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_timeout=self._timeout.sock_read,
                max_line_size=_HEAD_LIMIT,
                max_field_size=_HEAD_LIMIT,
            )
            response = await request.send(connection)
            try:
                return await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise

    async def close(self) -> None:
        """Close the pool; open answers are cut."""
        await self._connector.close()
