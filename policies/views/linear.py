"""RE2, typed: matching in time linear in the text, whatever the pattern."""

from collections.abc import Iterator
from typing import Final, Protocol, cast

import re2  # pyright: ignore[reportMissingTypeStubs] - ships no types; the Protocols say what is used


class Found(Protocol):
    """A match."""

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """The byte range of a group; (-1, -1) where it took no part."""
        ...


class Linear(Protocol):
    """A compiled pattern that is run on UTF-8."""

    @property
    def groups(self) -> int:
        """How many groups it captures."""
        ...

    def search(self, text: bytes, pos: int | None = None, endpos: int | None = None) -> Found | None:
        """The leftmost match."""
        ...

    def finditer(self, text: bytes, pos: int | None = None, endpos: int | None = None) -> Iterator[Found]:
        """All matches that do not overlap, from the left."""
        ...


class BadPattern(ValueError):
    """RE2 cannot compile a pattern."""


class _Options(Protocol):
    log_errors: bool
    max_mem: int


class _Re2(Protocol):
    error: type[Exception]

    def Options(self) -> _Options: ...  # noqa: N802 - RE2's own name

    def compile(self, pattern: bytes, options: _Options) -> Linear: ...


_RE2: Final = cast("_Re2", re2)
_MEMORY: Final = 32 << 20
"""Bytes one pattern may use for its automaton; it takes what the texts need, and with too little it turns slow."""


def linear(pattern: str) -> Linear:
    """A compiled pattern, for bytes of UTF-8. Raises `BadPattern`."""
    options = _RE2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return _RE2.compile(pattern.encode(), options)
    except _RE2.error as error:
        raise BadPattern(str(error)) from None
