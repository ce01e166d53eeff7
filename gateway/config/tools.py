"""The sections `[tool.NAME]`: what is known of tools that agents call."""

import msgspec

from policies.tools import ToolTag


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a tool that agents call."""

    name: str
    """The tool's name as agents call it."""

    tags: tuple[ToolTag, ...] = ()
    """What it can do; a tool without tags counts as one that writes."""
