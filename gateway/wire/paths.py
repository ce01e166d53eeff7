"""Paths as servers tend to read them: every spelling of one path gives the same segments."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_VERSION: Final = re.compile(r"v\d+(beta)?")
_ROUNDS: Final = 3
_REMEMBERED: Final = 256
"""Longest path worth remembering, characters: callers choose paths, and memory must stay small."""


def segments(path: str) -> tuple[str, ...]:
    """The path's names, lower case, decoded, without empty ones, `.` and `..`, query, or a leading version."""
    return _known(path) if len(path) <= _REMEMBERED else _split(path)


def _split(path: str) -> tuple[str, ...]:
    path = path.partition("?")[0].partition("#")[0]
    for _ in range(_ROUNDS):  # `%256d` is `m` to a server behind another that decodes
        if "%" not in path:
            break
        path = unquote(path, errors="replace")
    found: list[str] = []
    for name in path.replace("\\", "/").lower().split("/"):
        name = name.partition(";")[0].strip()  # noqa: PLW2901 - servlet-style parameters belong to no name
        if name == "..":
            del found[-1:]
        elif name and name != ".":
            found.append(name)
    if found and _VERSION.fullmatch(found[0]):
        del found[0]
    return tuple(found)


_known = lru_cache(maxsize=1024)(_split)
