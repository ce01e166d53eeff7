"""Tools witnessed: the official SDK's clients and servers work through the gateway, and clauses act on what passes."""

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import mcp
import pytest
from mcp_types import CreateMessageResult, ElicitResult, ResourceListChangedNotification, TextContent

from tests.gateway.house import waited
from tests.gateway.tool_house import OFFICIAL, Clients, ToolHouse, run, table, tool_house, tool_server, words

WAYS = [(server, mode) for server in ("web", "plain", "pipe") for mode in ("legacy", "auto")]
every_way = pytest.mark.parametrize(("server", "mode"), WAYS, ids=[f"{server}-{mode}" for server, mode in WAYS])


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHouse]:
    with tool_server() as web, tool_server("json") as plain:
        more = table("web", url=web) + table("plain", url=plain) + table("pipe", command=[*OFFICIAL, "stdio"])
        more += table("few", url=web, tools=["get_*"]) + table("theirs", url=web, apps=["mail"]) + "\n[app.mail]\n"
        with tool_house(tmp_path_factory.mktemp("tools"), more=more) as house:
            yield house


@pytest.fixture(scope="module")
def clients(tools: ToolHouse) -> Iterator[Clients]:
    with tools.clients() as opened:
        yield opened


@every_way
def test_a_client_of_the_official_sdk_lists_calls_reads_and_prompts(clients: Clients, server: str, mode: str) -> None:
    async def work(client: mcp.Client) -> tuple[Any, ...]:
        listed = await client.list_tools()
        called = await client.call_tool("get_weather", {"city": "Rome"})
        failed = await client.call_tool("fail", {})
        return listed, called, failed, await client.list_resources(), await client.list_prompts()

    listed, called, failed, resources, prompts = clients.run(server, mode, work)
    assert {"get_weather", "send_email", "slow"} <= {tool.name for tool in listed.tools}
    assert not called.is_error
    assert words(called).startswith("It is sunny in Rome")
    assert failed.is_error
    assert {resource.name for resource in resources.resources} == {"notes", "page"}
    assert {prompt.name for prompt in prompts.prompts} == {"greet", "page_prompt"}


@every_way
def test_a_rejected_call_never_reaches_the_server_and_is_a_failed_call_to_the_client(
    clients: Clients, server: str, mode: str
) -> None:
    launched, before = clients.call(server, mode, ("launch", {"at": "noon"}), ("called", {}))
    assert launched.is_error
    assert "This tool call was not run" in words(launched)
    assert "action_not_allowed" in words(launched)
    assert launched.meta["stepwarden/reason"] == "action_not_allowed"
    assert "launch" not in words(before)


@every_way
def test_a_result_is_redacted_in_its_text_and_in_its_structure(clients: Clients, server: str, mode: str) -> None:
    plain, facts = clients.call(server, mode, ("code_name", {}), ("code_facts", {}))
    assert words(plain) == "The code name is [redacted:name]."
    assert facts.structured_content == {"name": "[redacted:name]"}
    assert "bluebird" not in words(facts)


@every_way
def test_progress_of_a_tool_reaches_its_caller(clients: Clients, server: str, mode: str) -> None:
    seen: list[float] = []

    async def told(progress: float, _total: float | None, _message: str | None) -> None:
        seen.append(progress)

    async def work(client: mcp.Client) -> Any:
        return await client.call_tool("slow", {"seconds": 0.1}, progress_callback=told)

    assert words(clients.run(server, mode, work)) == "Done."
    assert seen == [1.0] or server == "plain"  # a server that answers with one document tells of no progress


@every_way
def test_what_cannot_be_read_passes_and_is_flagged(clients: Clients, server: str, mode: str) -> None:
    (picture,) = clients.call(server, mode, ("picture", {}))
    assert [block.type for block in picture.content] == ["text", "image"]
    assert picture.content[1].data == "aGVsbG8="


@every_way
def test_a_large_result_passes_whole(clients: Clients, server: str, mode: str) -> None:
    (large,) = clients.call(server, mode, ("large", {"size": 300_000}))
    assert words(large) == "x" * 300_000


@every_way
def test_a_held_call_goes_on_once_a_person_approves(clients: Clients, server: str, mode: str) -> None:
    who, control = f"{server}-{mode}", clients.tools.house.control

    def approve() -> None:
        def waiting() -> str | None:
            listed = json.loads(control("/api/holds?only=waiting")[1])["holds"]
            return next((each["hold_id"] for each in listed if who in each["text"]), None)

        status, _ = control(f"/api/holds/{waited(waiting)}/approve", method="POST", body={"by": "Ann"})
        assert status == 200

    person = threading.Thread(target=approve)
    person.start()
    (paid,) = clients.call(server, mode, ("pay", {"to": who}))
    person.join()
    assert words(paid) == f"Paid {who}."


