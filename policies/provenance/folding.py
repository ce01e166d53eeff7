"""Folding: a text in the form in which values are compared, with the way back to the original.

Lower case, runs of white space as one space, typographic quotes and dashes as plain ones: what wrapping, YAML and
mail programs change in a value on its way. Positions map back exactly, because evidence counts bytes of the original.
"""

import re
from bisect import bisect_right
from typing import Final

import msgspec

_RUNS: Final = re.compile(r"\s{2,}")
_BLANKS: Final = str.maketrans("\n\r\t\f\v", "     ")
_PLAIN: Final = str.maketrans("‘’“”–—‐‑\u00a0", "''\"\"----\u0020")  # noqa: RUF001 - the typographic forms are meant
_TIGHT: Final = re.compile(r"[\W_]+")


def lowered(text: str) -> str:
    """Lower case, character for character: no character becomes two."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join([char.lower() if len(char.lower()) == 1 else char for char in text])
    return lower if lower.isascii() else lower.translate(_PLAIN)


def fold(text: str) -> str:
    """The folded form alone."""
    return _RUNS.sub(" ", lowered(text).translate(_BLANKS))


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
    return _dropping(lowered(text).translate(_BLANKS), _RUNS, " ")


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
