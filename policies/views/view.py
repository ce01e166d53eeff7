"""A view: a text a guard should also look at, and where each of its bytes came from."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

ViewKind: TypeAlias = Literal["raw", "unquoted", "folded", "decoded"]

Walk: TypeAlias = Callable[[bytes, int], tuple[int, int]]
"""Of a run's bytes and the index of a byte of what they read as: the range of the run which that byte came from."""

SEAM: Final = b"\n\x00\n"
"""Stands between two excerpts of one view that do not touch in the text they were taken from."""


class Edit(msgspec.Struct, frozen=True):
    """A range of a text that reads differently in a view made from it."""

    start: int
    end: int
    """Bytes of the parent."""

    text: bytes
    """What stands there in the view, UTF-8."""

    walk: Walk | None = None
    """Where the parts of the run can be told apart; None where all of it stands for all of `text`."""


class Segment(msgspec.Struct, frozen=True):
    """A run of a view's bytes with one origin."""

    at: int
    """First byte in the view; the next segment's `at` ends it."""

    start: int
    end: int
    """Bytes of the parent."""

    copied: bool
    walk: Walk | None = None


class View:
    """One way to read a text.

    `data` is UTF-8 (lone surrogates passed through), so it suits RE2; ranges are byte ranges of it.
    """

    __slots__ = ("_parent", "_segments", "_starts", "data", "depth", "kind", "text")

    def __init__(
        self,
        kind: ViewKind,
        data: bytes,
        *,
        text: str | None = None,
        parent: "View | None" = None,
        segments: Sequence[Segment] = (),
    ) -> None:
        self.kind: Final[ViewKind] = kind
        self.data: Final = data
        self.text: Final = data.decode("utf-8", "surrogatepass") if text is None else text
        self.depth: Final[int] = 0 if parent is None else parent.depth + (kind == "decoded")
        """How many encodings were undone."""
        self._parent = parent
        self._segments = segments
        self._starts = [segment.at for segment in segments]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The byte range of the original text that the bytes `start` to `end` of `data` came from.

        A range that touches a decoded run covers that whole run; an empty range counts as the byte after it.
        `0 <= start <= end <= len(data)` is the caller's to keep.
        """
        if self._parent is None:
            return start, end
        if self.kind == "unquoted":
            return self._parent.origin(start, end)
        low, _ = self._byte(start)
        _, high = self._byte(max(end - 1, start))
        return self._parent.origin(low, max(low, high))

    def fresh(self, start: int, end: int) -> bool:
        """Whether a range, with a byte on either side, reads differently from where it came from.

        What does not is found in the text this view was made from, and need not be reported again.
        """
        if self._parent is None:
            return True
        start, end = max(start - 1, 0), min(end + 1, len(self.data))
        if self.kind == "unquoted":
            return self.data[start:end] != self._parent.data[start:end]
        if not self.touches(start, end):
            return False
        low, high = self._byte(start)[0], self._byte(max(end - 1, start))[1]
        return self.data[start:end] != self._parent.data[low:high]

    def touches(self, start: int, end: int) -> bool:
        """Whether a range touches an edit; one of a folded view may leave most of its bytes as they were."""
        if self._parent is None:
            return True
        at = max(bisect_right(self._starts, start) - 1, 0)
        while at < len(self._segments) and self._segments[at].at < end:
            if not self._segments[at].copied:
                return True
            at += 1
        return False

    def changes(self) -> list[tuple[int, int]]:
        """The byte ranges of `data` that read differently; none for a raw or an unquoted view."""
        ends = [*self._starts[1:], len(self.data)]
        runs = zip(self._segments, ends, strict=True) if self._segments else ()
        return [(segment.at, end) for segment, end in runs if not segment.copied]

    def _byte(self, index: int) -> tuple[int, int]:
        """The parent's bytes that one byte of this view came from."""
        segment = self._segments[max(bisect_right(self._starts, index) - 1, 0)]
        if segment.copied:
            start = segment.start + index - segment.at
            return start, start + 1
        if segment.walk is None or self._parent is None:
            return segment.start, segment.end
        low, high = segment.walk(self._parent.data[segment.start : segment.end], index - segment.at)
        return segment.start + low, segment.start + high


def excerpt(parent: View, kind: ViewKind, edits: Sequence[Edit], around: int) -> View:
    """The view in which `edits` (ascending, disjoint, at least one) are made, with `around` bytes on either side."""
    data, out, segments, size, at = parent.data, list[bytes](), list[Segment](), 0, 0
    for edit in edits:
        start = edit.start
        if start - at > 2 * around or (not at and start > around):
            if at:
                high = _boundary(data, at + around)
                out += (data[at:high], SEAM)
                segments += (Segment(size, at, high, copied=True), Segment(size + high - at, high, high, copied=False))
                size += high - at + len(SEAM)
            at = _boundary(data, start - around)
        if start > at:
            out.append(data[at:start])
            segments.append(Segment(size, at, start, copied=True))
            size += start - at
        out.append(edit.text)
        segments.append(
            Segment(size, start, edit.end, copied=False, walk=edit.walk)
        )  # of no bytes where it reads as none
        size += len(edit.text)
        at = edit.end
    high = _boundary(data, min(at + around, len(data)))
    if high > at:
        out.append(data[at:high])
        segments.append(Segment(size, at, high, copied=True))
    return View(kind, b"".join(out), parent=parent, segments=segments)


def _boundary(data: bytes, at: int) -> int:
    """The first character boundary at or after a byte."""
    while at < len(data) and data[at] & 0xC0 == 0x80:  # noqa: PLR2004 - a UTF-8 continuation byte
        at += 1
    return at
