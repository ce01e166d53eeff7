"""Tools by name and tag: how a clause or a guard says which tools it means."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

_SPACE: Final = re.compile(r"\.|__|[/:]")
"""What ends the name of a server or namespace: `files.read`, `mcp__files__read`, `files/read`, `files:read`."""

_MOST_SPACES: Final = 16
_LONGEST_NAME: Final = 1024
"""Characters from the end of a name that are looked at; no provider takes a longer one."""

ToolTag: TypeAlias = Literal["read", "write", "outbound", "money", "irreversible", "code_exec", "auth"]


class Tools(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some tools: those with any of the tags, and those with any of the names."""

    tags: tuple[ToolTag, ...] = ()
    """Tags from the configuration; an untagged tool counts as `write`."""

    names: tuple[str, ...] = ()
    """Names; `*` stands for any run of characters. A name means every server's tool: `read` is `files.read` too."""

    def __bool__(self) -> bool:
        """Whether anything is named at all."""
        return bool(self.tags or self.names)

    def cover(self, tool: str | None, tags: frozenset[str]) -> bool:
        """Whether a tool of this name and with these tags is meant."""
        return not tags.isdisjoint(self.tags) or any(tool_matches(name, tool or "") for name in self.names)


class ToolSelector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tools a clause is about: any of the tags, or any of the names (`*` stands for any run of characters).

    A name means the tool of every server and namespace: `launch*` is also `s.launch` and `mcp__s__launch`.
    """

    tags: tuple[ToolTag, ...] = ()
    """Tools that carry at least one of these."""

    names: tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...] = ()
    """Tools with one of these names."""


def within(tool: str) -> Iterator[str]:
    """What a tool is called inside of each namespace that its name begins with; the outermost first, at most 16."""
    name = tool[-_LONGEST_NAME:]
    for found in list(_SPACE.finditer(name))[-_MOST_SPACES:]:
        if found.end() < len(name):
            yield name[found.end() :]


def tool_matches(pattern: str, tool: str) -> bool:
    """Whether a tool is meant by a pattern, by its whole name or by what it is called inside of a namespace."""
    return name_matches(pattern, tool) or any(name_matches(pattern, name) for name in within(tool))


def name_matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern in which `*` stands for any run of characters, and all else for itself."""
    if "*" not in pattern:
        return pattern == name
    first, *middle, last = pattern.split("*")
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        at = name.find(piece, at, end) + len(piece)
        if at < len(piece):
            return False
    return True
