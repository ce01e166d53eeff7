"""The server that the protocol authors' suite wants to see, made with the official SDK: `... conformance_server PORT`.

Names and texts are the suite's. It speaks the revision of 2026-07-28, in which a server asks by its results.
"""

import base64
import json
import sys
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    AudioContent,
    CallToolResult,
    Completion,
    ContentBlock,
    CreateMessageRequest,
    ElicitRequest,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    TextContent,
    TextResourceContents,
)

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="

server = MCPServer("conformance")


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def held(uri: str, words: str, kind: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=kind, text=words))


def gives(name: str, *blocks: ContentBlock) -> None:
    """A tool that always gives the same."""

    async def tool() -> CallToolResult:
        return CallToolResult(content=[*blocks])

    server.add_tool(tool, name=name, description=f"Gives what `{name}` is about.", structured_output=False)


image = ImageContent(type="image", data=PICTURE, mime_type="image/png")
gives("test_simple_text", text("This is a simple text response for testing."))
gives("test_image_content", image)
gives("test_audio_content", AudioContent(type="audio", data=SOUND, mime_type="audio/wav"))
gives("test_embedded_resource", held("test://embedded-resource", "This is an embedded resource content."))
mixed = held("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
gives("test_multiple_content_types", text("Multiple content types test:"), image, mixed)


@server.tool(structured_output=False)
def test_error_handling() -> str:
    """Fails."""
    raise ToolError("This tool intentionally returns an error for testing")


@server.tool(structured_output=False)
async def test_tool_with_progress(ctx: Context) -> str:
    """Tells of its progress."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"Completed step {done} of 100")
    return "Done."


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    """A picture."""
    return base64.b64decode(PICTURE)


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str:  # noqa: A002 - the suite's name
    """What an id stands for."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@server.prompt()
def test_simple_prompt() -> str:
    """A prompt."""
    return "This is a simple prompt for testing."


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt of two words."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@server.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[Any]:  # noqa: N803 - the suite's name
    """A prompt that holds a resource."""
    resource = held(resourceUri, "Embedded resource content for testing.")
    words = text("Please process the embedded resource above.")
    return [UserMessage(resource), UserMessage(words)]


@server.prompt()
def test_prompt_with_image() -> list[Any]:
    """A prompt that holds a picture."""
    return [UserMessage(image), UserMessage(text("Please analyze the image above."))]


@server.completion()
async def completion(*_: Any) -> Completion:
    """Completes nothing."""
    return Completion(values=[], total=0, has_more=False)


def form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest.model_validate(
        {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}
    )


def sampled(message: str, most: int) -> CreateMessageRequest:
    said = {"messages": [{"role": "user", "content": {"type": "text", "text": message}}], "maxTokens": most}
    return CreateMessageRequest.model_validate({"method": "sampling/createMessage", "params": said})


def roots() -> ListRootsRequest:
    return ListRootsRequest.model_validate({"method": "roots/list", "params": {}})


def asks(name: str, *, state: bool = False, says: str = "Thank you.", **wanted: Any) -> None:
    """A tool that wants these answers before it gives anything; `state`: and remembers by what its client holds."""

    async def tool(ctx: Context) -> CallToolResult | InputRequiredResult:
        answers = ctx.input_responses or {}
        if not set(wanted) <= set(answers) or (state and ctx.request_state != name):
            return InputRequiredResult(input_requests=wanted, request_state=name if state else None)
        return CallToolResult(content=[text(f"{says} {json.dumps(readable(answers))}")])

    server.add_tool(tool, name=name, description="Asks first.", structured_output=False)


def readable(answers: Any) -> dict[str, Any]:
    return {key: answer.model_dump(mode="json", exclude_none=True) for key, answer in answers.items()}


ANY = "test_input_required_result_"
asks(f"{ANY}elicitation", says="Hello,", user_name=form("What is your name?", "name"))
asks(f"{ANY}sampling", capital_question=sampled("What is the capital of France?", 100))
asks(f"{ANY}list_roots", client_roots=roots())
asks(f"{ANY}request_state", state=True, says="state-ok", confirm=form("Please confirm", "ok", "boolean"))
asks(f"{ANY}tampered_state", state=True, confirm=form("Please confirm", "ok", "boolean"))
asks(
    f"{ANY}multiple_inputs",
    state=True,
    user_name=form("What is your name?", "name"),
    greeting=sampled("Generate a greeting", 50),
    client_roots=roots(),
)


@server.tool(name=f"{ANY}multi_round", structured_output=False)
async def multi_round(ctx: Context) -> CallToolResult | InputRequiredResult:
    """Asks twice, one after the other."""
    answers = ctx.input_responses or {}
    if ctx.request_state == "second" and "step2" in answers:
        return CallToolResult(content=[text("Both steps are done.")])
    if ctx.request_state == "first" and "step1" in answers:
        second = form("Step 2: What is your favorite color?", "color")
        return InputRequiredResult(input_requests={"step2": second}, request_state="second")
    return InputRequiredResult(
        input_requests={"step1": form("Step 1: What is your name?", "name")}, request_state="first"
    )


@server.tool(name=f"{ANY}capabilities", structured_output=False)
async def capabilities(ctx: Context) -> CallToolResult | InputRequiredResult:
    """Asks only for what its client can do."""
    can = ctx.client_capabilities
    wanted = {
        "user_name": form("What is your name?", "name") if can and can.elicitation else None,
        "greeting": sampled("Generate a greeting", 50) if can and can.sampling else None,
    }
    known = {key: value for key, value in wanted.items() if value is not None}
    if known and not set(known) <= set(ctx.input_responses or {}):
        return InputRequiredResult(input_requests=known)
    return CallToolResult(content=[text("Nothing more is needed.")])


@server.prompt(name=f"{ANY}prompt")
async def asking_prompt(ctx: Context) -> list[Any] | InputRequiredResult:
    """A prompt that asks what it is about."""
    answer = (ctx.input_responses or {}).get("user_context")
    if not isinstance(answer, ElicitResult):
        wanted = form("What context should the prompt use?", "context")
        return InputRequiredResult(input_requests={"user_context": wanted})
    return [UserMessage(f"Use this context: {json.dumps(answer.content)}")]


if __name__ == "__main__":
    server.run("streamable-http", port=int(sys.argv[1]))