@pytest.mark.parametrize("server", ["web", "pipe"])
def test_what_a_server_asks_of_its_client_while_it_works_passes_both_ways(tools: ToolHouse, server: str) -> None:
    async def model(_context: Any, _params: Any) -> CreateMessageResult:
        content = TextContent(type="text", text="Yes, here.")
        return CreateMessageResult(role="assistant", content=content, model="house")

    async def person(_context: Any, _params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ann"})

    nudged = asyncio.Event()

    async def heard(said: Any) -> None:
        if isinstance(said, ResourceListChangedNotification):
            nudged.set()

    async def work() -> list[Any]:
        asked = {"sampling_callback": model, "elicitation_callback": person, "message_handler": heard}
        async with tools.client(server, "legacy", **asked) as client:
            # The client opens the stream for what belongs to no call beside its first calls, and until it is open a
            # server's words on it are lost.
            times = itertools.count()
            while not nudged.is_set():
                await client.call_tool("nudge", {"time": next(times)})
            return [await client.call_tool("ask_model", {}), await client.call_tool("ask_person", {})]

    assert [words(each) for each in run(work)] == ["It said: Yes, here.", "Hello Ann."]


def test_a_pair_is_recorded_with_its_steps_as_they_were_seen(tools: ToolHouse) -> None:
    with tools.clients() as clients:
        clients.call("web", "auto", ("get_weather", {"city": "Bern"}))

    def found() -> dict[str, Any] | None:
        for each in tools.exchanges("web"):
            if each["operation"] == "tools/call":
                steps = tools.house.facts(each["exchange_id"])["steps"]
                if any("Bern" in (step["text"] or "") for step in steps):
                    return {**each, "steps": steps}
        return None

    pair = waited(found)
    assert (pair["dialect"], pair["outcome"], pair["status"]) == ("mcp", "complete", 200)
    asked, brought = pair["steps"]
    assert (asked["kind"], asked["fidelity"], asked["tool"]) == ("tool_call", "witnessed", "get_weather")
    assert (brought["kind"], brought["fidelity"], brought["tool"]) == ("tool_result", "witnessed", "get_weather")
    assert asked["text"] == '{"city":"Bern"}'
    assert "It is sunny in Bern" in brought["text"]
    assert asked["call_id"] == brought["call_id"]


def test_only_tools_that_are_named_are_listed_and_called(tools: ToolHouse) -> None:
    async def work() -> tuple[Any, Any]:
        async with tools.client("few", "auto") as client:
            return await client.list_tools(), await client.call_tool("send_email", {"to": "a@b.example", "body": ""})

    listed, sent = run(work)
    assert [tool.name for tool in listed.tools] == ["get_weather"]
    assert sent.is_error
    assert "tool_not_declared" in words(sent)


def test_a_server_of_another_app_is_not_there(tools: ToolHouse) -> None:
    answer = tools.post("theirs", b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    unknown = tools.post("nobody", b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert answer.status == unknown.status == 404
    assert json.loads(answer.body)["error"]["data"]["stepwarden/reason"] == "unknown_server"


SHAPES = {
    **{shape: ("call_tool", (f"page_{shape}", {})) for shape in ("text", "facts", "link", "within", "error")},
    "resource": ("read_resource", ("house://page",)),
    "prompt": ("get_prompt", ("page_prompt",)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("server", ["web", "plain", "pipe"])
def test_orders_that_a_server_brings_lead_to_no_act(clients: Clients, server: str, shape: str) -> None:
    """The address that only a poisoned page named is not written to, in whatever shape the page came; others are."""
    method, arguments = SHAPES[shape]

    def letter(to: str) -> tuple[str, dict[str, Any]]:
        return "send_email", {"to": to, "body": "Dinner at eight?"}

    async def read(client: mcp.Client) -> None:
        await getattr(client, method)(*arguments)

    clients.run(server, "legacy", read)
    poisoned, honest = letter(f"attacker@{shape}.example"), letter(f"ann@{shape}-house.example")
    before, rejected, sent, after = clients.call(server, "legacy", ("called", {}), poisoned, honest, ("called", {}))
    assert rejected.is_error
    assert "Reason: " in words(rejected)
    assert words(sent) == f"Sent to ann@{shape}-house.example."
    assert words(after).count("send_email") == words(before).count("send_email") + 1
