"""Arguments: the values of a tool call, each with its place in the call's JSON text.

Clients differ in what JSON they forgive and in which of two equal keys they take, so this reader forgives what
they do (control characters in strings, `NaN`, `Infinity`) and reports both of two equal keys.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from policies.possessive import compiled
from policies.trail import utf8

Scalar: TypeAlias = str | int | float | bool | None

DEEPEST: Final = 32
"""Containers inside each other; a deeper one is one opaque leaf."""

LONGEST_POINTER: Final = 512
"""Characters; a container below a longer pointer is one opaque leaf, so pointers never outgrow the text."""

MOST_LEAVES: Final = 4096
"""Leaves of one call; whatever follows them is one opaque leaf."""

_REMEMBERED: Final = 64 << 10
"""Texts up to so many characters are read once and remembered."""

_EXACT_DIGITS: Final = 40
"""Longer whole numbers become floats: no client computes with them, and reading them exactly is quadratic."""

_FORGIVING: Final = json.JSONDecoder(strict=False)
_BLANK: Final = b" \t\n\r"
_BLANKS: Final = frozenset({b" ", b"\t", b"\n", b"\r"})
_QUOTE: Final = ord('"')
_FRACTION: Final = frozenset(b".eE")
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY: Final = compiled(rb"(" + _STRING + rb")[ \t\n\r]*+:[ \t\n\r]*+", re.DOTALL)
_SCALAR: Final = compiled(
    rb"(" + _STRING + rb")|(-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)|(true|false|null|NaN|-?Infinity)", re.DOTALL
)
_MEMBER: Final = re.compile(rb'[ \t\n\r]*+,[ \t\n\r]*+"([^"\\]*+)"[ \t\n\r]*+:[ \t\n\r]*+')
_SPACE: Final = re.compile(rb"[ \t\n\r]*+")
_BRACKET: Final = compiled(_STRING + rb"|[\[\]{}]", re.DOTALL)
_FRAGMENT: Final = compiled(
    rb"(?:(" + _STRING + rb')[ \t\n\r]*+:[ \t\n\r]*+)?("[^"\\]*+(?:\\.[^"\\]*+)*+(?:(")|\\?\Z))', re.DOTALL
)
_UNFINISHED: Final = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_WORDS: Final[dict[bytes, Scalar]] = {
    b"true": True,
    b"false": False,
    b"null": None,
    b"NaN": float("nan"),
    b"Infinity": float("inf"),
    b"-Infinity": float("-inf"),
}
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL
)
_STRIDE: Final = 256


class Leaf(msgspec.Struct, frozen=True):
    """One scalar of a call's arguments."""

    pointer: str
    """RFC 6901 pointer; two equal keys of one object give two leaves with the same pointer."""

    value: Scalar
    """As JSON means it. A string that JSON cannot mean (a lone surrogate) is kept; a huge number may be `inf`."""

    start: int
    """First byte of the leaf's JSON token (quotes included) in the UTF-8 of the text."""

    end: int
    """Byte after the token's last."""

    opaque: bool = False
    """True where `value` is text that was not taken apart: no JSON, or beyond the bounds of this module.

    What is asked of leaves by name must be asked of these too: any name may stand inside.
    """

    @property
    def name(self) -> str:
        """The nearest key above the value: `to` for `/mail/to/0`; empty where there is none."""
        for token in reversed(self.pointer.split("/")[1:]):
            if not token.isdecimal():
                return token.replace("~1", "/").replace("~0", "~")
        return ""


def leaves(text: str) -> Sequence[Leaf]:
    """Every scalar of a JSON text, in the order of the text; total, and linear in its bytes.

    Text that is not JSON is one opaque leaf with pointer "" over all of it; blank text and empty containers have
    no leaf. Beyond `DEEPEST`, `LONGEST_POINTER` and `MOST_LEAVES` the rest stays together in opaque leaves, so
    that every byte of every value lies in some leaf.
    """
    return _remembered(text) if len(text) <= _REMEMBERED else _read(text)


