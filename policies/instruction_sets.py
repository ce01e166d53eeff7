"""Instruction sets: the TOML text of a set becomes its items, or a list of every mistake in it.

Each `[[line]]` has an `id`, a `text` of at most 400 characters and, where it goes by itself, the moment it `expires`.
"""

import datetime as dt
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from policies.mistakes import BadPolicy, Mistake
from policies.parameters import MOST_LINES
from policies.toml_lines import line_at, lines_of
from policies.vocabulary.clauses import Identifier
from policies.vocabulary.revisions import Line, LineText

LARGEST: Final = 1 << 16
"""Characters of one file."""

_SECOND_NS: Final = 1_000_000_000


class _Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Identifier
    text: LineText
    expires: Annotated[dt.datetime, Meta(tz=True)] | None = None


class _Set(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    line: tuple[_Item, ...] = ()


def load_instructions(text: str, name: str) -> tuple[Line, ...]:
    """The items of one set, in order; it may be empty. `name`: its file's path. Raises `BadPolicy`."""
    if len(text) > LARGEST:
        raise BadPolicy([Mistake(place=name, message="is too large", remedy=f"{LARGEST} characters are the most.")])
    try:
        document: Any = tomllib.loads(text.removeprefix("\ufeff"))
        found = msgspec.convert(document, _Set)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        remedy = "See https://toml.io for the syntax."
        raise BadPolicy([Mistake(place=name, message=f"is not TOML: {error}", remedy=remedy)]) from None
    except msgspec.ValidationError as error:
        remedy = "A set holds [[line]] tables with `id`, `text` and, where it ends by itself, `expires`."
        raise BadPolicy([Mistake(place=name, message=f"is no instruction set: {error}", remedy=remedy)]) from None
    if mistakes := list(_mistakes(found, text, name)):
        raise BadPolicy(mistakes)
    return tuple([Line(id=item.id, text=item.text, expires_ns=_ns(item.expires)) for item in found.line])


def _mistakes(found: _Set, text: str, name: str) -> Iterator[Mistake]:
    if len(found.line) > MOST_LINES:
        yield Mistake(place=name, message=f"holds {len(found.line)} items", remedy=f"{MOST_LINES} are the most.")
    lines, seen = lines_of(text.removeprefix("\ufeff")), set[str]()
    for at, item in enumerate(found.line):
        where = line_at(lines, ("line", at))
        if item.id in seen:
            yield Mistake(place=name, line=where, message=f"a second item `{item.id}`", remedy="Give it another id.")
        seen.add(item.id)


def _ns(at: dt.datetime | None) -> int | None:
    return None if at is None else int(at.timestamp()) * _SECOND_NS
