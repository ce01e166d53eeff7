"""MCP servers: what their tools were when they were accepted and what they are now, and logins at them.

Servers are shared by apps, so this is for those who see every app.
"""

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import actor_of, refuse_one_app, requires
from gateway.api.ports import Desk, Logins, PinReader
from policies.vocabulary.grants import LoginAnswer
from policies.vocabulary.holds import Review
from policies.vocabulary.keys import Principal


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who decides."""

    by: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """Who decided, where the key does not say it."""


class LoginBegun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person is about to log in."""

    redirect_uri: Annotated[str, Meta(pattern=r"^http://(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}/[a-z]*$")]
    """Where the person's browser comes back to: on the person's own machine."""

    by: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """Who it is, where the key does not say it."""


class LoginEnded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the browser brought back."""

    code: Annotated[str, Meta(min_length=1, max_length=4096)]
    state: Annotated[str, Meta(min_length=1, max_length=256)]
    iss: Annotated[str, Meta(max_length=2048)] | None = None

    def __repr__(self) -> str:
        return "LoginEnded(...)"


@post("/api/mcp/servers/{server:str}/login", opt=requires("admin"), status_code=200)
async def begin_login(
    server: FromPath[str],
    data: JSONBody[LoginBegun],
    logins: NamedDependency[SkipValidation[Logins]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.LoginPlace:
    """Begin a login of the gateway at an MCP server with `oauth = "login"`; the tokens will stay with the gateway."""
    review = Review(actor=actor_of(principal), by=data.by)
    return answers.LoginPlace(url=await logins.begin(server, redirect_uri=data.redirect_uri, review=review))


@post("/api/mcp/servers/{server:str}/login/finish", opt=requires("admin"), status_code=200)
async def finish_login(
    server: FromPath[str], data: JSONBody[LoginEnded], logins: NamedDependency[SkipValidation[Logins]]
) -> answers.LoginDone:
    """End it with what the person's browser brought back."""
    await logins.finish(server, LoginAnswer(code=data.code, state=data.state, iss=data.iss))
    return answers.LoginDone(server=server)


@post("/api/mcp/servers/{server:str}/logout", opt=requires("admin"), status_code=200)
async def log_out(
    server: FromPath[str],
    data: JSONBody[Acceptance],
    logins: NamedDependency[SkipValidation[Logins]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.LoginDone:
    """Destroy the gateway's tokens for an MCP server."""
    await logins.forget(server, Review(actor=actor_of(principal), by=data.by))
    return answers.LoginDone(server=server)


@get("/api/mcp/tools", opt=requires("auditor"), sync_to_thread=True)
def list_tools(
    pins: NamedDependency[SkipValidation[PinReader]],
    principal: NamedDependency[SkipValidation[Principal]],
    only: Annotated[Literal["changed"] | None, QueryParameter(description="Only tools that wait for a person.")] = None,
) -> answers.ToolList:
    """Tools of every MCP server, by server and name."""
    refuse_one_app(principal)
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
