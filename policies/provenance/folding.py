"""Folding: a text in the form in which values are compared, with the way back to the original.

Lower case, runs of white space as one space, typographic quotes and dashes as plain ones: what wrapping, YAML and
mail programs change in a value on its way. Positions map back exactly, because evidence counts bytes of the original.
"""

import re
from bisect import bisect_right
from typing import Final

import msgspec

_RUNS: Final = re.compile(r"\s{2,}")
_BLANKS: Final = "\n\r\t\f\v"
_PLAIN: Final = (
    ("\u2018", "'"),
    ("\u2019", "'"),
    ("\u201c", '"'),
    ("\u201d", '"'),
    ("\u2013", "-"),
    ("\u2014", "-"),
    ("\u2010", "-"),
    ("\u2011", "-"),
    ("\u00a0", " "),
)
"""Typographic quotes, dashes and the fixed space, with what a keyboard has for them."""

_TIGHT: Final = re.compile(r"[\W_]+")
_LOOSE: Final = bytes([code for code in range(128) if not chr(code).isalnum()])
"""ASCII that is no letter and no digit."""


def lowered(text: str) -> str:
    """Lower case, character for character: no character becomes two."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join([char.lower() if len(char.lower()) == 1 else char for char in text])
    if not lower.isascii():
        for char, plain in _PLAIN:
            lower = lower.replace(char, plain)
    return lower


def _spaced(text: str) -> str:
    for blank in _BLANKS:
        text = text.replace(blank, " ")
    return text


def fold(text: str) -> str:
    """The folded form alone."""
    return _RUNS.sub(" ", _spaced(lowered(text)))


class Folded(msgspec.Struct, frozen=True):
    """A folded text that remembers where each of its characters stood."""

    text: str
    marks: tuple[int, ...]
    """Positions in `text` just after each place where characters were dropped, ascending."""

    origins: tuple[int, ...]
    """The positions of `marks` in the original."""

    def origin(self, position: int) -> int:
        """Where a character of the folded text stood in the original."""
        mark = bisect_right(self.marks, position) - 1
        return self.origins[mark] + position - self.marks[mark]


def folded(text: str) -> Folded:
    """Fold a text and keep the way back. Linear."""
    return _dropping(_spaced(lowered(text)), _RUNS, " ")


def tight(text: str) -> str:
    """The tightened form alone."""
    lower = lowered(text)
    return lower.encode().translate(None, _LOOSE).decode() if lower.isascii() else _TIGHT.sub("", lower)


def tightened(text: str) -> Folded:
    """Only letters and digits: a value that was wrapped, grouped or hyphenated is one run again. Linear."""
    return _dropping(lowered(text), _TIGHT, "")


def _dropping(lower: str, pattern: re.Pattern[str], stand_in: str) -> Folded:
    pieces: list[str] = []
    marks, origins = [0], [0]
    at = size = 0
    for found in pattern.finditer(lower):
        start, end = found.span()
        if end - start == len(stand_in) and found[0] == stand_in:
            continue
        pieces += (lower[at:start], stand_in)
        size += start - at + len(stand_in)
        marks.append(size)
        origins.append(end)
        at = end
    pieces.append(lower[at:])
    return Folded("".join(pieces), tuple(marks), tuple(origins))
