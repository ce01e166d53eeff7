"""Server-sent events with the very bytes they came in, so that what is not changed leaves as it came."""

import re
from typing import Final, NoReturn

import msgspec

from gateway.wire.sse import BOM, Event, parse_event

_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
"""The line end of an event's last line and the blank line behind it (WHATWG HTML, section 9.2.6)."""

_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_REACH: Final = 3
"""Bytes before new ones in which an end may have begun."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event and its bytes."""

    raw: bytes
    """All bytes since the event before, with comments and the blank line behind."""

    event: Event | None
    """None where no data came: a comment, or blank lines."""


class Oversized(ValueError):
    """One event is larger than is looked into."""


class Frames:
    """Bytes in, whole events out; concatenated, what comes out and `rest` are what went in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._begun = False

    @property
    def rest(self) -> bytes:
        """The bytes of the event whose end has not come."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes; return the events they finished. Raises `Oversized`."""
        buffer = self._buffer
        begin = max(len(buffer) - _REACH, 0)
        buffer += data
        frames: list[Frame] = []
        taken = 0
        while found := _END.search(buffer, max(begin, taken)):
            frames.append(self._frame(bytes(buffer[taken : found.end()])))
            taken = found.end()
        if taken:
            del buffer[:taken]
        if len(buffer) > self._limit:
            self._refuse()
        return frames

    def _refuse(self) -> NoReturn:
        self._buffer.clear()
        raise Oversized("an event is larger than is read")

    def finish(self) -> list[Frame]:
        """What is left, as some clients read it: an event whose blank line never came."""
        left = self.rest
        self._buffer.clear()
        return [self._frame(left)] if left else []

    def _frame(self, raw: bytes) -> Frame:
        if len(raw) > self._limit:
            self._refuse()
        block = raw
        if not self._begun:
            self._begun = True
            block = block.removeprefix(BOM)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return Frame(raw, parse_event(block.strip(b"\n")))


def reframed(frame: Frame, data: bytes) -> bytes:
    """The frame with other data: its name, id, comments and line ends stay."""
    one_line = data.replace(b"\r", b" ").replace(b"\n", b" ")
    lines: list[bytes] = []
    written = False
    for line in _LINE.findall(frame.raw):
        if not line.removeprefix(BOM).startswith(b"data"):
            lines.append(line)
        elif not written:
            written = True
            lines.append(b"data: " + one_line + line[len(line.rstrip(b"\r\n")) :])
    return b"".join(lines)
