"""Where a byte of a text stands in the JSON string that spells it, and the other way round."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import TypeAlias

from gateway.wire.leaves import escapes, spelled

Replaced: TypeAlias = tuple[int, int, str]
"""Start and end in the UTF-8 of a text, and what takes the place of what stands there."""


class Spelling:
    """The inside of one JSON string token beside the text it stands for; offsets are bytes of UTF-8 on both sides."""

    def __init__(self, inside: bytes) -> None:
        self._inside = inside
        self._written: list[tuple[int, int]] = []
        self._meant: list[tuple[int, int]] = []
        ahead = 0
        for start, end, said in escapes(inside):
            self._written.append((start, end))
            self._meant.append((start - ahead, start - ahead + len(said)))
            ahead += end - start - len(said)
        self.length = len(inside) - ahead
        """Bytes of the text."""

    def written(self, offset: int, *, up: bool) -> int:
        """Where the text's byte `offset` is written; inside an escape or a character its end, or else its start."""
        return self._boundary(_across(offset, self._meant, self._written, up=up), up=up)

    def meant(self, offset: int, *, up: bool) -> int:
        """Which byte of the text the written byte `offset` belongs to; likewise."""
        return _across(self._boundary(offset, up=up), self._written, self._meant, up=up)

    def _boundary(self, offset: int, *, up: bool) -> int:
        inside = self._inside
        while 0 < offset < len(inside) and inside[offset] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8 continuation bytes
            offset += 1 if up else -1
        return offset

    def edited(self, edits: Iterable[Replaced]) -> bytes:
        """The inside with ranges of its text replaced; every byte outside of them stays as it is written."""
        pieces: list[bytes] = []
        at = 0
        for start, end, text in sorted(edits):
            first = max(self.written(start, up=False), at)
            last = self.written(end, up=True)
            if last < first or (last == first and end > start):
                continue  # all of it lay inside the one before
            pieces += (self._inside[at:first], spelled(text))
            at = last
        return b"".join([*pieces, self._inside[at:]])


def _across(offset: int, here: list[tuple[int, int]], there: list[tuple[int, int]], *, up: bool) -> int:
    """An offset of one side on the other; both lists hold the escapes, in order."""
    at = bisect_right(here, (offset, 0)) - 1
    if at + 1 < len(here) and here[at + 1][0] == offset:
        return there[at + 1][0]
    if at < 0:
        return offset
    start, end = here[at]
    if start < offset < end:
        return there[at][1] if up else there[at][0]
    return there[at][1] + offset - end
