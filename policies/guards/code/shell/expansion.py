"""Expansion: the fields a word becomes, as far as the script itself tells.

POSIX XCU 2.6 and Bash's parameter expansion, followed for values the script sets itself; everything else is `UNKNOWN`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Literal, TypeAlias

import msgspec

from policies.guards.code.shell import syntax
from policies.guards.code.shell.syntax import (
    HOME,
    UNKNOWN,
    Process,
    Script,
    Substitution,
    Variable,
    Word,
    literal,
    quoted,
    special,
)

Taint: TypeAlias = Literal["download", "decoded", "secret", "settings", "environment"]
Taints: TypeAlias = frozenset[Taint]
CLEAN: Final[Taints] = frozenset()

_LONGEST_VALUE: Final = 8192
"""Characters of one value that are followed."""

_MOST_FIELDS: Final = 64
"""Fields that braces make of one word."""

_LONGEST_BRACES: Final = 512
_FIRST_PIPE: Final = 63
_RANGE: Final = re.compile(r"(-?[0-9]{1,4}|[A-Za-z])\.\.(-?[0-9]{1,4}|[A-Za-z])")
_SLICE: Final = re.compile(r"\s*(-?[0-9]{1,6})\s*(?::\s*(-?[0-9]{1,6})\s*)?")
_REAL_HOME: Final = "/home/user"
_GIVEN: Final = {
    "HOME": HOME,
    "IFS": " \t\n",
    "SHELL": "/bin/bash",
    "BASH": "/bin/bash",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PWD": ".",
    "TMPDIR": "/tmp",  # noqa: S108 - a value to compare with
    "0": "bash",
}
"""What the variables hold that every shell sets."""


class Value(msgspec.Struct, frozen=True, gc=False):
    """Text that a variable, a pipe or a file holds, and what flowed into it."""

    text: str = ""
    """With `HOME` and `UNKNOWN` for what they stand for."""

    taints: Taints = CLEAN


class Field(msgspec.Struct, frozen=True, gc=False):
    """One argument as its command receives it."""

    text: str
    """Marked as in `syntax`: unquoted patterns are themselves, quoted ones are marked."""

    taints: Taints = CLEAN

    @property
    def literal(self) -> str:
        """What the command is handed."""
        return literal(self.text)

    @property
    def known(self) -> bool:
        """Whether all of it is told by the script."""
        return UNKNOWN not in self.text


EMPTY: Final = Value()


def only(taint: Taint) -> Taints:
    """One taint."""
    return frozenset((taint,))


def union(values: Iterable[Value | Field]) -> Taints:
    """All that flowed into any of these."""
    found = CLEAN
    for value in values:
        if value.taints:
            found |= value.taints
    return found


class Room:
    """How many characters of values may still be made: what a script doubles over and over stays bounded."""

    def __init__(self, left: int) -> None:
        """`left` is in characters."""
        self._left = left

    def take(self, text: str) -> bool:
        """Whether there was room for one more text."""
        if len(text) > self._left:
            self._left = 0
            return False
        self._left -= len(text)
        return True


class Environment:
    """The variables of one script, and what words mean under them."""

    def __init__(self, run: Callable[[Script], Value], room: Room) -> None:
        """`run` gives what a substituted script writes; `room` is shared with whoever else makes values."""
        self.sinks: list[Script] = []
        """Scripts that read what the command writes to them, `>(...)`, since this was last emptied."""

        self.pipes: dict[str, Value] = {}
        """What `<(...)` writes, by the path that stands for it."""

        self._run = run
        self._room = room
        self._values: dict[str, Value] = {}
        self._arrays: dict[str, tuple[Field, ...]] = {}

    def set(self, name: str, value: Value, *, adds: bool = False) -> None:
        """Sets a variable, or adds to it."""
        before = self._values.get(name, EMPTY) if adds else EMPTY
        text = before.text + value.text
        if len(text) > _LONGEST_VALUE or not self._room.take(text):
            text = UNKNOWN
        self._values[name] = Value(text, before.taints | value.taints)
        self._arrays.pop(name, None)

    def set_array(self, name: str, fields: Sequence[Field]) -> None:
        """Sets a variable to several values."""
        self.set(name, Value(" ".join(special(field.text) for field in fields), union(fields)))
        self._arrays[name] = tuple(fields[:_MOST_FIELDS])

    def unset(self, name: str) -> None:
        """Forgets a variable."""
        self._values.pop(name, None)
        self._arrays.pop(name, None)

    def value(self, word: Word) -> Value:
        """A word where it is not split: a variable's value, a here-document, the target of a redirect."""
        fields = self._split(word, keep_whole=True)
        if not fields:
            return EMPTY
        text = fields[0].text
        return Value(special(text) if self._room.take(text) else UNKNOWN, fields[0].taints)

    def fields(self, word: Word) -> list[Field]:
        """The arguments that a word becomes."""
        if word.plain is not None:
            return [Field(word.plain)]
        found = self._split(word, keep_whole=False)
        if any("{" in field.text for field in found):
            return [Field(text, field.taints) for field in found for text in _braces(field.text)][:_MOST_FIELDS]
        return found

    def _split(self, word: Word, *, keep_whole: bool) -> list[Field]:
        if word.plain is not None:
            return [Field(word.plain)]
        builder = _Builder()
        for at, piece in enumerate(word.pieces):
            if isinstance(piece, syntax.Literal):
                home = at == 0 and not piece.quoted and piece.text.startswith("~") and piece.text[1:2] in ("", "/")
                builder.add(HOME + piece.text[1:] if home else piece.text)
            elif isinstance(piece, Process):
                builder.add(*self._beside(piece))
            elif isinstance(piece, Variable) and not keep_whole and (several := self._several(piece)):
                builder.append(several)
            else:
                value = self._variable(piece) if isinstance(piece, Variable) else self._written(piece)
                if not self._room.take(value.text):
                    value = Value(UNKNOWN, value.taints)
                if piece.quoted or keep_whole:
                    builder.add(quoted(value.text), value.taints)
                else:
                    builder.split(self._separated(value))
        return builder.finish()

    def _beside(self, piece: Process) -> tuple[str, Taints]:
        """The path of a script that runs beside the command, and what flows out of it."""
        path = f"/dev/fd/{_FIRST_PIPE + len(self.pipes)}"
        if not piece.reads:
            self.sinks.append(piece.script)
            return path, CLEAN
        self.pipes[path] = written = self._run(piece.script)
        return path, written.taints

    def _written(self, piece: Substitution) -> Value:
        written = self._run(piece.script)
        return Value(written.text.rstrip("\n"), written.taints)

    def _separated(self, value: Value) -> Value:
        """A value with blanks where `IFS` of the script's own ends fields."""
        ends = self._values.get("IFS")
        if ends is None or not ends.text.strip():
            return value
        return Value(value.text.translate(dict.fromkeys(map(ord, ends.text[:16]), " ")), value.taints)

    def _several(self, piece: Variable) -> tuple[Field, ...]:
        """The fields of an array that a word takes whole."""
        whole = piece.name in "@*" or piece.index in ("[@]", "[*]")
        return self._arrays.get("@" if piece.name == "*" else piece.name, ()) if whole and not piece.op else ()

    def _named(self, name: str) -> Value | None:
        """A variable's value; None where the script does not set it."""
        found = self._values.get(name)
        return Value(_GIVEN[name]) if found is None and name in _GIVEN else found

    def _variable(self, piece: Variable) -> Value:
        if piece.prefix == "#":
            return Value(UNKNOWN)
        value = self._named(piece.name)
        if piece.prefix == "!" and value is not None:
            value = self._named(literal(value.text))
        if not piece.op or piece.operand is None:
            return Value(UNKNOWN) if value is None else value
        return self._operated(value, piece.name, piece.op, piece.operand)

    def _operated(self, value: Value | None, name: str, op: str, operand: Word) -> Value:
        if op in (":-", "-", ":=", "=", ":+", "+"):
            # Where the script does not say whether the variable is set, the words it holds itself are taken.
            if value is not None and op in (":-", "-", ":=", "="):
                return value
            other = self.value(operand)
            if op in (":=", "="):
                self.set(name, other)
            return other
        if value is None:
            return Value(UNKNOWN)
        text = value.text.replace(HOME, _REAL_HOME)
        return Value(_edited(text, op, special(self.value(operand).text)), value.taints)


