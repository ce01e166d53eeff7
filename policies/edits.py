"""Edits: what redaction and rewriting put in place of the ranges a guard found.

Deterministic: the same text and the same marks give the same edits, so what was changed once is changed alike
whenever the text is sent again.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from policies.possessive import compiled
from policies.trail import utf8
from policies.vocabulary.steps import Part, StepKind

Change: TypeAlias = Literal["redact", "rewrite"]

NOTICE: Final = "[removed: this part of the text was not passed on]"
"""Stands where a range was rewritten. It asks for nothing and names nobody."""

JSON_KINDS: Final[frozenset[StepKind]] = frozenset({"tool_call", "tool_definitions"})
"""Steps whose text is JSON, and has to be JSON again afterwards."""

_UNSAFE: Final = re.compile(r"[^a-z0-9_.-]+")
_TOKEN: Final = compiled(rb'"(?:[^"\\]|\\.)*+"?|[^\s"\[\]{},:]++', re.DOTALL)
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL
)
_QUOTE: Final = ord('"')


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A range that has to go."""

    start: int
    """First byte in the UTF-8 of the step's text."""

    end: int
    """Byte after the last."""

    label: str
    change: Change = "redact"
    score: int = 0
    """Of overlapping marks the highest score names the range."""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One replacement in a step's text."""

    start: int
    """First byte in the UTF-8 of the step's text."""

    end: int
    """Byte after the last."""

    text: str
    """What stands there instead."""

    change: Change
    label: str


def edits_of(step: Part, marks: Sequence[Mark]) -> tuple[Edit, ...]:
    """Edits that take every marked byte out of a step: ascending, disjoint, whole characters.

    Where the text is JSON it stays JSON: strings lose what is marked inside their quotes, other scalars become
    a string, structure stays. Marks that overlap become one edit; a rewrite wins over a redaction.
    """
    data = utf8(step.text)
    wanted = [mark for mark in marks if 0 <= mark.start < mark.end <= len(data)]
    if not wanted:
        return ()
    quoted: frozenset[int] = frozenset()
    if step.kind in JSON_KINDS and _is_json(step.text):
        wanted, quoted = _inside_tokens(data, wanted)
    return tuple(_edit(mark, quoted) for mark in _merged(_whole_characters(data, wanted)))


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with its edits made."""
    data = utf8(text)
    out: list[bytes] = []
    at = 0
    for edit in edits:
        out += [data[at : edit.start], utf8(edit.text)]
        at = edit.end
    return b"".join([*out, data[at:]]).decode("utf-8", "surrogatepass")


def _edit(mark: Mark, quoted: frozenset[int]) -> Edit:
    label = _UNSAFE.sub("-", mark.label.lower())[:64].strip("-") or "text"
    text = NOTICE if mark.change == "rewrite" else f"[redacted:{label}]"
    if mark.start in quoted:
        text = f'"{text}"'
    return Edit(start=mark.start, end=mark.end, text=text, change=mark.change, label=label)


def _merged(marks: Iterable[Mark]) -> Iterator[Mark]:
    """Overlapping marks as one, which takes the change and label of the strongest."""
    open_mark: Mark | None = None
    strongest: Mark | None = None
    for mark in sorted(marks, key=lambda each: each.start):
        if open_mark is None or strongest is None or mark.start >= open_mark.end:
            if open_mark is not None:
                yield open_mark
            open_mark = strongest = mark
            continue
        strongest = max(strongest, mark, key=lambda each: (each.change == "rewrite", each.score))
        end = max(open_mark.end, mark.end)
        open_mark = msgspec.structs.replace(strongest, start=open_mark.start, end=end)
    if open_mark is not None:
        yield open_mark


def _whole_characters(data: bytes, marks: Iterable[Mark]) -> Iterator[Mark]:
    """Marks widened to the characters they touch."""
    for mark in marks:
        start, end = mark.start, mark.end
        while start > 0 and _continues(data[start]):
            start -= 1
        while end < len(data) and _continues(data[end]):
            end += 1
        yield msgspec.structs.replace(mark, start=start, end=end)


def _continues(byte: int) -> bool:
    return byte & 0xC0 == 0x80  # noqa: PLR2004 - RFC 3629: a continuation byte is 10xxxxxx


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _inside_tokens(data: bytes, marks: Sequence[Mark]) -> tuple[list[Mark], frozenset[int]]:
    """Marks cut to the JSON tokens they touch, and where the tokens begin that have to become strings."""
    tokens = [found.span() for found in _TOKEN.finditer(data)]
    starts = [start for start, _ in tokens]
    escapes = [found.span() for found in _ESCAPE.finditer(data)]
    inside: list[Mark] = []
    quoted: set[int] = set()
    for mark in marks:
        at = max(bisect_right(starts, mark.start) - 1, 0)
        for start, end in tokens[at : bisect_left(starts, mark.end)]:
            if start >= mark.end or end <= mark.start:
                continue
            if data[start] == _QUOTE:
                low, high = _inside_string(escapes, start, end, mark)
            else:
                low, high = start, end
                quoted.add(start)
            if low < high:
                inside.append(msgspec.structs.replace(mark, start=low, end=high))
    return inside, frozenset(quoted)


def _inside_string(escapes: Sequence[tuple[int, int]], start: int, end: int, mark: Mark) -> tuple[int, int]:
    """The marked part of a string token, quotes kept and escapes whole."""
    low, high = max(mark.start, start + 1), min(mark.end, end - 1)
    before = bisect_right(escapes, (low, low)) - 1
    if before >= 0 and escapes[before][1] > low > start + 1:
        low = min(low, max(escapes[before][0], start + 1))
    last = bisect_left(escapes, (high, high)) - 1
    if last >= 0 and escapes[last][0] >= low:
        high = max(high, min(escapes[last][1], end - 1))
    return low, high
