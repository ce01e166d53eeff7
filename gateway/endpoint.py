"""One address that guards ask: JSON there, a bounded answer back, over the gateway's HTTP client."""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.http import Answer, Headers, Interrupted, ProviderClient
from gateway.refusals import (
    BadFraming,
    UpstreamBroke,
    UpstreamMalformed,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from supervisors.models.http_status import seconds_of
from supervisors.ports import Posted, Unposted

_SECONDS: Final = 60.0
"""No deadline of a guard is longer, and its own is the one that counts."""

_WHY: Final = {
    UpstreamUnreachable: "unreachable",
    UpstreamTimedOut: "timed_out",
    UpstreamBroke: "broke_off",
    UpstreamMalformed: "not_http",
}


class Endpoint:
    """A pool of connections to one address. The address is the configuration's alone.

    `Unposted.why` is one of `unreachable timed_out broke_off not_http redirected answer_encoded answer_too_large`.
    """

    def __init__(self, url: str) -> None:
        """`url` is `http` or `https`, without user name and fragment. Needs no running loop yet."""
        parts = urlsplit(url)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._client: ProviderClient | None = None

    async def post(
        self, body: bytes, *, key: str | None, most: int, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> Posted:
        """See `supervisors.ports.Post`; `headers` go with it."""
        if self._client is None:
            self._client = ProviderClient(self._base, connect_seconds=_SECONDS, idle_seconds=_SECONDS)
        try:
            answer = await self._client.send("POST", self._target, [*_headers(key), *headers], body)
        except (UpstreamUnreachable, UpstreamTimedOut, UpstreamBroke, UpstreamMalformed) as error:
            raise Unposted(_WHY[type(error)]) from None
        except BadFraming:
            raise Unposted("unreachable") from None
        try:
            return await _read(answer, most)
        finally:
            answer.close()

    async def close(self) -> None:
        """Close the pool."""
        if self._client is not None:
            await self._client.close()


def _headers(key: str | None) -> Headers:
    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"identity"),
        (b"user-agent", b"stepwarden"),
    ]
    return headers if key is None else [*headers, (b"authorization", b"Bearer " + key.encode("ascii"))]


async def _read(answer: Answer, most: int) -> Posted:
    """The whole answer. Raises `Unposted`; what is refused is not read to its end."""
    if 300 <= answer.status < 400:  # noqa: PLR2004 - redirects
        raise Unposted("redirected")
    if answer.status != 200:  # noqa: PLR2004 - OK
        return Posted(answer.status, b"", _retry_after(answer.headers))
    if not _is_plain(answer.headers):
        raise Unposted("answer_encoded")
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await answer.read():
            size += len(piece)
            if size > most:
                raise Unposted("answer_too_large")
            pieces.append(piece)
    except Interrupted as broken:
        raise Unposted("timed_out" if broken.timed_out else "broke_off") from None
    return Posted(200, b"".join(pieces))


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    found = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return seconds_of(found.decode("latin-1"))


def _is_plain(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return all(value.strip().lower() == b"identity" for name, value in headers if name.lower() == b"content-encoding")
