"""How the scripted model reads a prompt: fenced text is data, and only what stands outside of fences is believed.

A fence begins at a line outside of any other, and ends at the first mark with its own number. So whatever a step says,
marks and numbers of other steps included, is part of its text.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from supervisors.models.interface import Prompt

_OPENED: Final = re.compile(r"<<data ([0-9a-f]{32}) ([^\n]*)>>\Z")
_CLAUSE: Final = "\nclause: "


class ReadClause(msgspec.Struct, frozen=True, kw_only=True):
    """One clause of the rubric."""

    name: str
    severity: str
    words: str
    """Its text and guidance."""


class ReadStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step within its fence."""

    name: str
    kind: str
    origin: str
    tool: str
    """`tool_call` only: the tool's name, or the word that stands for it."""

    text: str


class ReadFact(msgspec.Struct, frozen=True):
    """One `fact` line: of which step, and what it says as names and words."""

    step: str
    says: Mapping[str, str]


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """All that the scripted model takes from a prompt."""

    clauses: tuple[ReadClause, ...]
    steps: tuple[ReadStep, ...]
    """In the order shown, history first."""

    about: tuple[str, ...]
    """Names of the new steps."""

    facts: tuple[ReadFact, ...]
    asked: str
    """`word` or `critique`; empty where the prompt asks for neither."""

    view: str


def read(prompt: Prompt) -> Read:
    """Take a prompt apart."""
    steps: list[ReadStep] = []
    outside: list[str] = []
    for text in (*prompt.history, prompt.question):
        for piece in _pieces(text):
            if isinstance(piece, ReadStep):
                steps.append(piece)
            else:
                outside.append(piece)
    return Read(
        clauses=tuple(_clauses(prompt.system)),
        steps=tuple(steps),
        about=tuple([name for name in _value(outside, "about").split(",") if name]),
        facts=tuple([_fact(line) for line in outside if line.startswith("fact ")]),
        asked=_value(outside, "asked"),
        view=_value(outside, "view") or "policy",
    )


def _pieces(text: str) -> Iterator[ReadStep | str]:
    """Lines outside of fences, and steps."""
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        opened = _OPENED.match(line)
        closing = f"\n<<end {opened[1]}>>" if opened else ""
        closed = text.find(closing, end) if opened else -1
        if opened is None or closed < 0:
            yield line
            at = end + 1
            continue
        yield _step(opened[2], text[end + 1 : closed])
        at = closed + len(closing) + 1


def _step(head: str, text: str) -> ReadStep:
    says = _words(head)
    return ReadStep(
        name=says.get("step", ""),
        kind=says.get("kind", ""),
        origin=says.get("origin", ""),
        tool=says.get("tool", ""),
        text=text,
    )


def _fact(line: str) -> ReadFact:
    _, name, *rest = line.split(" ")
    return ReadFact(name, _words(" ".join(rest)))


def _words(text: str) -> dict[str, str]:
    """`name=word` pairs; later ones do not take the place of earlier ones."""
    found: dict[str, str] = {}
    for pair in text.split(" "):
        name, is_pair, value = pair.partition("=")
        if is_pair:
            found.setdefault(name, value)
    return found


def _value(lines: list[str], name: str) -> str:
    return next((line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: ")), "")


def _clauses(system: str) -> Iterator[ReadClause]:
    """The blocks that begin with `clause:`; each ends with an empty line or the text."""
    for block in system.split(_CLAUSE)[1:]:
        name, *lines = block.partition("\n\n")[0].split("\n")
        says = dict(line.split(": ", 1) for line in lines if ": " in line)
        words = f"{says.get('text', '')} {says.get('guidance', '')}".strip()
        yield ReadClause(name=name, severity=says.get("severity", ""), words=words)
