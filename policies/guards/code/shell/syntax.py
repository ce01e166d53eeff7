"""Syntax: a shell script as its reader sees it, before anything is expanded.

Positions are characters of the script's text; inside text that was itself unquoted (backquotes, nested scripts) they
are those of the word around it.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

UNKNOWN = "\ue000"
"""Stands for output or a value that only running the script would tell."""

HOME = "\ue001"
"""Stands for the user's home directory."""

_SPECIAL = "*?[{~"
_QUOTED = "\ue002\ue003\ue004\ue005\ue006"
_TO_QUOTED = str.maketrans(_SPECIAL, _QUOTED)
_TO_SPECIAL = str.maketrans(_QUOTED, _SPECIAL)
_TO_PLAIN = str.maketrans({**dict(zip(_QUOTED, _SPECIAL, strict=True)), HOME: "~", UNKNOWN: None})
_MARKS = frozenset(_QUOTED + HOME + UNKNOWN)


def quoted(text: str) -> str:
    """Text in which no character is special: patterns and braces are marked as plain characters."""
    return text.translate(_TO_QUOTED)


def special(text: str) -> str:
    """Text as a variable holds it: what was quoted is so no more, `HOME` and `UNKNOWN` stay."""
    return text if text.isascii() else text.translate(_TO_SPECIAL)


def literal(text: str) -> str:
    """What a program would be handed: marks undone, the unknown left out."""
    return text if text.isascii() or _MARKS.isdisjoint(text) else text.translate(_TO_PLAIN)


class Literal(msgspec.Struct, frozen=True, gc=False):
    """Characters that stand for themselves; those quoted are marked as such."""

    text: str
    quoted: bool = False


class Variable(msgspec.Struct, frozen=True, gc=False):
    """`$name` or `${name...}`."""

    name: str
    quoted: bool
    prefix: str = ""
    """`!` (the variable that this one names) or `#` (its length)."""

    index: str = ""
    """`[@]` and the like, brackets included."""

    op: str = ""
    """What is done with the value: `:-`, `##`, `/`, `:`, `^^`, ..."""

    operand: "Word | None" = None


class Substitution(msgspec.Struct, frozen=True, gc=False):
    """`$(...)` and backquotes."""

    script: "Script"
    quoted: bool


class Process(msgspec.Struct, frozen=True, gc=False):
    """`<(...)` and `>(...)`."""

    script: "Script"
    reads: bool
    """True: the command reads what the script writes."""


Piece: TypeAlias = Literal | Variable | Substitution | Process


class Word(msgspec.Struct, frozen=True, gc=False):
    """One word as it is written."""

    start: int
    end: int
    pieces: Sequence[Piece] = ()
    plain: str | None = None
    """The word itself where nothing in it is special; `pieces` is empty then."""


class Redirect(msgspec.Struct, frozen=True, gc=False):
    """`> file`, `<<EOF` and the like."""

    op: str
    """The operator without the descriptor: `<`, `>`, `>>`, `<<`, `<<<`, `>&`, `&>`, ..."""

    word: Word
    """Its target; of a here-document its body."""

    fd: str = ""


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """`name=value`; an array's values are one word each."""

    name: str
    values: tuple[Word, ...]
    adds: bool = False


class Simple(msgspec.Struct, frozen=True, gc=False):
    """A command with its arguments."""

    start: int
    end: int
    words: tuple[Word, ...]
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()


class Compound(msgspec.Struct, frozen=True, gc=False):
    """A group, subshell, loop, branch or function definition."""

    start: int
    end: int
    kind: str
    """`(`, `{`, `if`, `while`, `for`, `case` or `function`."""

    scripts: tuple["Script", ...]
    redirects: tuple[Redirect, ...] = ()
    name: str = ""
    """The loop's variable, or the function's name."""

    words: tuple[Word, ...] = ()
    """What a `for` runs over."""


Stage: TypeAlias = Simple | Compound


class Pipeline(msgspec.Struct, frozen=True, gc=False):
    """Stages joined by `|`."""

    stages: tuple[Stage, ...]
    background: bool = False


class Script(msgspec.Struct, frozen=True, gc=False):
    """Pipelines in the order they are written; whether each runs is not asked."""

    pipelines: tuple[Pipeline, ...] = ()
    complete: bool = True
    """False where the text nests more deeply than the reader follows."""
