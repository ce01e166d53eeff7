"""Claude Code and Codex at work through a gateway process, unmodified, offline, each on a task of one tool call.

What these products put into their prompts is theirs: it is compared in memory and never written down.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.headless import CLAUDE_CODE, CODEX, CODEX_BUILT_IN, NOTE, Agent
from tests.e2e.house import House, Recorded
from tests.e2e.talk import Exchange, differences, pairs
from tests.fakes.gateway import GatewayProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
AGENTS = {agent.name: agent for agent in (CLAUDE_CODE, CODEX, CODEX_BUILT_IN)}
STEPS = {"instructions", "tool_definitions", "user_input", "model_text", "tool_call", "tool_result"}
EXPECTED = {"claudecode": STEPS, "codex": STEPS | {"reasoning"}, "codexbuiltin": STEPS | {"reasoning"}}


def work(house: House, agent: Agent, home: Path) -> Recorded:
    """The agent's task, without the gateway and through it; its events must be the same."""
    with house.direct(agent.scripts) as place:
        direct = agent.work(place, home)
    with house.through(agent.scripts) as (place, recorded):
        through = agent.work(place, home)
    assert NOTE in json.dumps(through)
    assert _told(through) == _told(direct)
    return recorded


def _told(events: Sequence[object]) -> list[str]:
    """The events in order, as far as the provider has a say in them: not how often a connection was tried."""
    told = [json.dumps(event, sort_keys=True) for event in events]
    return [text for text in told if "Reconnecting" not in text and "Falling back" not in text]


def turns(recorded: Recorded) -> list[Exchange]:
    return [each for each in recorded.front if each.request.method == b"POST"]


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_a_headless_agent_does_its_task_with_every_byte_as_it_was(house: House, tmp_path: Path, name: str) -> None:
    recorded = work(house, AGENTS[name], tmp_path / "home")
    upgrades = [each for each in recorded.front if any(key == b"upgrade" for key, _ in each.request.headers)]
    assert [each.response and each.response.status for each in upgrades] == [426] * len(upgrades)
    assert len(turns(recorded)) >= 2
    assert differences(pairs([each for each in recorded.front if each not in upgrades], recorded.back)) == []


def test_codex_gives_up_its_websocket_at_once(house: House, tmp_path: Path) -> None:
    recorded = work(house, CODEX_BUILT_IN, tmp_path / "home")
    assert [each.request.method for each in recorded.front][:2] == [b"GET", b"POST"]
    assert sum(each.request.method == b"GET" and b"/responses" in each.request.target for each in recorded.front) == 1


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_a_headless_agents_run_is_recorded_as_one_session(house: House, tmp_path: Path, name: str) -> None:
    assert house.gateway
    recorded = work(house, AGENTS[name], tmp_path / "home")
    sessions = {each.response.header("stepwarden-session") for each in turns(recorded) if each.response}
    assert len(sessions) == 1
    found = sessions.pop()
    assert found
    session = recorded_session(house.gateway, found.decode(), exchanges=len(turns(recorded)))
    assert {step["kind"] for step in session["steps"]} == EXPECTED[name]
    assert sum(step["kind"] == "tool_call" for step in session["steps"]) == 1
    assert sum(step["kind"] == "tool_result" for step in session["steps"]) == 1


def recorded_session(gateway: GatewayProcess, session_id: str, *, exchanges: int) -> dict[str, list[dict[str, str]]]:
    """The session as the CLI shows it, once all its exchanges are stored; each try takes as long as a command takes."""
    for _ in range(20):
        listed = gateway.command("sessions", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        row = next((row for row in json.loads(listed.stdout)["sessions"] if row["session_id"] == session_id), None)
        if row and row["exchanges"] == exchanges:
            shown = gateway.command("sessions", "show", session_id, "--json")
            assert shown.returncode == 0, shown.stderr
            return json.loads(shown.stdout)
    raise AssertionError(f"{session_id} with {exchanges} exchanges was never listed; last: {listed.stdout[:2000]}")
