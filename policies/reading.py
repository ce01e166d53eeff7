"""Reading parsed TOML as Structs, with every fault found and its place, not only the first."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import msgspec

from policies.mistakes import closest, nearest
from policies.toml_lines import Path

IDENTIFIER: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""How ids are written."""

_AT: Final = " - at `$"
"""How msgspec begins the place of a fault inside a value."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that does not fit its type."""

    path: Path
    message: str
    remedy: str


def faults(value: Any, kind: Any, path: Path = ()) -> Iterator[Fault]:
    """Everything in `value` (as `tomllib` reads it) that keeps it from being read as `kind`."""
    found = list(_inner(value, kind, path))
    yield from found
    if not found:
        yield from _outer(value, kind, path)


def said(path: Path) -> str:
    """A path as TOML writers would name it: `guards[0].rules[1].pattern`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def _tail(path: Path) -> Path:
    """The last key of a path and what follows it."""
    keys = [at for at, part in enumerate(path) if isinstance(part, str)]
    return path[keys[-1] :] if keys else path


def _inner(value: Any, kind: Any, path: Path) -> Iterator[Fault]:
    options = _options(kind)
    structs = [option for option in options if _is_struct(option)]
    if structs:
        yield from _table(value, structs, path)
        return
    bare = options[0]
    arguments = get_args(bare)
    if get_origin(bare) is tuple and isinstance(value, list):
        for place, item in enumerate(cast("list[Any]", value)):
            yield from faults(item, arguments[0], (*path, place))
    elif get_origin(bare) is dict and isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from faults(item, arguments[1], (*path, key))


def _outer(value: Any, kind: Any, path: Path) -> Iterator[Fault]:
    """What is wrong with a value whose parts are all right."""
    known = next((get_args(option) for option in _options(kind) if get_origin(option) is Literal), ())
    if known and isinstance(value, str) and value not in known:
        yield Fault(path, f"`{said(_tail(path))}` cannot be `{value[:64]}`", nearest(value, known))
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message = str(error).split(_AT)[0]
        yield Fault(path, f"`{said(_tail(path))}`: {message[:1].lower()}{message[1:]}", _wanted(kind))


def _table(value: Any, structs: list[type[msgspec.Struct]], path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path, f"`{said(_tail(path))}` is not a table", "Write it as `{ key = value }`.")
        return
    table = cast("Mapping[str, Any]", value)
    tag_field = structs[0].__struct_config__.tag_field
    chosen = structs[0]
    if tag_field is not None:
        tags = {str(struct.__struct_config__.tag): struct for struct in structs}
        tag = table.get(tag_field)
        if not isinstance(tag, str):
            yield Fault(path, f"`{tag_field}` is missing", f"Add `{tag_field}`, one of: {', '.join(tags)}.")
            return
        if tag not in tags:
            yield Fault((*path, tag_field), f"there is no {tag_field} `{tag[:64]}`", nearest(tag, tags))
            return
        chosen = tags[tag]
    yield from _fields(table, chosen, tag_field, path)


def _fields(
    table: Mapping[str, Any], struct: type[msgspec.Struct], tag_field: str | None, path: Path
) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    unknown = [key for key in table if key not in fields and key != tag_field]
    meant = {closest(key, fields) for key in unknown}
    for key in unknown:
        yield Fault((*path, key), f"unknown key `{key[:64]}`", nearest(key, fields))
    for key, field in fields.items():
        if key in table:
            yield from faults(table[key], field.type, (*path, key))
        elif field.required and key not in meant:
            yield Fault(path, f"`{key}` is missing", f"Add it. {_wanted(field.type)}")


def _options(kind: Any) -> list[Any]:
    """What a value may be, without what annotates it and without None, which TOML cannot write."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        return [option for each in get_args(kind) if each is not NoneType for option in _options(each)]
    return [kind]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _wanted(kind: Any) -> str:
    """What belongs there, as a sentence."""
    options = _options(kind)
    if choices := [str(choice) for option in options if get_origin(option) is Literal for choice in get_args(option)]:
        return f"One of: {', '.join(choices)}."
    bare = options[0]
    if get_origin(bare) is tuple:
        return "It is a list with at least one entry." if _shortest(kind) else "It is a list."
    names = {"str": "text", "int": "a whole number", "bool": "true or false", "dict": "a table", "float": "a number"}
    name = getattr(get_origin(bare) or bare, "__name__", "")
    return f"It is {names.get(name, 'a table')}{_bounds(kind)}."


def _metas(kind: Any) -> Iterator[msgspec.Meta]:
    while get_origin(kind) is Annotated:
        yield from (each for each in get_args(kind)[1:] if isinstance(each, msgspec.Meta))
        kind = get_args(kind)[0]


def _shortest(kind: Any) -> int:
    return max((meta.min_length or 0 for meta in _metas(kind)), default=0)


def _bounds(kind: Any) -> str:
    """The range a number or text is held to."""
    words: list[str] = []
    for meta in _metas(kind):
        words += [f"at least {meta.ge}"] if meta.ge is not None else []
        words += [f"at most {meta.le}"] if meta.le is not None else []
        words += ["of a-z, 0-9, `-` and `_`, not beginning with a mark"] if meta.pattern == IDENTIFIER else []
        words += ["not empty"] if meta.min_length else []
    return "".join(f", {word}" for word in words)
