"""Server-sent events as they stand on the wire: each block of lines with its bytes, so that one can be changed."""

import re
from typing import Final

import msgspec

from gateway.wire.sse import BOM
from policies.errors import StepwardenError

_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINE: Final = re.compile(rb"\r\n|\n|\r")


class TooLong(StepwardenError):
    """An event is longer than is read."""

    def remedy(self) -> str:
        """What the operator may change."""
        return "Raise `message_bytes` of this MCP server."


class Block(msgspec.Struct, frozen=True):
    """One event with the blank line that ends it."""

    raw: bytes
    data: bytes
    """The lines of its data, joined; empty for comments and for events without any."""

    has_id: bool
    """Whether a client can ask for what follows this event, on another connection."""

    def with_data(self, data: bytes) -> bytes:
        """The same event with other data."""
        lines: list[bytes] = []
        told = False
        for line in _LINE.split(self.raw):
            if line.partition(b":")[0] != b"data":
                lines.append(line)
            elif not told:
                told = True
                lines += [b"data: " + piece for piece in _LINE.split(data)]
        return b"\n".join([line for line in lines if line]) + b"\n\n"


class Blocks:
    """Bytes in, whole events out."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of the longest event."""
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._begun = False

    def feed(self, data: bytes) -> list[Block]:
        """The events that these bytes end. Raises `TooLong`."""
        self._buffer += data
        if not self._begun and len(self._buffer) >= len(BOM):
            self._begun = True
            if self._buffer.startswith(BOM):
                del self._buffer[: len(BOM)]
        found: list[Block] = []
        while (end := _END.search(self._buffer, max(self._searched - 3, 0))) is not None:
            if end.end() > self._limit:
                raise TooLong("An event of the tool server is too long.")
            found.append(_block(bytes(self._buffer[: end.end()])))
            del self._buffer[: end.end()]
            self._searched = 0
        self._searched = len(self._buffer)
        if len(self._buffer) > self._limit:
            raise TooLong("An event of the tool server is too long.")
        return found

    @property
    def rest(self) -> bytes:
        """What stands after the last whole event."""
        return bytes(self._buffer)


def _block(raw: bytes) -> Block:
    data: list[bytes] = []
    has_id = False
    for line in _LINE.split(raw):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        has_id = has_id or (field == b"id" and bool(value))
    return Block(raw, b"\n".join(data), has_id)


def event(data: bytes) -> bytes:
    """A message of ours as an event."""
    return b"event: message\ndata: " + data + b"\n\n"
