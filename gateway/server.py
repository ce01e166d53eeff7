"""The HTTP server's door: uvicorn's httptools protocol with the deadlines and checks it lacks.

uvicorn waits for ever on slow headers, reads headers without end, and accepts absolute-form targets, a
missing Host and HTTP/0.9. What is wrong with a request is noted in the scope, so that the data plane
refuses it in the caller's own error shape; only what cannot be parsed at all is answered here.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.config import Limits

DOOR = "stepwarden.door"
"""Key in `scope["extensions"]` under which the protocol leaves its `Door`."""


class Door:
    """What the protocol knows of one request beyond ASGI: its faults, its end, and whether its caller has left."""

    __slots__ = ("_departed", "abort", "bare_query", "fault", "gone", "oversize", "whole")

    def __init__(self, abort: Callable[[], None]) -> None:
        self.abort = abort
        """Cuts the connection at once."""
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
        self._departed: Callable[[], object] | None = None

    def on_departure(self, tell: Callable[[], object] | None) -> None:
        """Whom to tell when the caller leaves; told at once where it has left already. None tells nobody."""
        self._departed = tell
        if self.gone and tell is not None:
            tell()

    def depart(self) -> None:
        """The connection is lost."""
        self.gone = True
        if self._departed is not None:
            self._departed()


class GuardedHttp(HttpToolsProtocol):
    """One connection, with deadlines and limits on its request heads."""

    limits: ClassVar[Limits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._doors: deque[Door] = deque()
        """Doors of requests that are not answered yet, oldest first: more than one while a client pipelines."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request's head."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._disarm()
        super().connection_lost(exc)
        for door in self._doors:
            door.depart()
        self._doors.clear()

    def data_received(self, data: bytes) -> None:
        """Count bytes until the head is complete; a head without end is cut off."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.header_bytes:
                # Bodies may share the packet, so the count is only decisive while no head has completed.
                super().data_received(data)
                if self._in_head and not self.transport.is_closing():
                    self._say(431, f"The request head exceeds {self.limits.header_bytes} bytes.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Open a scope with a door of its own."""
        super().on_message_begin()
        self._in_head = True
        self._arm()
        door = Door(self.transport.abort)
        self._doors.append(door)
        cast("dict[str, Any]", self.scope)["extensions"] = {DOOR: door}

    def on_headers_complete(self) -> None:
        """Judge the head, then let uvicorn start the application."""
        self._disarm()
        self._in_head = False
        seen, self._head_bytes = self._head_bytes, 0
        door = self._doors[-1]
        door.oversize = self._oversize(seen)
        door.fault = self._fault()
        door.bare_query = self.url.endswith(b"?") and self.url.count(b"?") == 1
        if not self.url.startswith(b"/"):
            # Only the path part of an absolute or asterisk form would reach routing; keep it routable, refuse it there.
            self.url = b"/" + self.url.split(b"/", 3)[-1] if self.url.count(b"/") > 2 else b"/"  # noqa: PLR2004 - scheme://host/
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self._doors:
            self._doors[-1].whole = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close the door of the request that has been answered."""
        if self._doors:
            self._doors.popleft()
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Stay silent: the data plane answers upgrades with 426, which is what Codex waits for."""

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed in an envelope both SDK families read."""
        del msg
        self._say(400, "The request is not valid HTTP/1.1; it was not forwarded.")

    def _oversize(self, seen: int) -> str | None:
        """What is too much in this head; `seen` bytes have arrived on the connection since it began."""
        if len(self.headers) > self.limits.header_count:
            return f"The request has {len(self.headers)} headers; at most {self.limits.header_count} are read."
        if seen > self.limits.header_bytes:
            size = sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
            if size > self.limits.header_bytes:
                return f"The request head has {size} bytes; at most {self.limits.header_bytes} are read."
        return None

    def _fault(self) -> str | None:
        """What makes this head readable in two ways."""
        named = dict(self.headers)
        version = cast("httptools.HttpRequestParser", self.parser).get_http_version()
        plain = version == "1.1" and b"host" in named and b"transfer-encoding" not in named
        if plain and len(named) == len(self.headers) and self.url[:1] == b"/" and b"#" not in self.url:
            return None
        names = [name for name, _ in self.headers]
        encodings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        hosts, lengths = names.count(b"host"), names.count(b"content-length")
        faults = (
            (version not in {"1.0", "1.1"}, "Only HTTP/1.1 and HTTP/1.0 are spoken here."),
            (not self.url.startswith(b"/"), "The request target must be a path, not an absolute address."),
            (b"#" in self.url, "The request target must not hold a fragment."),
            (hosts > 1 or (hosts == 0 and version != "1.0"), "The request must carry exactly one Host header."),
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
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self._say(408, f"The request head did not arrive within {self.limits.header_seconds:g} seconds.")
        else:
            self.transport.close()

    def _say(self, status: int, message: str) -> None:
        envelope = {"type": "invalid_request_error", "message": message, "code": None, "param": None}
        body = msgspec.json.encode({"type": "error", "error": envelope})
        head = b"content-type: application/json\r\nx-should-retry: false\r\nconnection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + length + body)
        self.transport.close()


def protocol_class(limits: Limits) -> type[GuardedHttp]:
    """The protocol class uvicorn takes for `http=`, bound to these limits."""
    return type("BoundHttp", (GuardedHttp,), {"limits": limits})
