"""Tools of MCP servers: what they were when they were accepted, what they are now, and a person's word on it.

Servers are shared by apps, so this is for those who see every app.
"""

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import actor_of, requires
from gateway.api.ports import Desk, PinReader
from policies.vocabulary.holds import Review
from policies.vocabulary.keys import Principal


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who accepts a tool as it is now."""

    by: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """Who decided, where the key does not say it."""


@get("/api/mcp/tools", opt=requires("admin"), sync_to_thread=True)
def list_tools(
    pins: NamedDependency[SkipValidation[PinReader]],
    only: Annotated[Literal["changed"] | None, QueryParameter(description="Only tools that wait for a person.")] = None,
) -> answers.ToolList:
    """Tools of every MCP server, by server and name."""
    found = pins.list()
    return answers.ToolList(tools=tuple(answers.Tool.of(pin) for pin in found if only in (None, pin.state)))


@post("/api/mcp/tools/{server:str}/{tool:str}/approve", opt=requires("admin"), status_code=200)
async def approve_tool(
    server: FromPath[str],
    tool: FromPath[str],
    data: JSONBody[Acceptance],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Tool:
    """Accept a tool as it is now: from here on it is shown and can be called."""
    review = Review(actor=actor_of(principal), by=data.by)
    return answers.Tool.of(await desk.approve_tool(server, tool, review))
