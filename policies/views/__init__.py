"""Views: the ways to read a text that a guard should look at, not only the one it is written in.

    for view in views(step.text):
        for match in pattern.finditer(view.data):
            start, end = view.origin(*match.span())     # bytes of the step's text: evidence

The first view is the text itself. Where the text holds something to undo there follow an unquoted view (backslashes
before quotes and line ends), a folded one (look-alikes, full width, invisible characters) and decoded ones (base64,
hex, escapes; nested to depth 3). The last two are excerpts: what reads differently, in its place, with 256 bytes of
the text on either side. Ranges of any view map to the original.

`unscanned` says what the views leave out; a guard adds its hits to its own.
"""

from functools import lru_cache
from heapq import heappop, heappush
from typing import Final

import msgspec

from policies.guards.interface import SCANNED_BYTES, UNSCANNED
from policies.trail import utf8
from policies.views.folding import fold, folds
from policies.views.runs import encodings, escapes, unquoted
from policies.views.view import SEAM, View, ViewKind, excerpt
from policies.vocabulary.findings import Evidence, Hit

__all__ = ["AROUND", "DEEPEST", "SEAM", "View", "ViewKind", "fold", "unscanned", "views"]

DEEPEST: Final = 3
"""Encodings on top of each other that are undone."""

AROUND: Final = 256
"""Bytes of the text on either side of what reads differently."""

_GROWTH: Final = 2
_ALLOWANCE: Final = 4096
"""Folded and decoded views together hold at most `_GROWTH` times the bytes scanned and this; each may have one
unquoted view of its own length."""


class _Reading(msgspec.Struct, frozen=True):
    views: tuple[View, ...]
    size: int
    complete: bool


def views(text: str) -> tuple[View, ...]:
    """Every way to read the first `SCANNED_BYTES` of a text, the text itself first. Linear; raises for no text."""
    return _read(text).views


def unscanned(text: str) -> tuple[Hit, ...]:
    """What no view shows: bytes behind `SCANNED_BYTES`, and encodings beyond the bound on decoded bytes."""
    reading = _read(text)
    hits: list[Hit] = []
    if (seen := len(reading.views[0].data)) < reading.size:
        hits.append(_unseen(seen, reading.size, "The step is longer than guards look."))
    if not reading.complete:
        hits.append(_unseen(0, seen, "The step decodes to more than guards look at."))
    return tuple(hits)


def _unseen(start: int, end: int, note: str) -> Hit:
    return Hit(score=50, state="unsure", evidence=(Evidence(start=start, end=end, label=UNSCANNED),), note=note)


@lru_cache(maxsize=4)
def _read(text: str) -> _Reading:
    """Remembered for the few guards that look at one step in turn."""
    data = utf8(text)
    raw = _raw(text, data)
    room = _GROWTH * len(raw.data) + _ALLOWANCE
    found, waiting, complete, born = [raw], [(0, 0, raw)], True, 0
    while waiting:
        _, _, view = heappop(waiting)
        for child in _readings(view):
            if child.kind != "unquoted":
                if len(child.data) > room:
                    complete = False
                    continue
                room -= len(child.data)
            born += 1
            found.append(child)
            heappush(waiting, (len(child.data), born, child))  # the small first: padding cannot hide them
    return _Reading(tuple(found), len(data), complete)


def _raw(text: str, data: bytes) -> View:
    if len(data) <= SCANNED_BYTES:
        return View("raw", data, text=text)
    end = SCANNED_BYTES
    while data[end] & 0xC0 == 0x80:  # noqa: PLR2004 - a UTF-8 continuation byte
        end -= 1
    return View("raw", data[:end])


def _readings(view: View) -> list[View]:
    """The views made from one view by a single act, of what reads differently in it."""
    if view.kind == "unquoted":
        return []
    children: list[View] = []
    if (plain := unquoted(view.data)) != view.data:
        children.append(View("unquoted", plain, parent=view))
    if view.kind != "folded" and (edits := folds(view.text)):
        children.append(excerpt(view, "folded", edits, AROUND))
    if view.depth < DEEPEST:
        found = [
            [edit for edit in runs(view.data) if view.touches(edit.start, edit.end)] for runs in (escapes, encodings)
        ]
        children += [excerpt(view, "decoded", edits, AROUND) for edits in found if edits]
    return [child for child in children if child.data]
