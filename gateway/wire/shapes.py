"""Shapes: what a reply has to look like for its reader to read all of it.

Clients are more lenient than any one reader. Some take a list where the wire has an object, some the name `Content`
for `content` (Go's `encoding/json`, .NET), some the second of two texts. A reply that one of them could take for more
than was read here is told by its shape. Names that no shape mentions are open, whatever stands under them.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.wire.values import mapping, sequence

NO_MEMBERS: Final[Mapping[str, Any]] = {}


class Shape(msgspec.Struct, frozen=True):
    """Which JSON types may stand in one place; `null` may stand anywhere."""

    types: tuple[type, ...] = ()
    """With none, only what holds nothing: a name that this place does not have, and that some clients read."""

    members: Mapping[str, "Shape"] = NO_MEMBERS
    """Of an object: the names that are read, or that decide what is."""

    items: "Shape | None" = None
    """Of an array: its elements; None where anything may stand."""

    alone: tuple[str, ...] = ()
    """Of an object: names of which no more than one may hold something, for clients differ in which they read."""

    same: tuple[str, ...] = ()
    """Of an object: names that hold the same, where several hold something; only one of them is read."""

    needs: tuple[str, ...] = ()
    """Of an object: names of which one at least has to be there; else it is something that is not read here."""


def misfit(value: Any, shape: Shape) -> str | None:
    """What in this value some client may read otherwise than it is read here; None where nothing is."""
    rest = [(value, shape)]
    while rest:
        here, wanted = rest.pop()
        if here is None or (not wanted.types and not here):
            continue
        if type(here) not in wanted.types:  # pyright: ignore[reportUnknownArgumentType] - any JSON
            return f"{_said(here)} where this wire has none"
        if wanted.members:
            fields = mapping(here)
            if found := _entered(fields, wanted.members, rest) or _crowded(fields, wanted):
                return found
        if wanted.items is not None:
            rest += [(item, wanted.items) for item in sequence(here)]
    return None


def misnamed(value: Any, shape: Shape) -> str | None:
    """A name that only some readers take for one this wire has; the types may be any."""
    rest = [(value, shape)]
    while rest:
        here, wanted = rest.pop()
        if found := _entered(mapping(here), wanted.members, rest):
            return found
        if wanted.items is not None:
            rest += [(item, wanted.items) for item in sequence(here)]
    return None


def _entered(fields: Mapping[str, Any], known: Mapping[str, Shape], rest: list[tuple[Any, Shape]]) -> str | None:
    """Put what stands under known names to the rest; a name that differs from one in nothing but its case is wrong."""
    for name, value in fields.items():
        shape = known.get(name)
        if shape is not None:
            rest.append((value, shape))
        elif _spelled_otherwise(name, known):
            return "a name in other letters than this wire has"
    return None


def _spelled_otherwise(name: str, known: Mapping[str, Shape]) -> bool:
    folded = name.casefold()
    return folded in known or any(folded == each.casefold() for each in known)


def _crowded(fields: Mapping[str, Any], wanted: Shape) -> str | None:
    if wanted.alone and sum(1 for name in wanted.alone if fields.get(name)) > 1:
        return "two texts in the place of one"
    held = [fields[name] for name in wanted.same if fields.get(name)]
    if any(one != held[0] for one in held):
        return "two texts in the place of one"
    if wanted.needs and not any(name in fields for name in wanted.needs):
        return "none of what answers on this wire hold"
    return None


def _said(value: Any) -> str:
    return _NAMES.get(type(value), "a value")  # pyright: ignore[reportUnknownArgumentType] - any JSON


_NAMES: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a truth value",
}

ANY: Final = Shape(types=(dict, list, str, int, float, bool))
TEXT: Final = Shape(types=(str,))
NUMBER: Final = Shape(types=(int,))
NOTHING: Final = Shape()


def an_object(
    members: Mapping[str, Shape],
    *,
    alone: tuple[str, ...] = (),
    same: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
) -> Shape:
    """An object with these names."""
    return Shape(types=(dict,), members=members, alone=alone, same=same, needs=needs)


def nothing_else(names: tuple[str, ...], members: Mapping[str, Shape]) -> dict[str, Shape]:
    """Members of an object in which no other of these names says anything."""
    return {**dict.fromkeys(names, NOTHING), **members}


def a_list(items: Shape) -> Shape:
    """An array of such elements."""
    return Shape(types=(list,), items=items)


def either(*shapes: Shape) -> Shape:
    """Any of these, of which at most one is an object and one a list."""
    types = tuple([kind for shape in shapes for kind in shape.types])
    members = next((shape.members for shape in shapes if shape.members), NO_MEMBERS)
    items = next((shape.items for shape in shapes if shape.items is not None), None)
    alone = tuple([name for shape in shapes for name in shape.alone])
    return Shape(types=types, members=members, items=items, alone=alone)
