"""Facts: what a Struct says besides its columns, as far as it differs from the default."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, final

import msgspec


@final
class Facts:
    """The fields of one type of Struct that have no column of their own, so that a new field is never lost."""

    def __init__(self, struct: type[msgspec.Struct], columns: Iterable[str]) -> None:
        known = set(columns)
        fields = [field for field in msgspec.structs.fields(struct) if field.name not in known]
        self._names = tuple(field.name for field in fields)
        self._defaults = tuple(field.default for field in fields)
        # One name alone would give a value instead of a tuple.
        self._get = attrgetter(*self._names, "__class__") if fields else None
        self._usual = (*self._defaults, struct)

    def of(self, struct: msgspec.Struct) -> dict[str, Any]:
        """Name and value of each fact worth writing down."""
        if self._get is None or (values := self._get(struct)) == self._usual:
            return {}
        return {
            name: value
            for name, value, default in zip(self._names, values[:-1], self._defaults, strict=True)
            if value is not default and value != default
        }

    def rest(self, struct: msgspec.Struct) -> tuple[dict[str, Any], ...]:
        """The same as no or one dictionary."""
        if self._get is None or self._get(struct) == self._usual:
            return ()
        facts = self.of(struct)
        return (facts,) if facts else ()
