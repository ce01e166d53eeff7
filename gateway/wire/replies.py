"""Readers of replies: what all wires share, for JSON documents and for event streams."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.wire.interface import Reply
from gateway.wire.jsons import decode_whole
from gateway.wire.sse import Event, SseDecoder
from policies.vocabulary.steps import Part

LARGEST_REPLY: Final = 64 << 20
"""Text kept of one reply; beyond it a part says that it is not whole. Bytes of JSON, characters of streams."""

LARGEST_EVENT: Final = 8 << 20
"""Largest event a reader looks into, bytes: pictures come in events of some megabytes."""

TOO_LARGE: Final = "longer than is read"


class JsonReply:
    """Reader of a reply that is one JSON document."""

    def __init__(self, read: Callable[[Any], Reply]) -> None:
        self._read = read
        self._chunks: list[bytes] = []
        self._size = 0
        self._reply: Reply | None = None

    def feed(self, data: bytes, at_ns: int) -> Sequence[Part]:  # noqa: ARG002 - one document has one time
        """Keep the bytes; parts are known only when the document is whole."""
        self._size += len(data)
        if self._size <= LARGEST_REPLY:
            self._chunks.append(bytes(data))
        self._reply = None
        return ()

    def close(self, at_ns: int) -> Reply:  # noqa: ARG002 - one document has one time
        """The reply; unfinished where the bytes are no whole JSON document."""
        if self._reply is None:
            self._reply = self._read_all()
        return self._reply

    @property
    def complete(self) -> bool:
        """Whether the bytes so far are one whole JSON document."""
        return self.close(0).complete

    @property
    def ended(self) -> bool:
        """Never: a document ends where its bytes do."""
        return False

    def terminal_error(self, message: str, exchange_id: str) -> bytes:  # noqa: ARG002 - as the protocol has it
        """Nothing: half a JSON document fails in every client by itself."""
        return b""

    def _read_all(self) -> Reply:
        if self._size > LARGEST_REPLY:
            return Reply()
        body = b"".join(self._chunks)
        self._chunks = [body]
        try:
            value = decode_whole(body)
            return Reply() if value is None else self._read(value)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return Reply()


class StreamReply(ABC):
    """Reader of a reply that is a stream of server-sent events; each wire says what its events mean."""

    def __init__(self) -> None:
        self._sse = SseDecoder(LARGEST_EVENT)
        self._parts: list[Part] = []
        self._kept: int = 0
        self._closed: Reply | None = None
        self._first_token_ns: int | None = None
        self.ended = False
        """Whether the terminal event came."""

    def feed(self, data: bytes, at_ns: int) -> Sequence[Part]:
        """Take the next decoded bytes; return the parts whose blocks they closed. Never raises."""
        if self._closed is not None:
            return ()
        parts = self._parts
        before = len(parts)
        for event in self._sse.feed(data):
            try:
                self._take(event, at_ns)
            except (msgspec.DecodeError, ValueError, RecursionError):
                continue  # an event that is not of this wire says nothing; the bytes are relayed all the same
        if self._sse.tail:
            self._wait(self._sse.tail)
        return parts[before:]

    def close(self, at_ns: int) -> Reply:
        """No more bytes will come; parts left open are closed as they are. Idempotent."""
        if self._closed is None:
            complete = self.complete
            try:
                self._close_open(at_ns)
            except (msgspec.DecodeError, ValueError, RecursionError):
                complete = False
            self._closed = self._reply(complete=complete)
        return self._closed

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether the dialect's own end was seen."""

    @abstractmethod
    def terminal_error(self, message: str, exchange_id: str) -> bytes:
        """The bytes that end this stream as an error its SDKs raise."""

    @abstractmethod
    def _take(self, event: Event, at_ns: int) -> None:
        """One event."""

    def _wait(self, tail: bytearray) -> None:  # noqa: B027 - most wires have nothing to see in half an event
        """A look at an event whose end has not come."""

    @abstractmethod
    def _close_open(self, at_ns: int) -> None:
        """Close the blocks that are still open."""

    @abstractmethod
    def _reply(self, *, complete: bool) -> Reply:
        """All that was read."""

    def _keep(self, texts: list[str], piece: str) -> None:
        """Add a piece of streamed text to `texts`, unless the reply has outgrown what is kept."""
        self._kept += len(piece)
        if self._kept <= LARGEST_REPLY:
            texts.append(piece)

    def _close_parts(self, parts: Sequence[Part], started_ns: int, ended_ns: int) -> None:
        """Add the parts of one block with its times."""
        unread = TOO_LARGE if self._kept > LARGEST_REPLY else None
        for part in parts:
            self._parts.append(
                msgspec.structs.replace(part, started_ns=started_ns, ended_ns=ended_ns, unread=part.unread or unread)
            )


def event_bytes(value: dict[str, Any], name: str = "") -> bytes:
    """One server-sent event with JSON data."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(value) + b"\n\n"


def members(value: dict[str, Any]) -> bytes:
    """The inside of a JSON object, without its braces."""
    return msgspec.json.encode(value)[1:-1]
