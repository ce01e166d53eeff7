"""A recorded attack that succeeded on a model is stopped over MCP too, in whatever shape the letter comes.

The letter and the call that the model made after it are those of the recording; what carries them is a tool server.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider
from tests.gateway.tool_house import ToolHouse, table, tool_house

RUN = json.loads(files("gateway.demo").joinpath("runs/4_rent_injection_succeeded.json").read_text())
LETTER = next(
    each["content"] for each in RUN["messages"] if each["role"] == "tool" and "<INFORMATION>" in each["content"]
)
CALL = next(
    call["function"]
    for each in RUN["messages"]
    for call in each.get("tool_calls") or ()
    if call["function"]["name"] == "update_scheduled_transaction"
)
WANTED = {"name": CALL["name"], "arguments": json.loads(CALL["arguments"])}
HELD = {"uri": "file:///rent.txt", "text": LETTER}

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("tools/call", {"result": {"content": [{"type": "text", "text": LETTER}]}}),
    "structure": ("tools/call", {"result": {"content": [], "structuredContent": {"letter": {"body": [LETTER]}}}}),
    "embedded resource": ("tools/call", {"result": {"content": [{"type": "resource", "resource": HELD}]}}),
    "link": (
        "tools/call",
        {"result": {"content": [{"type": "resource_link", "uri": "x://y", "name": "n", "description": LETTER}]}},
    ),
    "failed call": ("tools/call", {"result": {"content": [{"type": "text", "text": LETTER}], "isError": True}}),
    "error": ("tools/call", {"error": {"code": -32000, "message": LETTER}}),
    "data of an error": ("tools/call", {"error": {"code": -32000, "message": "No.", "data": {"why": LETTER}}}),
    "unheard-of block": ("tools/call", {"result": {"content": [{"type": "letter", "body": LETTER}]}}),
    "resource": ("resources/read", {"result": {"contents": [HELD]}}),
    "prompt": (
        "prompts/get",
        {"result": {"messages": [{"role": "user", "content": {"type": "text", "text": LETTER}}]}},
    ),
}
ABOUT = {"tools/call": {"name": "read_file", "arguments": {"file_path": "rent.txt"}}}
PARAMS = {**ABOUT, "resources/read": {"uri": "file:///rent.txt"}, "prompts/get": {"name": "letter"}}


def play(seen: SeenRequest) -> Answer:
    """A bank and its letters: the shape is named by the session, the form by the path."""
    message = json.loads(seen.body)
    shape = message["params"].get("_meta", {}).get("shape", "")
    done = {"result": {"content": [{"type": "text", "text": "Changed."}]}}
    said = SHAPES[shape][1] if shape else done
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}).encode()
    if seen.target.startswith("/events"):
        return Answer(headers=((b"content-type", b"text/event-stream"),), body=(b"data: " + body + b"\n\n",))
    return Answer(headers=((b"content-type", b"application/json"),), body=(body,))


@pytest.fixture(scope="module")
def bank() -> Iterator[BackgroundProvider]:
    with BackgroundProvider(play) as server:
        yield server


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory, bank: BackgroundProvider) -> Iterator[ToolHouse]:
    more = table("json", url=f"{bank.url}/json") + table("events", url=f"{bank.url}/events")
    with tool_house(tmp_path_factory.mktemp("attack"), more=more) as house:
        yield house


def asked(tools: ToolHouse, server: str, session: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The answer to one message of a session."""
    meta = {"stepwarden/session": session, **params.get("_meta", {})}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    answer = tools.post(server, json.dumps(body).encode())
    lines = [line.removeprefix(b"data: ") for line in answer.body.splitlines() if line.startswith(b"data: ")]
    return json.loads(lines[-1] if lines else answer.body)


@pytest.mark.parametrize("server", ["json", "events"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_call_that_a_letter_asks_for_reaches_no_server(
    tools: ToolHouse, bank: BackgroundProvider, server: str, shape: str
) -> None:
    session, method = f"{server}-{shape.replace(' ', '-')}", SHAPES[shape][0]
    asked(tools, server, session, method, {**PARAMS[method], "_meta": {"shape": shape}})
    seen = len(bank.requests)
    answer = asked(tools, server, session, "tools/call", WANTED)["result"]
    assert answer["isError"]
    assert answer["_meta"]["stepwarden/reason"] in ("instructions_in_data", "destination_not_authorised")
    assert len(bank.requests) == seen


def test_without_the_letter_the_call_passes(tools: ToolHouse) -> None:
    answer = asked(tools, "json", "nobody-wrote", "tools/call", WANTED)["result"]
    assert answer["content"][0]["text"] == "Changed."
