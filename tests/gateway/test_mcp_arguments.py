"""What a clause takes out of a call at a tool server: the call is made without it, and otherwise as it was written."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider
from tests.gateway.house import standing
from tests.gateway.tool_house import ToolHouse, table

POLICY = """
[policy]
id = "letters"
description = "What letters may say."

[[clause]]
id = "no-code-name"
text = "The code name stands in no call."
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "pattern", rules = [{ id = "name", pattern = 'bluebird-[0-9]+' }] }]
action = [{ at = 75, do = "redact" }]
reason = "sensitive_data"
on_error = "reject"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "note", args = { text = "bluebird-1" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "note", args = { text = "a bird" } }]
"""


def echo(seen: SeenRequest) -> Answer:
    """A server whose tools answer with the message they got."""
    value = json.loads(seen.body)
    block = {"type": "text", "text": seen.body.decode()}
    said = json.dumps({"jsonrpc": "2.0", "id": value["id"], "result": {"content": [block]}})
    return Answer(headers=((b"content-type", b"application/json"),), body=(said.encode(),))


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHouse]:
    folder: Path = tmp_path_factory.mktemp("letters")
    (folder / "letters.toml").write_text(POLICY)
    app = f"\n[app.default]\npolicy = [{json.dumps(str(folder / 'letters.toml'))}]\nenforce = true\n"
    with (
        BackgroundProvider(echo) as server,
        standing(folder, more=app + table("odd", url=f"{server.url}/mcp")) as house,
    ):
        yield ToolHouse(house, folder / "stepwarden.toml")


CALL = '"method":"tools/call","params":{"name":"no\\u0074e","arguments":'


@pytest.mark.parametrize(
    "message",
    [
        '{"id":1, "jsonrpc":"2.0",' + CALL + '{"a": 1.0, "t":"%s \\u00e9"}}}',
        '{"jsonrpc":"2.0",' + CALL + '{"l":["x",{"t":"a %s"}]}},"id":"7"}',
        '{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"house://%s/x"}}',
        '{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{"name":"greet","arguments":{"who":"%s"}}}',
    ],
)
def test_the_server_gets_the_call_without_it_and_every_other_byte(tools: ToolHouse, message: str) -> None:
    answer = tools.post("odd", (message % "bluebird-1234").encode())
    assert dict(answer.headers)[b"stepwarden-verdict"] == b"redact"
    assert json.loads(answer.body)["result"]["content"][0]["text"] == message % "[redacted:name]"
