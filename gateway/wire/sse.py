"""Server-sent events, decoded from bytes cut anywhere (WHATWG HTML, section 9.2.6).

Differs from a browser in one way: an event or line beyond `limit` bytes is dropped and reported as an event
without data, so that no sender can make a reader keep more than that.
"""

from typing import Final

import msgspec

BOM: Final = b"\xef\xbb\xbf"
LIMIT: Final = 1 << 20
"""Default cap of one undispatched event, bytes."""

HEAD: Final = 512
"""How much of an oversized event is looked at, for its name; bytes."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event."""

    name: str
    """The `event` field; empty where the sender gave none."""

    data: bytes
    """The `data` lines joined by a line feed; empty where the event was dropped."""

    dropped: bool = False
    """True where the event was larger than the decoder's limit."""


class SseDecoder:
    """Bytes in, events out; keeps only the one event that is not finished."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._looked_at = min(HEAD, limit + 1)
        """How much of an event too large is at hand however it was cut."""
        self.tail = bytearray()
        """As `pending`, but to be read only while it is at hand: it grows and shrinks."""
        self._begun = False
        self._after_cr = False
        self._head = b""
        self._dropping = False
        self._opening, self._name = b"data: ", ""
        """How the last event began that came alone in its chunk, as most do; the next one mostly begins alike."""

    @property
    def pending(self) -> bytes:
        """The bytes of the unfinished event, line ends as line feeds; empty between events."""
        return bytes(self.tail) if self.tail else b""

    @property
    def after_cr(self) -> bool:
        """True where the last byte was a CR, which a following LF would still belong to."""
        return self._after_cr

    @property
    def dropping(self) -> bool:
        """True inside an event that outgrew the limit: its beginning is gone."""
        return self._dropping

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events they finished. Never raises."""
        if self._begun and not self.tail and not self._after_cr and data.endswith(b"\n\n"):
            opening = self._opening
            if not data.startswith(opening):
                opening = self._open(data)
            start, last = len(opening), len(data) - 2
            if start and data.find(b"\n", start) == last <= self._limit and b"\r" not in data:
                return [Event(self._name, data[start:last])]
        if not self._begun:
            data = self._begin(data)
        if self._after_cr or b"\r" in data:
            data = self._line_feeds(data)
        if not data:
            return []
        if self.tail:
            return self._continue(data)
        if data[0] == 10:  # noqa: PLR2004 - a line feed between events means nothing
            data = data.lstrip(b"\n")
        return self._split(data)

    def _open(self, data: bytes) -> bytes:
        """All of a chunk before the data of its first event, in the two shapes all providers send; else nothing."""
        if data.startswith(b"data: "):
            self._opening, self._name = b"data: ", ""
            return self._opening
        end = data.find(b"\n")
        if not data.startswith(b"event: ") or not data.startswith(b"data: ", end + 1):
            return b""
        self._opening, self._name = data[: end + 7], data[7:end].decode("utf-8", "replace")
        return self._opening

    def _begin(self, data: bytes) -> bytes:
        """Strip a byte order mark, waiting until three bytes can tell."""
        data = bytes(self.tail) + data
        self.tail.clear()
        if len(data) < len(BOM) and BOM.startswith(data):
            self.tail += data
            return b""
        self._begun = True
        return data.removeprefix(BOM)

    def _line_feeds(self, data: bytes) -> bytes:
        """CRLF and CR to LF, also where the cut fell between the two."""
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == 10:  # noqa: PLR2004 - the second half of a CRLF whose CR already ended the line
                data = data[1:]
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _continue(self, data: bytes) -> list[Event]:
        """More of an event whose beginning is kept in `tail`."""
        tail = self.tail
        if tail[-1] == 10 and data[0] == 10:  # noqa: PLR2004 - the blank line was cut in two
            del tail[-1]  # which is no part of the event, and must not count towards its size
            end = 0
        else:
            found = data.find(b"\n\n")
            if found < 0:
                return self._keep(data)
            end = found
        tail += data[:end]
        block = bytes(tail)
        tail.clear()
        event = self._finish(block)
        rest = data[end:].lstrip(b"\n")
        events = self._split(rest) if rest else []
        return [event, *events] if event is not None else events

    def _split(self, data: bytes) -> list[Event]:
        """Whole events of `data`, which starts at an event's beginning; what is left is kept."""
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        events: list[Event] = []
        opening, name = self._opening, self._name
        start = len(opening)
        for block in blocks:
            if block.startswith(opening) and block.find(b"\n", start) < 0 and len(block) <= self._limit:
                events.append(Event(name, block[start:]))
                continue
            event = self._finish(block)
            if event is not None:
                events.append(event)
        rest = rest.lstrip(b"\n")
        if rest:
            self._keep(rest)
        return events

    def _keep(self, data: bytes) -> list[Event]:
        """Hold bytes of an unfinished event, or only count them once it is too large."""
        tail = self.tail
        tail += data
        # One byte of grace: a line feed at the end may be half of the blank line.
        if len(tail) > self._limit + 1 or self._dropping:
            if not self._dropping:
                self._head = bytes(tail[: self._looked_at])
                self._dropping = True
            del tail[:-1]
        return []

    def _finish(self, block: bytes) -> Event | None:
        """The event of one block of lines; None where it carries no data."""
        if self._dropping:
            self._dropping = False
            return _oversized(self._head)
        if block.startswith(b"\n"):
            block = block.lstrip(b"\n")
        return parse_event(block) if len(block) <= self._limit else _oversized(block[: self._looked_at])


def parse_event(block: bytes) -> Event | None:
    """The event of a block of LF-separated lines; None where it carries no data."""
    # The two shapes all providers send, without a loop over fields.
    if block.startswith(b"data: "):
        if b"\n" not in block:
            return Event("", block[6:])
    elif block.startswith(b"event: "):
        end = block.find(b"\n")
        if end > 0 and block.startswith(b"data: ", end + 1) and block.find(b"\n", end + 7) < 0:
            return Event(block[7:end].decode("utf-8", "replace"), block[end + 7 :])
    return _parse_lines(block)


def _parse_lines(block: bytes) -> Event | None:
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return Event(name.decode("utf-8", "replace"), b"\n".join(data)) if data else None


def _oversized(head: bytes) -> Event:
    """What stands for a dropped event: its name, where the first bytes hold it."""
    event = parse_event(head)
    return Event(event.name if event is not None else "", b"", dropped=True)
