"""A guard that cannot do its work, over the wire: its clause's `on_error` decides what the agent gets."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from gateway.demo.turns import Call, Turn
from policies.vocabulary.clauses import OnError
from tests.fakes.provider import always, say
from tests.gateway.house import ANTHROPIC, CHAT, DIALECTS, JSON, PATIENT, Dialect, House, fresh, standing
from tests.gateway.rawhttp import request
from tests.gateway.test_never_off import judged
from tests.gateway.test_policies import read

CLAUSE = """
[[clause]]
id = "{outcome}"
text = "Arguments fit their schema."
severity = "low"
steps = ["tool_call"]
tools = {{ names = ["tool_{outcome}"] }}
guards = [{{ kind = "schema" }}]
action = [{{ at = 90, do = "flag" }}]
recover = "refused"
reason = "arguments_invalid"
on_error = "{outcome}"

[[clause.example]]
expect = "violation"
steps = [
  {{ kind = "tool_definitions", tool = "other", text = "Other.", schema = {{ type = "object" }} }},
  {{ kind = "tool_call", tool = "tool_{outcome}", args = {{}} }},
]

[[clause.example]]
expect = "ok"
steps = [
  {{ kind = "tool_definitions", tool = "tool_{outcome}", text = "This.", schema = {{ type = "object" }} }},
  {{ kind = "tool_call", tool = "tool_{outcome}", args = {{}} }},
]
"""
UNUSABLE = {"$ref": "https://schemas.example/elsewhere.json"}
"""A schema that no guard will fetch, so that no call can be held against it."""

OUTCOMES: tuple[OnError, ...] = get_args(OnError)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("on-error")
    head = '[policy]\nid = "house"\ndescription = "Each way to fail."\n'
    (folder / "house.toml").write_text(head + "".join(CLAUSE.format(outcome=outcome) for outcome in OUTCOMES))
    app = f'[app.default]\npolicy = ["{folder / "house.toml"}"]\nenforce = true\n'
    with standing(folder, more=f"{PATIENT}hold_seconds = 0.2\n{app}") as house:
        yield house


def tool(dialect: Dialect, name: str) -> dict[str, Any]:
    if dialect is ANTHROPIC:
        return {"name": name, "description": name, "input_schema": UNUSABLE}
    function = {"name": name, "description": name, "parameters": UNUSABLE}
    return {"type": "function", "function": function} if dialect is CHAT else {"type": "function", **function}


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_call_that_cannot_be_examined_follows_on_error(
    one: House, dialect: Dialect, outcome: OnError, *, stream: bool
) -> None:
    house, name = fresh(one), f"tool_{outcome}"
    turn = Turn(text="Now.", calls=(Call("call_1", name, "{}"),), reply_id="failing01")
    house.provider.script = always(say(dialect.name, turn, streamed=stream))
    body = dialect.request_body(stream=stream, tools=[tool(dialect, name)])
    session = (b"stepwarden-session", f"{dialect.name}-{outcome}-{stream}".encode())
    got = house.ask(request(dialect.target, body, headers=[JSON, dialect.key, session]))
    assert got.status == 200
    calls = [part.tool for part in read(dialect, got, stream=stream).parts if part.kind == "tool_call"]
    assert calls == ([name] if outcome in {"allow", "flag"} else [])
    said = judged(house, got.exchange)["judged"]
    (finding,) = [each for step in said["steps"] for each in step["findings"] if each["clause"] == f"house/{outcome}"]
    assert finding["state"] == "error"
    assert said["verdict"] == outcome
    if outcome == "terminate":
        again = house.ask(request(dialect.target, body, headers=[JSON, dialect.key, session]))
        assert (again.status, "session_terminated" in json.dumps(again.body.decode())) == (400, True)