def _edited(text: str, op: str, operand: str) -> str:
    """`text` as Bash's operators on strings leave it; patterns stand for themselves."""
    if op == ":":
        return _sliced(text, operand)
    if op[0] == "/":
        old, _, new = operand.partition("/")
        return text.replace(old, new, -1 if op == "//" else 1) if old else text
    if op[0] in "^,":
        changed = str.upper if op[0] == "^" else str.lower
        return changed(text) if len(op) > 1 else changed(text[:1]) + text[1:]
    if op[0] == "#":
        return text.removeprefix(operand)
    return text.removesuffix(operand) if op[0] == "%" else text


def _sliced(text: str, operand: str) -> str:
    found = _SLICE.fullmatch(operand)
    if found is None:
        return UNKNOWN
    text = text[int(found[1]) :]
    return text if found[2] is None else text[: int(found[2])]


class _Builder:
    """Fields in the making."""

    def __init__(self) -> None:
        self._done: list[Field] = []
        self._parts: list[str] = []
        self._taints: Taints = CLEAN
        self._begun = False

    def add(self, text: str, taints: Taints = CLEAN) -> None:
        """More of the same field."""
        self._parts.append(text)
        self._begun = True
        if taints:
            self._taints |= taints

    def split(self, value: Value) -> None:
        """A value that is not quoted: its blanks end fields."""
        text = value.text
        pieces = text.split()
        if text[:1].isspace():
            self._end()
        for at, piece in enumerate(pieces):
            if at:
                self._end()
            self.add(piece, value.taints)
        if text[-1:].isspace():
            self._end()

    def append(self, fields: Sequence[Field]) -> None:
        """Whole fields, of which the first and the last may go on."""
        for at, field in enumerate(fields):
            if at:
                self._end()
            self.add(field.text, field.taints)

    def _end(self) -> None:
        if self._begun:
            self._done.append(Field("".join(self._parts), self._taints))
            self._parts, self._taints, self._begun = [], CLEAN, False

    def finish(self) -> list[Field]:
        """All fields."""
        self._end()
        return self._done


