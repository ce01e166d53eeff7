"""Ingress: the request is checked, its caller's key found, its body read whole and bounded."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.config import Limits
from gateway.refusals import BadFraming, BodyTooLarge, HeadersTooLarge, TooSlow, UpgradeRefused
from gateway.server import DOOR, Door

Headers = Sequence[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Any]]

KEY_HEADERS = frozenset({b"x-api-key", b"api-key", b"x-goog-api-key"})
"""Where SDKs put a bare API key: Anthropic's, Azure's, Google's. All others use `authorization`."""

_ROUNDS = 3
"""A server behind others that decode each sees `%252e` as a dot."""

_MINIMUM_RATE = 16 * 1024
"""Bytes per second a body must reach on average after its grace period."""


class ClientGone(Exception):
    """The caller closed its connection before the request was whole."""


class Presented(msgspec.Struct, frozen=True):
    """A gateway key as the caller sent it."""

    secret: str
    slot: bytes
    """Header it came in: `stepwarden-key`, `authorization`, or one of `KEY_HEADERS`."""

    def __repr__(self) -> str:
        return f"Presented(slot={self.slot!r})"


def check(scope: Any) -> Door:
    """Refuse what the server noted about this request's head. Raises `Refused`."""
    door: Door = scope["extensions"][DOOR]
    if door.oversize:
        raise HeadersTooLarge(door.oversize)
    if door.fault:
        raise BadFraming(door.fault)
    raw_path: bytes = scope["raw_path"]
    if (b".." in raw_path or b"%" in raw_path) and _climbs(raw_path):
        raise BadFraming("The path climbs out of the provider it names.")
    for name, value in scope["headers"]:
        if name == b"upgrade" and b"websocket" in value.lower():
            raise UpgradeRefused("WebSocket is not spoken here; use HTTP with server-sent events.")
    return door


def _climbs(raw_path: bytes) -> bool:
    """Whether a server that resolves `..` would look above the base URL, in any spelling servers are known to read."""
    for _ in range(_ROUNDS):
        raw_path = unquote_to_bytes(raw_path)
    depth = -1  # the provider's own name is no part of what travels
    for name in raw_path.replace(b"\\", b"/").split(b"/"):
        plain = name.partition(b";")[0].strip()
        depth += -1 if plain == b".." else plain not in {b"", b"."}
        if plain == b".." and depth < 0:
            return True
    return False


def presented(headers: Headers) -> Presented | None:
    """The gateway key in a request's headers; None where every credential is the caller's own."""
    found: Presented | None = None
    for name, value in headers:
        if name == b"stepwarden-key":
            return Presented(value.decode("latin-1").strip(), name)
        if (name == b"authorization" or name in KEY_HEADERS) and is_gateway_key(value):
            found = Presented(_token(value).decode("latin-1"), name)
    return found


def is_gateway_key(value: bytes) -> bool:
    """Whether a credential header's value is a key of ours, plain or as a bearer token."""
    return _token(value).startswith(b"swk_")


def _token(value: bytes) -> bytes:
    return value[7:].strip() if value[:7].lower() in {b"bearer ", b"bearer\t"} else value.strip()


def header(headers: Headers, wanted: bytes) -> bytes | None:
    """The first value of a header, by its lower-case name."""
    for name, value in headers:
        if name == wanted:
            return value
    return None


def declared_length(headers: Headers) -> int | None:
    """Content-Length as a number; None for chunked bodies and for none at all."""
    value = header(headers, b"content-length")
    return int(value) if value and value.isdigit() else None


async def read_body(receive: Receive, door: Door, headers: Headers, limits: Limits) -> bytes:
    """The whole request body. Raises `BodyTooLarge`, `TooSlow` or `ClientGone`."""
    if door.whole:  # nothing to wait for, so no clock to set
        message = await receive()
        piece: bytes = message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise ClientGone
        if len(piece) <= limits.body_bytes:
            return piece
    declared = declared_length(headers)
    if declared is not None and declared > limits.body_bytes:
        raise BodyTooLarge(f"The body has {declared} bytes; at most {limits.body_bytes} are read on this path.")
    if door.whole:
        raise _too_large(limits)
    return await _read_pieces(receive, declared, limits)


def _too_large(limits: Limits) -> BodyTooLarge:
    return BodyTooLarge(f"The body exceeds {limits.body_bytes} bytes, the most that is read on this path.")


async def _read_pieces(receive: Receive, declared: int | None, limits: Limits) -> bytes:
    expected = declared if declared is not None else limits.body_bytes
    deadline = asyncio.get_running_loop().time() + limits.body_seconds + expected / _MINIMUM_RATE
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive_before(receive, limits.body_seconds, deadline)
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limits.body_bytes:
            raise _too_large(limits)
        if not message.get("more_body", False):
            return b"".join(pieces)


async def receive_before(receive: Receive, idle_seconds: float, deadline: float = math.inf) -> Any:
    """One part of a request body. Raises `TooSlow` past the idle time or the deadline (loop time), or `ClientGone`."""
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(now + idle_seconds, deadline)):
            message = await receive()
    except TimeoutError as error:
        raise TooSlow("The request body did not arrive in time.") from error
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


async def stream_body(receive: Receive, limits: Limits) -> AsyncIterator[bytes]:
    """A request body of any size as it arrives. Raises `ClientGone` or `TooSlow`."""
    more = True
    while more:
        message = await receive_before(receive, limits.body_seconds)
        if message.get("body"):
            yield message["body"]
        more = message.get("more_body", False)


def has_body(headers: Headers) -> bool:
    """Whether a request announces a body."""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


class Watch:
    """Cancels the current task when the caller leaves."""

    __slots__ = ("_door", "_task", "gone")

    def __init__(self, door: Door) -> None:
        self._task = asyncio.current_task()
        self._door = door
        self.gone = False
        door.on_departure(self._departed)

    def _departed(self) -> None:
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        """Look away: from here on a departure changes nothing."""
        self._door.departed = None

    def recalled(self) -> bool:
        """Whether the task's cancellation was ours, because the caller left; it is taken back then."""
        if self.gone and self._task is not None:
            self._task.uncancel()
        return self.gone
