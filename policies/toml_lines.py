"""On which line of a TOML text each value stands, inline tables and arrays included.

`tomllib` reads the values but forgets where they were. This scanner reads only texts that `tomllib` accepted, so
it does not check syntax. TOML 1.0, https://toml.io/en/v1.0.0.
"""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and places in arrays, from the outermost: `("clause", 0, "guards", 1, "kind")`."""

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[ \t\r]+"
    r"|\n"
    r"|[\[\]{},=.]"
    r"|[^ \t\r\n\[\]{},=.#\"']+",
    re.DOTALL,
)
_UNSAID: Final = re.compile(r"[ \t\r]|#")
_ESCAPE: Final = re.compile(r'\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(["\\bfnrt]))')
_ESCAPED: Final = {'"': '"', "\\": "\\", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def lines_of(text: str) -> dict[Path, int]:
    """The 1-based line on which every table, key and array element of a TOML text begins."""
    return _Scanner(text).read()


def line_at(lines: dict[Path, int], path: Path) -> int | None:
    """The line of a path, or of the nearest value around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


class _Scanner:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        """Elements so far of each array of tables."""

    def read(self) -> dict[Path, int]:
        """Go through the whole text."""
        table: Path = ()
        while self._at < len(self._tokens):
            mark, line = self._tokens[self._at]
            if mark == "\n":
                self._at += 1
            elif mark == "[":
                table = self._header(line)
            else:
                self._pair(table)
        return self._lines

    def _header(self, line: int) -> Path:
        many = [mark for mark, _ in self._tokens[self._at : self._at + 2]] == ["[", "["]
        self._at += 1 + many
        names = self._key()
        self._at += 1 + many
        path: Path = ()
        for depth, name in enumerate(names):
            path = (*path, name)
            self._lines.setdefault(path, line)
            if many and depth == len(names) - 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
                self._lines.setdefault(path, line)
        return path

    def _key(self) -> list[str]:
        """The parts of a dotted key; stands behind it afterwards."""
        names: list[str] = []
        while self._at < len(self._tokens):
            mark, _ = self._tokens[self._at]
            if mark in ("=", "]", "\n"):
                break
            if mark != ".":
                names.append(_unquoted(mark))
            self._at += 1
        return names

    def _pair(self, table: Path) -> None:
        _, line = self._tokens[self._at]
        path = table
        for name in self._key():
            path = (*path, name)
            self._lines.setdefault(path, line)
        self._at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        """Step over one value, noting what is inside it."""
        mark = self._tokens[self._at][0] if self._at < len(self._tokens) else ""
        if mark == "[":
            self._array(path)
        elif mark == "{":
            self._inline_table(path)
        else:
            self._at += 1
            # A float's dot and a date's space split it into several tokens.
            while self._at < len(self._tokens) and self._tokens[self._at][0] not in (",", "\n", "]", "}"):
                self._at += 1

    def _array(self, path: Path) -> None:
        self._at += 1
        place = 0
        while self._at < len(self._tokens):
            mark, line = self._tokens[self._at]
            if mark == "]":
                self._at += 1
                return
            if mark in (",", "\n"):
                self._at += 1
                continue
            self._lines[(*path, place)] = line
            self._value((*path, place))
            place += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._at < len(self._tokens):
            mark, _ = self._tokens[self._at]
            if mark == "}":
                self._at += 1
                return
            if mark in (",", "\n"):
                self._at += 1
                continue
            self._pair(path)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Tokens with their lines; blanks and comments left out."""
    line = 1
    for found in _TOKEN.finditer(text):
        mark = found[0]
        if not _UNSAID.match(mark):
            yield mark, line
        line += mark.count("\n")


def _unquoted(mark: str) -> str:
    if mark.startswith("'"):
        return mark[1:-1]
    if not mark.startswith('"'):
        return mark
    return _ESCAPE.sub(_meant, mark[1:-1])


def _meant(found: re.Match[str]) -> str:
    short, long, letter = found.groups()
    return _ESCAPED[letter] if letter else chr(int(short or long, 16))