def _braces(text: str) -> list[str]:
    """What brace expansion makes of a field, up to `_MOST_FIELDS` fields."""
    opened = text.find("{")
    if opened < 0 or len(text) > _LONGEST_BRACES:
        return [text]
    parts, end = _parts(text, opened)
    if end < 0:
        return [text]
    inner = [each for part in parts[:_MOST_FIELDS] for each in _braces(part)] if len(parts) > 1 else _range(parts[0])
    before = text[:opened]
    rest = _braces(text[end + 1 :])
    return list(islice((before + middle + after for middle in inner for after in rest), _MOST_FIELDS))


def _parts(text: str, opened: int) -> tuple[list[str], int]:
    """What commas separate inside the brace at `opened`, and where the brace closes; -1 where it does not."""
    depth, begun, parts = 0, opened + 1, list[str]()
    for at in range(opened, len(text)):
        mark = text[at]
        if mark == "{":
            depth += 1
        elif mark == "}":
            depth -= 1
            if depth == 0:
                return [*parts, text[begun:at]], at
        elif mark == "," and depth == 1:
            parts.append(text[begun:at])
            begun = at + 1
    return parts, -1


def _range(inner: str) -> list[str]:
    found = _RANGE.fullmatch(inner)
    if found is None:
        return ["{" + inner + "}"]
    first, last = found.groups()
    if first.isalpha() != last.isalpha():
        return ["{" + inner + "}"]
    low, high = (ord(first), ord(last)) if first.isalpha() else (int(first), int(last))
    values = range(low, high + 1) if low <= high else range(low, high - 1, -1)
    return [chr(value) if first.isalpha() else str(value) for value in values[:_MOST_FIELDS]]
