"""Patterns with possessive groups, which mean the same on every Python that may be used.

CPython before 3.11.5 does not go back where `(?:...)*+` begins to match and then fails (gh-106052), so that a guard
does not see what comes behind. There they are compiled as the atomic groups they stand for: `x*+` is `(?>x*)`
(https://docs.python.org/3/library/re.html#regular-expression-syntax).
"""

import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, AnyStr, Final, cast

_MENDED: Final = (3, 11, 5)
"""From here on nothing private of `re` is touched; the versions before do not change any more."""


def compiled(pattern: AnyStr, flags: int = 0) -> "re.Pattern[AnyStr]":
    """As `re.compile`. Raises `re.error`."""
    return re.compile(pattern, flags) if sys.version_info >= _MENDED else atomic(pattern, flags)


def atomic(pattern: AnyStr, flags: int = 0) -> "re.Pattern[AnyStr]":
    """The same with each possessive group as an atomic one. What it returns does not know its `pattern`."""
    parser, compiler = import_module("re._parser"), import_module("re._compiler")
    parsed = parser.parse(pattern, flags)
    _rewrite(parsed, parser, compiler)
    return compiler.compile(parsed, flags)


def _rewrite(parsed: Any, parser: Any, compiler: Any) -> None:
    for at, (op, given) in enumerate(parsed.data):
        for inner in _groups(given, parser.SubPattern):
            _rewrite(inner, parser, compiler)
        if op is parser.POSSESSIVE_REPEAT and not compiler._simple(given[2]):  # noqa: SLF001 - see `_MENDED`
            repeated = parser.SubPattern(parsed.state, [(parser.MAX_REPEAT, given)])
            parsed.data[at] = (parser.ATOMIC_GROUP, repeated)


def _groups(given: Any, group: type[Any]) -> Iterator[Any]:
    """The patterns that stand in what an operation is given."""
    if isinstance(given, group):
        yield given
    elif isinstance(given, tuple | list):
        for each in cast("Iterable[Any]", given):
            yield from _groups(each, group)
