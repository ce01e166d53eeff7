"""Where the pieces of a request stand in its body, as exact byte ranges.

The parser hands out pieces without their place. A range found here always holds exactly the piece's bytes,
so a wrong guess is impossible; a body that resists (its key written with escapes, too many look-alikes) is
not cut at all.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

_ARRAY: Final = re.compile(rb"\s*:\s*\[\s*")
_VALUE: Final = re.compile(rb"\s*:\s*")
_COMMA: Final = re.compile(rb"\s*,\s*")
_CLOSES: Final = re.compile(rb"\s*\]")
_TRIES: Final = 64
"""Places with the right key that are looked at before giving up."""

Range: TypeAlias = tuple[int, int]


def place_run(body: bytes, key: bytes, joined: bytes, spaced: Callable[[], bytes]) -> tuple[int, int] | None:
    """Where the array under `key` begins whose elements are `joined` by commas, and how long its separators are.

    Only the first place of the key and the two ways JSON writers write: `,` throughout, or `, ` throughout, which
    `spaced` joins. None where `place_items` must look.
    """
    at = body.find(key)
    opens = _ARRAY.match(body, at + len(key)) if at >= 0 else None
    if opens is None:
        return None
    start, width = opens.end(), 1
    if not body.startswith(joined, start):
        joined, width = spaced(), 2
        if not body.startswith(joined, start):
            return None
    return (start, width) if _CLOSES.match(body, start + len(joined)) else None


def place_items(body: bytes, key: bytes, items: Sequence[bytes]) -> list[Range] | None:
    """The ranges of the elements of the array under `key` (with its quotes); None where not found."""
    budget = 2 * len(body)  # bytes compared in vain, so that look-alikes cost no more than reading twice
    at = -1
    for _ in range(_TRIES):
        at = body.find(key, at + 1)
        if at < 0 or budget < 0:
            return None
        opens = _ARRAY.match(body, at + len(key))
        if opens is not None:
            ranges, end = _run(body, opens.end(), items)
            if ranges is not None:
                return ranges
            budget -= end - at
    return None


def _run(body: bytes, start: int, items: Sequence[bytes]) -> tuple[list[Range] | None, int]:
    """The ranges of `items` one after the other from `start` to a closing bracket, and where looking ended."""
    ranges: list[Range] = []
    at = start
    for item in items:
        if ranges:
            # `,` and `, ` are what JSON writers write; the pattern takes the rest.
            if body.startswith(b",{", at):
                at += 1
            elif body.startswith(b", {", at):
                at += 2
            else:
                comma = _COMMA.match(body, at)
                at = at if comma is None else comma.end()
        end = at + len(item)
        if not body.startswith(item, at):
            return None, end
        ranges.append((at, end))
        at = end
    return (ranges if _CLOSES.match(body, at) else None), at


def place_value(body: bytes, key: bytes, value: bytes, taken: Sequence[Range]) -> Range | None:
    """The range of the value under `key` (with its quotes), outside the ranges already `taken`."""
    budget = 2 * len(body)
    at = -1
    for _ in range(_TRIES):
        at = body.find(key, at + 1)
        if at < 0 or budget < 0:
            return None
        around = _around(at, taken)
        if around is not None:
            at = around - 1
            continue
        opens = _VALUE.match(body, at + len(key))
        if opens is not None:
            start = opens.end()
            if body.startswith(value, start):
                return start, start + len(value)
        budget -= len(value)
    return None


def _around(at: int, taken: Sequence[Range]) -> int | None:
    """The end of the range that holds a place."""
    for start, end in taken:
        if start <= at < end:
            return end
    return None