def named(found: Iterable[Leaf], names: frozenset[str]) -> list[Leaf]:
    """Those leaves that these names or pointers mean, and every opaque one.

    A name, given in lower case, is compared with the key nearest the value without regard to case; one that
    begins with `/` is an RFC 6901 pointer to the leaf or to a container around it.
    """
    pointers = tuple(name for name in names if name.startswith("/"))
    return [
        leaf
        for leaf in found
        if leaf.opaque
        or leaf.name.casefold() in names
        or any(leaf.pointer == pointer or leaf.pointer.startswith(f"{pointer}/") for pointer in pointers)
    ]


def fragments(leaf: Leaf, data: bytes) -> Sequence[Leaf]:
    """The texts inside an opaque leaf: what is quoted in it, each with the key before it.

    Of half a JSON text, as of JSON beyond the bounds, this is what can still be read by name. `data` is the UTF-8 of
    the text the leaf came from.
    """
    found: list[Leaf] = []
    for each in _FRAGMENT.finditer(data, leaf.start, leaf.end):
        if len(found) >= MOST_LEAVES:
            break
        try:
            key = "" if each[1] is None else _string(each[1])
            value = _string(each[2] if each[3] else _UNFINISHED.sub(b"", each[2]) + b'"')
        except _NotJson:
            continue
        pointer = f"{leaf.pointer}/{_escaped(key)}" if key else leaf.pointer
        found.append(Leaf(pointer, value, each.start(2), each.end(2)))
    return found


