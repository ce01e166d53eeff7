"""The trail: what came before the step that is judged, as far as this wire showed it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from policies.tools import within
from policies.vocabulary.steps import Part

UNTAGGED: Final = frozenset({"write"})
"""An untagged tool counts as one that writes."""


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of one branch before the judged one, oldest first."""

    parts: tuple[Part, ...] = ()
    times: tuple[int, ...] = ()
    """When each part was seen, Unix epoch, nanoseconds; as long as `parts`, or empty where nobody noted it."""

    partial: bool = False
    """True where the beginning is missing: too long to keep, or held by the provider alone."""

    tags: Mapping[str, frozenset[str]] = {}
    """Tags of tools, by name, from the configuration."""

    def tags_of(self, tool: str | None) -> frozenset[str]:
        """The tags of a tool. A namesake of a tagged one, on some server, may do as much, but is not known to read."""
        name = tool or ""
        found = self.tags.get(name)
        if found is None and self.tags:
            found = next((self.tags[inner] - {"read"} | UNTAGGED for inner in within(name) if inner in self.tags), None)
        return UNTAGGED if found is None else found


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard is shown: one step, and what came before it."""

    step: Part
    trail: Trail = Trail()


def answered(parts: Sequence[Part]) -> dict[int, int]:
    """Places of what came of calls, each with that of its call: of equal ids the last before it.

    Some servers give each turn's calls the same ids again.
    """
    calls: dict[str, int] = {}
    found: dict[int, int] = {}
    for at, part in enumerate(parts):
        if part.call_id is None:
            continue
        if part.kind == "tool_call":
            calls[part.call_id] = at
        elif part.call_id in calls:
            found[at] = calls[part.call_id]
    return found


def arguments(step: Part) -> Any:
    """The arguments of a `tool_call` as parsed JSON; None where they are not JSON, or nest too deeply."""
    try:
        return msgspec.json.decode(step.text) if step.text.strip() else {}
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def utf8(text: str) -> bytes:
    """The bytes that evidence counts in: UTF-8, lone surrogates passed through."""
    return text.encode("utf-8", "surrogatepass")
