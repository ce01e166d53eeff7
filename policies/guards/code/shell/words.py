"""Words: quoting and expansion as POSIX (XCU 2.2, 2.6) and Bash write them, read without carrying them out."""

import re
from abc import ABC, abstractmethod
from typing import Final

from policies.guards.code.shell.syntax import (
    Literal,
    Piece,
    Process,
    Script,
    Substitution,
    Variable,
    Word,
    quoted,
)
from policies.possessive import compiled

DEEPEST: Final = 40
"""Scripts, quotes and expansions inside each other; what nests more deeply is read as flat text."""

_BLANKS: Final = compiled(r"(?:[ \t\r]|\\\r?\n)*+")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,^=-]++(?=[\s;&|<>()]|\Z)")
_LITERAL: Final = re.compile(r"""[^\s'"\\$`;&|<>()]++""")
_IN_DOUBLE: Final = re.compile(r"""[^"\\$`]++""")
_IN_DOCUMENT: Final = re.compile(r"[^\\$`]++")
_IN_BRACES: Final = re.compile(r"""[^}'"\\$`]++""")
_ANSI: Final = compiled(r"[^'\\]*+(?:\\.[^'\\]*+)*+", re.DOTALL)
_BACKQUOTED: Final = compiled(r"[^`\\]*+(?:\\.[^`\\]*+)*+", re.DOTALL)
_BACKQUOTE_ESCAPE: Final = re.compile(r"\\([$`\\])")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+|[0-9@*#?$!-]")
_BRACED_NAME: Final = re.compile(r"([!#]?)([A-Za-z_][A-Za-z0-9_]*+|[0-9]++|[@*#?$!-])(\[[^\]}\n]{0,64}\])?")
_OPERATOR: Final = re.compile(r":?[-=?+]|##?|%%?|/[/#%]?|\^\^?|,,?|:|@")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|0?([0-7]{1,3})|c(.)|(.))", re.DOTALL
)
_ESCAPED: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "v": "\v",
}
_HIGHEST: Final = 0x10FFFF
_EXTENDED: Final = frozenset("?*+@!")


def unescaped(text: str) -> str:
    """What `$'...'`, `echo -e` and `printf` make of their backslash escapes."""
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(found: re.Match[str]) -> str:
    two, four, eight, octal, control, other = found.groups()
    digits = two or four or eight
    if digits is not None:
        return chr(min(int(digits, 16), _HIGHEST))
    if octal is not None:
        return chr(int(octal, 8) & 0xFF)
    if control is not None:
        return chr(ord(control) & 0x1F)
    return _ESCAPED.get(other, other if other in "\\'\"?" else f"\\{other}")


