"""Instruction sets: the TOML text of a set becomes its items, or a list of every mistake in it.

Each `[[line]]` has an `id`, a `text` of at most 400 characters and, where it goes by itself, the moment it `expires`.
A `[[choice]]` has an `id`, a `text` and the `tools` it is about: it is in force once it is chosen.
"""

import datetime as dt
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from policies.mistakes import NOT_TOML, BadPolicy, Mistake, not_toml
from policies.parameters import MOST_LINES
from policies.toml_lines import line_at, lines_of
from policies.vocabulary.clauses import Identifier
from policies.vocabulary.revisions import Choice, Line, LineText

LARGEST: Final = 1 << 16
"""Characters of one file."""

_SECOND_NS: Final = 1_000_000_000


class _Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Identifier
    text: LineText
    expires: Annotated[dt.datetime, Meta(tz=True)] | None = None


class _Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Identifier
    text: LineText
    tools: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=64)] = ()


class _Set(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    line: tuple[_Item, ...] = ()
    choice: tuple[_Choice, ...] = ()


class InstructionSet(msgspec.Struct, frozen=True, kw_only=True):
    """What one file holds."""

    lines: tuple[Line, ...] = ()
    """In force from the start, in order."""

    choices: tuple[Choice, ...] = ()
    """To choose from."""


def load_instructions(text: str, name: str) -> InstructionSet:
    """One set; it may be empty. `name`: its file's path. Raises `BadPolicy`."""
    if len(text) > LARGEST:
        raise BadPolicy([Mistake(place=name, message="is too large", remedy=f"{LARGEST} characters are the most.")])
    try:
        document: Any = tomllib.loads(text.removeprefix("\ufeff"))
        found = msgspec.convert(document, _Set)
    except msgspec.ValidationError as error:
        remedy = (
            "A set holds [[line]] tables with `id`, `text` and, where it ends by itself, `expires`, and [[choice]] "
            "tables with `id`, `text` and `tools`."
        )
        raise BadPolicy([Mistake(place=name, message=f"is no instruction set: {error}", remedy=remedy)]) from None
    except NOT_TOML as error:
        remedy = "See https://toml.io for the syntax."
        raise BadPolicy([Mistake(place=name, message=not_toml(error), remedy=remedy)]) from None
    if mistakes := list(_mistakes(found, text, name)):
        raise BadPolicy(mistakes)
    return InstructionSet(
        lines=tuple([Line(id=item.id, text=item.text, expires_ns=_ns(item.expires)) for item in found.line]),
        choices=tuple([Choice(line=Line(id=each.id, text=each.text), tools=each.tools) for each in found.choice]),
    )


def _mistakes(found: _Set, text: str, name: str) -> Iterator[Mistake]:
    if max(len(found.line), len(found.choice)) > MOST_LINES:
        held = max(len(found.line), len(found.choice))
        yield Mistake(place=name, message=f"holds {held} items", remedy=f"{MOST_LINES} are the most.")
    lines, seen = lines_of(text.removeprefix("\ufeff")), set[str]()
    kinds: tuple[tuple[str, tuple[_Item | _Choice, ...]], ...] = (("line", found.line), ("choice", found.choice))
    for kind, items in kinds:
        for at, item in enumerate(items):
            where = line_at(lines, (kind, at))
            if item.id in seen:
                again = f"a second item `{item.id}`"
                yield Mistake(place=name, line=where, message=again, remedy="Give it another id.")
            seen.add(item.id)


def _ns(at: dt.datetime | None) -> int | None:
    return None if at is None else int(at.timestamp()) * _SECOND_NS
