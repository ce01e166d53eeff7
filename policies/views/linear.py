"""RE2, typed: matching in time linear in the text, whatever the pattern."""

from collections.abc import Iterator
from typing import Protocol, cast

import re2  # pyright: ignore[reportMissingTypeStubs] - ships no types; the Protocols say what is used


class Found(Protocol):
    """A match."""

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """The byte range of a group; (-1, -1) where it took no part."""
        ...


class Linear(Protocol):
    """A compiled pattern that is run on UTF-8."""

    def search(self, text: bytes, pos: int | None = None, endpos: int | None = None) -> Found | None:
        """The leftmost match."""
        ...

    def finditer(self, text: bytes, pos: int | None = None, endpos: int | None = None) -> Iterator[Found]:
        """All matches that do not overlap, from the left."""
        ...


class BadPattern(ValueError):
    """RE2 cannot compile a pattern."""


_Error = cast("type[Exception]", re2.error)  # pyright: ignore[reportUnknownMemberType]


def linear(pattern: str) -> Linear:
    """A compiled pattern, for bytes of UTF-8. Raises `BadPattern`."""
    try:
        return cast("Linear", re2.compile(pattern.encode()))  # pyright: ignore[reportUnknownMemberType]
    except _Error as error:
        raise BadPattern(str(error)) from None