class WordReader(ABC):
    """A position in a text, and how to read the word that begins there."""

    def __init__(self, text: str, place: tuple[int, int] | None, depth: int = 0) -> None:
        """`place` is what positions say where the text is no part of what they count in."""
        self._text = text
        self._size = len(text)
        self._place = place
        self._at = 0
        self._depth: int = depth
        self._complete = True
        self._arithmetic = False
        """Inside `((`, where `<<` shifts."""

        self._no_bracket = False
        """There is no `)` behind the position."""

    @abstractmethod
    def _inner(self) -> Script:
        """The script up to the closing bracket, and past it."""

    @abstractmethod
    def _nested(self, text: str, place: tuple[int, int]) -> Script:
        """The script that a text inside this one is, one level deeper."""

    def document(self) -> list[Piece]:
        """The whole text as the body of a here-document."""
        return self._expanding(_IN_DOCUMENT, "")

    def _span(self, start: int) -> tuple[int, int]:
        return self._place or (start, min(self._at, self._size))

    def _mark(self) -> str:
        """The character that comes next; empty at the end."""
        return self._text[self._at : self._at + 1]

    def _blanks(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        if found:
            self._at = found.end()

    def _process(self) -> bool:
        """Whether a process substitution comes next."""
        return self._text.startswith(("<(", ">("), self._at)

    def _word(self) -> Word:
        start, text = self._at, self._text
        plain = _PLAIN.match(text, start)
        if plain:
            self._at = plain.end()
            return Word(*self._span(start), (), plain[0])
        pieces: list[Piece] = []
        while self._at < self._size:
            found = _LITERAL.match(text, self._at)
            if found:
                self._at = found.end()
                pieces.append(Literal(found[0]))
            elif not self._special(pieces):
                break
        if self._at == start:
            self._at += 1
        return Word(*self._span(start), pieces)

    def _special(self, pieces: list[Piece]) -> bool:
        """Reads one quoted or expanding piece of a word; False where there is none."""
        mark = self._mark()
        if mark == "'":
            end = self._text.find("'", self._at + 1)
            end = end if end >= 0 else self._size
            pieces.append(Literal(quoted(self._text[self._at + 1 : end]), True))
            self._at = end + 1
        elif mark == '"':
            self._double(pieces)
        elif mark == "\\":
            after = self._text[self._at + 1 : self._at + 2]
            self._at += 2
            if after != "\n":
                pieces.append(Literal(quoted(after), True))
        elif mark == "$":
            self._dollar(pieces, quoting=False)
        elif mark == "`":
            self._backquote(pieces, quoting=False)
        elif self._process():
            self._at += 2
            pieces.append(Process(self._inner(), mark == "<"))
        else:
            return mark == "(" and self._extended(pieces)
        return True

    def _extended(self, pieces: list[Piece]) -> bool:
        """An extended pattern such as `@(a|b)`; taken for `*`."""
        if not pieces or self._text[self._at - 1] not in _EXTENDED or self._no_bracket:
            return False
        end = self._text.find(")", self._at)
        if end < 0:
            self._no_bracket = True
            return False
        pieces.append(Literal("*"))
        self._at = end + 1
        return True

    def _double(self, pieces: list[Piece]) -> None:
        self._at += 1
        pieces += self._expanding(_IN_DOUBLE, '"') or [Literal("", True)]

    def _expanding(self, plain: re.Pattern[str], closer: str) -> list[Piece]:
        """Pieces in double quotes, braces or a here-document, up to `closer` and past it."""
        pieces: list[Piece] = []
        text = self._text
        while self._at < self._size:
            found = plain.match(text, self._at)
            if found:
                self._at = found.end()
                pieces.append(Literal(quoted(found[0]), True))
                continue
            mark = text[self._at]
            if mark == closer:
                self._at += 1
                break
            if mark == "$":
                self._dollar(pieces, quoting=True)
            elif mark == "`":
                self._backquote(pieces, quoting=True)
            elif mark == "\\":
                pieces.append(Literal(quoted(self._escape()), True))
            elif not self._special(pieces):
                pieces.append(Literal(mark, True))
                self._at += 1
        return pieces

    def _escape(self) -> str:
        """What a backslash in double quotes and the character behind it stand for."""
        after = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if after == "\n":
            return ""
        return after if after in ("$", "`", '"', "\\") else f"\\{after}"

    def _dollar(self, pieces: list[Piece], *, quoting: bool) -> None:
        text = self._text
        after = text[self._at + 1 : self._at + 2]
        if after == "'" and not quoting:
            found = _ANSI.match(text, self._at + 2)
            end = found.end() if found else self._size
            pieces.append(Literal(quoted(unescaped(text[self._at + 2 : end])), True))
            self._at = end + 1
        elif after == '"' and not quoting:
            self._at += 1
            self._double(pieces)
        elif after == "{":
            self._at += 2
            self._braced(pieces, quoting=quoting)
        elif after == "(":
            self._at += 2
            before, self._arithmetic = self._arithmetic, text.startswith("(", self._at)
            pieces.append(Substitution(self._inner(), quoting))
            self._arithmetic = before
        elif found := _NAME.match(text, self._at + 1):
            self._at = found.end()
            pieces.append(Variable(found[0], quoting))
        else:
            self._at += 1
            pieces.append(Literal("$", quoting))

    def _braced(self, pieces: list[Piece], *, quoting: bool) -> None:
        head = _BRACED_NAME.match(self._text, self._at)
        if head is None or self._depth >= DEEPEST:
            self._complete = self._complete and head is None
            pieces.append(Literal(quoted("${"), True))
            return
        self._at = head.end()
        operator = _OPERATOR.match(self._text, self._at)
        op = operator[0] if operator else ""
        self._at += len(op)
        start = self._at
        self._depth += 1
        inside = self._expanding(_IN_BRACES, "}")
        self._depth -= 1
        operand = Word(*self._span(start), inside)
        pieces.append(Variable(head[2], quoting, head[1] or "", head[3] or "", op, operand))

    def _backquote(self, pieces: list[Piece], *, quoting: bool) -> None:
        start = self._at
        found = _BACKQUOTED.match(self._text, start + 1)
        end = found.end() if found else self._size
        inside = self._text[start + 1 : end]
        if self._depth >= DEEPEST:
            self._complete = False
            self._at += 1
            return
        self._at = end + 1
        script = self._nested(_BACKQUOTE_ESCAPE.sub(r"\1", inside) if "\\" in inside else inside, self._span(start))
        pieces.append(Substitution(script, quoting))
