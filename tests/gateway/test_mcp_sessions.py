"""What a tool server sees belongs to the session of the model that asked for it, and to no other."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.demo.turns import Call, Turn
from tests.fakes.provider import always, say
from tests.gateway.house import ANTHROPIC, fresh, waited
from tests.gateway.rawhttp import Pairs
from tests.gateway.tool_house import ToolHouse, run, table, tool_house, tool_server, words

GIVEN = "It is sunny in Oslo, and it will stay so for the rest of the week."


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHouse]:
    with tool_server() as web, tool_house(tmp_path_factory.mktemp("sessions"), more=table("web", url=web)) as house:
        yield house


def proposed(
    tools: ToolHouse, name: str, arguments: dict[str, Any], call_id: str, *headers: tuple[bytes, bytes]
) -> str:
    """The session of a model that asks for a call."""
    turn = Turn(text="Let me see.", calls=(Call(call_id, name, json.dumps(arguments)),), reply_id=f"re{call_id}")
    fresh(tools.house).provider.script = always(say("anthropic", turn))
    body = ANTHROPIC.request_body(stream=False, messages=[{"role": "user", "content": f"What about {call_id}?"}])
    answer = tools.house.ask(ANTHROPIC.call(body=body, headers=headers))
    assert answer.status == 200
    return dict(answer.headers)[b"stepwarden-session"].decode()


def told(tools: ToolHouse, arguments: dict[str, Any], call_id: str, result: str, headers: Pairs = ()) -> dict[str, Any]:
    """The recorded exchange in which an agent tells its model what a tool gave."""
    messages = [
        {"role": "user", "content": f"What about {call_id}?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": call_id, "name": "mcp__web__get_weather", "input": arguments},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": result}]},
    ]
    fresh(tools.house)
    answer = tools.house.ask(
        ANTHROPIC.call(body=ANTHROPIC.request_body(stream=False, messages=messages), headers=headers)
    )
    assert answer.status == 200
    exchange = dict(answer.headers)[b"stepwarden-exchange"].decode()
    return {**tools.house.facts(exchange), "exchange_id": exchange}


def called(tools: ToolHouse, arguments: dict[str, Any], **meta: Any) -> dict[str, Any]:
    """The recorded pair of a call of the weather."""

    async def work() -> str:
        async with tools.client("web", "2026-07-28") as client:
            return words(await client.call_tool("get_weather", arguments, meta=meta or None))

    assert "sunny" in run(work)

    def found() -> dict[str, Any] | None:
        for each in tools.exchanges("web"):
            if each["operation"] == "tools/call":
                steps = tools.house.facts(each["exchange_id"])["steps"]
                if arguments["city"] in steps[0]["text"]:
                    return {**each, "steps": steps}
        return None

    return waited(found)


def test_a_call_joins_the_session_whose_model_asked_for_it(tools: ToolHouse) -> None:
    session = proposed(tools, "mcp__web__get_weather", {"city": "Lima"}, "toolu_lima")
    pair = called(tools, {"city": "Lima"})
    assert (pair["join"]["session_id"], pair["join"]["evidence"]) == (session, "pending_call")
    assert {step["call_id"] for step in pair["steps"]} == {"toolu_lima"}


def test_a_call_nobody_asked_for_and_one_that_two_asked_for_join_none(tools: ToolHouse) -> None:
    proposed(tools, "mcp__web__get_weather", {"city": "Kyiv"}, "toolu_kyiv")
    assert called(tools, {"city": "Riga"})["join"]["evidence"] == "none"
    for number in range(2):
        header = (b"stepwarden-session", b"twin-%d" % number)
        proposed(tools, "get_weather", {"city": "Bonn"}, f"toolu_bonn{number}", header)
    assert called(tools, {"city": "Bonn"})["join"]["evidence"] == "none"


def test_a_session_that_is_named_is_joined(tools: ToolHouse) -> None:
    session = proposed(
        tools, "mcp__web__get_weather", {"city": "Graz"}, "toolu_graz", (b"stepwarden-session", b"run-9")
    )
    pair = called(tools, {"city": "Graz"}, **{"stepwarden/session": "run-9"})
    assert (pair["join"]["session_id"], pair["join"]["evidence"]) == (session, "session_header")
    assert pair["steps"][0]["call_id"] == "toolu_graz"


def test_a_trace_joins(tools: ToolHouse) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    session = proposed(tools, "nothing", {}, "toolu_trace", (b"traceparent", trace.encode()))
    pair = called(tools, {"city": "Turin"}, traceparent=trace)
    assert (pair["join"]["session_id"], pair["join"]["evidence"]) == (session, "trace_context")
    assert pair["join"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_result_that_is_told_as_it_was_given_is_witnessed(tools: ToolHouse) -> None:
    arguments = {"city": "Oslo"}
    proposed(tools, "mcp__web__get_weather", arguments, "toolu_oslo")
    called(tools, arguments)
    exchange = told(tools, arguments, "toolu_oslo", GIVEN)
    (step,) = [step for step in exchange["steps"] if step["kind"] == "tool_result"]
    assert step["fidelity"] == "witnessed"
    assert exchange["verdict"] == "allow"


def test_a_result_that_is_told_otherwise_than_it_was_given_is_found(tools: ToolHouse) -> None:
    arguments = {"city": "Genf"}
    proposed(tools, "mcp__web__get_weather", arguments, "toolu_genf")
    called(tools, arguments)
    exchange = told(tools, arguments, "toolu_genf", "A storm will come, and all flights are cancelled until Friday.")
    (step,) = [step for step in exchange["steps"] if step["kind"] == "tool_result"]
    assert step["fidelity"] == "projected"
    assert exchange["verdict"] == "flag"
    shown = tools.house.control(f"/api/exchanges/{exchange['exchange_id']}/explanation")[1]
    assert b"stepwarden/retold" in shown
