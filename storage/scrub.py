"""Scrub: facts that no database takes are mended, so that one odd exchange never costs a batch its record."""

from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_LIMIT = 2**63


def scrub(struct: T) -> T:
    """The same Struct with numbers beyond 64 bits as None and text that is no Unicode marked where it broke."""
    values = {field: _mend(getattr(struct, field)) for field in struct.__struct_fields__}
    return msgspec.structs.replace(struct, **values)


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, int):
        return value if -_LIMIT <= value < _LIMIT else None
    if isinstance(value, msgspec.Struct):
        return scrub(value)
    if isinstance(value, tuple):
        return tuple(_mend(one) for one in cast("tuple[Any, ...]", value))
    return value