class Ruler:
    """Where characters of a leaf's value stand in the bytes of the text."""

    def __init__(self, data: bytes, leaf: Leaf) -> None:
        """`data` is the UTF-8 of the text that `leaf` came from."""
        self._start, self._end = leaf.start, leaf.end
        token = data[leaf.start : leaf.end].decode("utf-8", "surrogatepass")
        self._quoted = not leaf.opaque and token.startswith('"')
        closed = len(token) > 1 and token.endswith('"')
        self._token = token[1 : -1 if closed else None] if self._quoted else token
        self._values = [0]
        self._tokens = [0]
        self._bytes: list[int] | None = None
        if self._quoted and "\\" in token:
            self._mark_escapes()
        if not token.isascii():
            self._count_bytes()

    def _mark_escapes(self) -> None:
        value, at = 0, 0
        for found in _ESCAPE.finditer(self._token):
            value += found.start() - at + 1
            at = found.end()
            self._values.append(value)
            self._tokens.append(at)

    def _count_bytes(self) -> None:
        self._bytes = [0]
        for at in range(0, len(self._token), _STRIDE):
            self._bytes.append(self._bytes[-1] + len(utf8(self._token[at : at + _STRIDE])))

    def _byte(self, value: int) -> int:
        mark = bisect_right(self._values, value) - 1
        at = min(self._tokens[mark] + value - self._values[mark], len(self._token))
        if self._bytes is not None:
            stride = at // _STRIDE
            at = self._bytes[stride] + len(utf8(self._token[stride * _STRIDE : at]))
        return self._start + self._quoted + at

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The bytes in the text for characters `start` to `end` of a string value; of other values, their token."""
        if not self._quoted and start == 0 and end >= len(self._token):
            return self._start, self._end
        first = self._byte(start)
        # An escape belongs to the character it stands for, whole.
        return first, max(first, self._byte(end))


class _NotJson(Exception):
    """The text stops being JSON here."""


def _read(text: str) -> tuple[Leaf, ...]:
    data = utf8(text)
    if not data.strip(_BLANK):
        return ()
    reader = _Reader(data)
    try:
        reader.read()
    except _NotJson:
        return (Leaf("", text, 0, len(data), opaque=True),)
    return tuple(reader.found)


_remembered = lru_cache(maxsize=128)(_read)


class _Reader:
    """One pass over a JSON text with a stack of its own: no depth makes it fail."""

    def __init__(self, data: bytes) -> None:
        self.found: list[Leaf] = []
        self._data = data
        self._at = 0
        self._open: list[tuple[str, bytes]] = []
        """Pointer and closing bracket of each container the position is in."""
        self._index: list[int] = []
        """How many values each of them has begun."""

    def read(self) -> None:
        """Fill `found`. Raises `_NotJson`."""
        self._skip_blanks()
        pointer: str | None = ""
        while pointer is not None:
            if len(self.found) >= MOST_LEAVES:
                self._opaque(self._open[-1][0] if self._open else "", len(self._data))
                return
            pointer = self._value(pointer)
        if self._at != len(self._data):
            raise _NotJson

    def _value(self, pointer: str) -> str | None:
        """Read one value, or the opening of one; the pointer of the next."""
        mark = self._data[self._at : self._at + 1]
        if mark not in (b"{", b"["):
            self._scalar(pointer)
        elif len(self._open) >= DEEPEST or len(pointer) > LONGEST_POINTER:
            self._opaque(pointer, self._closing())
        else:
            self._open.append((pointer, b"}" if mark == b"{" else b"]"))
            self._index.append(0)
            self._at += 1
            self._skip_blanks()
            if self._data[self._at : self._at + 1] != self._open[-1][1]:
                return self._child()
        return self._after()

    def _scalar(self, pointer: str) -> None:
        token = _SCALAR.match(self._data, self._at)
        if token is None:
            raise _NotJson
        string, number, word = token.groups()
        value = _string(string) if string else _number(number) if number else _WORDS[word]
        self._at = token.end()
        self.found.append(Leaf(pointer, value, token.start(), self._at))

    def _opaque(self, pointer: str, end: int) -> None:
        value = self._data[self._at : end].decode("utf-8", "surrogatepass")
        self.found.append(Leaf(pointer, value, self._at, end, opaque=True))
        self._at = end

    def _child(self) -> str:
        """Pointer of the value that begins here inside the innermost container; moves over its key."""
        above, closer = self._open[-1]
        at = self._index[-1]
        self._index[-1] += 1
        if closer == b"]":
            return f"{above}/{at}"
        key = _KEY.match(self._data, self._at)
        if key is None:
            raise _NotJson
        self._at = key.end()
        return f"{above}/{_escaped(_string(key[1]))}"

    def _after(self) -> str | None:
        """What follows a finished value: the pointer of the next, or None at the end of the outermost."""
        while True:
            member = _MEMBER.match(self._data, self._at) if self._open and self._open[-1][1] == b"}" else None
            if member:  # the usual way on, in one step
                self._at = member.end()
                return f"{self._open[-1][0]}/{_escaped(member[1].decode('utf-8', 'surrogatepass'))}"
            self._skip_blanks()
            if not self._open:
                return None
            mark = self._data[self._at : self._at + 1]
            self._at += 1
            if mark == b",":
                self._skip_blanks()
                return self._child()
            if mark != self._open[-1][1]:
                raise _NotJson
            self._open.pop()
            self._index.pop()

    def _skip_blanks(self) -> None:
        data, at = self._data, self._at
        if data[at : at + 1] in _BLANKS:
            found = _SPACE.match(data, at)
            self._at = found.end() if found else at

    def _closing(self) -> int:
        """The byte after the bracket that closes the container which opens here."""
        depth = 0
        for found in _BRACKET.finditer(self._data, self._at):
            mark = found[0]
            if mark[0] != _QUOTE:
                depth += 1 if mark in (b"{", b"[") else -1
                if depth == 0:
                    return found.end()
        raise _NotJson


def _escaped(key: str) -> str:
    """A key as a token of a pointer."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _string(token: bytes) -> str:
    if b"\\" not in token:
        return token[1:-1].decode("utf-8", "surrogatepass")
    try:
        return _FORGIVING.decode(token.decode("utf-8", "surrogatepass"))
    except ValueError:  # an escape that JSON does not know
        raise _NotJson from None


def _number(token: bytes) -> int | float:
    whole = len(token) <= _EXACT_DIGITS and not (_FRACTION & set(token))
    return int(token) if whole else float(token)
