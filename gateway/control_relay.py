"""The control plane as a worker serves it: relayed to the keeper's process, with the caller's address beside it.

The keeper decides who may call. It believes the address a worker names because only the data directory's
owner can reach that socket; a header of that name from a caller never gets there.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway import sockets
from gateway.api.answers import Fault, Problem
from gateway.api.control import BODY_BYTES
from gateway.api.live import AUDIENCE, RELAYED, audience_of
from gateway.api.problems import SAFE_HEADERS
from gateway.config import Limits
from gateway.http import Answer, Interrupted, ProviderClient
from gateway.refusals import Refused
from gateway.server import Door
from gateway.stations import forward, ingress
from gateway.viewers import WATCHING, Connection, Rooms, Viewer

_PEER = b"stepwarden-peer"
_AUDIENCE = AUDIENCE.encode()
SEGMENTS = ("api", "healthz", "readyz", "metrics")
"""First segments of the control plane's paths."""

_OF_THE_SERVER = (
    "type", "asgi", "http_version", "server", "client", "scheme", "method", "root_path", "raw_path", "query_string",
    "headers", "extensions",
)  # fmt: skip
"""What a request's scope holds before a framework adds its own; of the path only `raw_path` stays whole in a mount."""

_KEPT = frozenset({b"host", b"cookie", b"stepwarden-key", b"stepwarden-csrf"})
"""What no provider gets, and the keeper does: whom the control plane lets in depends on it."""

_SECONDS = 3600.0
_GONE = Fault(type="keeper_lost", message="The keeper cannot be reached.", remedy="Try again in a moment.")


def mounted(app: ASGIApp) -> dict[str, ASGIApp]:
    """The control plane's application by first segment, for the process that relays and keeps.

    It is the one that answers on the keeper's socket, and sees each request as the server read it.
    """

    async def whole(scope: Any, receive: Receive, send: Send) -> None:
        bare: Any = {name: scope[name] for name in _OF_THE_SERVER}
        bare["path"] = unquote(scope["raw_path"].decode("latin-1"))
        await app(bare, receive, send)

    return dict.fromkeys(SEGMENTS, whole)


def relayed(app: ASGIApp) -> ASGIApp:
    """The control plane's application at the keeper, for callers a worker speaks for."""

    async def with_peer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = ingress.header(scope["headers"], _PEER)
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != _PEER]
            scope["client"] = (peer.decode("latin-1"), 0) if peer else None
            extensions: Any = {**(scope.get("extensions") or {}), RELAYED: True}
            scope["extensions"] = extensions
        await app(scope, receive, send)

    return with_peer


class ControlRelay:
    """Relays the control plane's paths over the keeper's socket.

    Of the live feed the keeper only says who may have what, and counts them; what all viewers of a worker are told
    comes once for all of them, by the worker's own link.
    """

    def __init__(self, socket: Path, limits: Limits, rooms: Rooms) -> None:
        self._rooms = rooms
        self._limits = msgspec.structs.replace(limits, body_bytes=BODY_BYTES)
        self._open = ExitStack()
        short = self._open.enter_context(sockets.reachable(socket))
        self._client = ProviderClient("http://keeper", connect_seconds=5.0, idle_seconds=_SECONDS, socket=short)

    def segments(self) -> dict[str, Any]:
        """The first path segments this relays, for a worker's application."""
        return dict.fromkeys(SEGMENTS, self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Carry one control-plane exchange; a keeper that is gone is answered with 503."""
        answer: Answer | None = None
        watch: ingress.Watch | None = None
        try:
            door = ingress.check(scope)
            body = await ingress.read_body(receive, door, scope["headers"], self._limits)
            watch = ingress.Watch(door)
            answer = await self._client.send(scope["method"], _target(scope), _headers(scope), body or None)
            await self._pass_on(answer, door, scope["http_version"], send)
            watch.stop()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Refused as refusal:
            await _refuse(send, refusal)
        except (ingress.ClientGone, Interrupted):
            return
        except asyncio.CancelledError:
            if watch is None or not watch.recalled():
                raise
        finally:
            if watch is not None:
                watch.stop()
            if answer is not None:
                answer.close()

    async def _pass_on(self, answer: Answer, door: Door, version: str, send: Any) -> None:
        """Everything of the keeper's answer but its end."""
        headers = forward.end_to_end(answer.headers)
        audience = ingress.header(headers, _AUDIENCE)
        start = {"type": "http.response.start", "status": answer.status}
        if audience is None:
            await send({**start, "headers": headers})
            while chunk := await answer.read():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            return
        await send({**start, "headers": [pair for pair in headers if pair[0] != _AUDIENCE]})
        await self._tell(audience, answer, Connection(door.outlet, chunked=version != "1.0"), send)

    async def _tell(self, audience: bytes, answer: Answer, connection: Connection, send: Any) -> None:
        """Tell a caller what its audience is told, for as long as the keeper lets it."""
        whose, viewer = audience_of(audience), Viewer(connection)
        try:
            await self._rooms.enter(whose, viewer)
            await send({"type": "http.response.body", "body": WATCHING, "more_body": True})
            while await answer.read():
                pass
        finally:
            self._rooms.leave(whose, viewer)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        self._open.close()


def _target(scope: Any) -> str:
    target: str = scope["raw_path"].decode("latin-1")
    return f"{target}?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else target


def _headers(scope: Any) -> forward.Headers:
    """The caller's headers, Host included: the control plane checks it.

    `Connection` goes first: whoever could name Origin or X-Forwarded-For in it would take them from the check.
    """
    headers = [pair for pair in scope["headers"] if pair[0] != b"connection"]
    kept = [pair for pair in headers if pair[0] in _KEPT]
    headers = [pair for pair in headers if pair[0] not in _KEPT]
    peer = [(_PEER, scope["client"][0].encode())] if scope["client"] else []
    return [*kept, *forward.request_headers(headers), *peer]


async def _refuse(send: Any, refusal: Refused) -> None:
    """The caller's own fault as it is; whatever broke towards the keeper as a keeper that cannot be reached."""
    fault = Fault(type=refusal.code or "refused", message=str(refusal), remedy=refusal.remedy())
    status = refusal.status
    if status >= 500:  # noqa: PLR2004 - server errors
        fault, status = _GONE, 503
    body = msgspec.json.encode(Problem(error=fault))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()),
        *refusal.headers,
    ]
    if refusal.closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
