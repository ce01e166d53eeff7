"""Answers about tools of MCP servers."""

import msgspec

from gateway.mcp.definitions import proposed_tags
from gateway.times import rfc3339
from policies.tools import ToolTag
from policies.vocabulary import pins


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One tool of an MCP server."""

    server: str
    tool: str
    state: pins.PinState
    definition: str
    """JSON, as it was accepted."""

    proposed: str | None
    """JSON, as it is now; null where that is the same."""

    tags: tuple[ToolTag, ...]
    """What its annotations suggest: the server's own word, for a person to confirm in a [tool.NAME] table."""

    seen_at: str
    """When it was first seen, approved or changed, whichever was last."""

    approved_by: str | None

    @classmethod
    def of(cls, pin: pins.ToolPin) -> "Tool":
        """As it is shown."""
        return cls(
            server=pin.server,
            tool=pin.tool,
            state=pin.state,
            definition=pin.definition,
            proposed=pin.proposed,
            tags=proposed_tags(pin.proposed or pin.definition),
            seen_at=rfc3339(pin.seen_ns),
            approved_by=pin.approved_by,
        )


class ToolList(msgspec.Struct, frozen=True, kw_only=True):
    """Tools of MCP servers."""

    tools: tuple[Tool, ...]


class LoginPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person logs in."""

    url: str


class LoginDone(msgspec.Struct, frozen=True, kw_only=True):
    """A server to which the gateway was let in, or from which it was taken away."""

    server: str
