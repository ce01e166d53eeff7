"""What real clients do when a policy stops a step: the forbidden tool never runs, they stop or recover, nothing hangs.

The requests that each client sends in each case are what docs/CLIENTS.md tells: one, and another only where the model
goes on with a tool that it may call.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from gateway.demo.turns import Call
from tests.e2e.forbidden import ALLOWED, CASES, WIRES, WORD, asked_in, mark, script, scripts, settings
from tests.e2e.headless import CLAUDE_CODE, CODEX, CODEX_BUILT_IN, Agent
from tests.e2e.house import House, Recorded, open_house
from tests.e2e.programs import Outcomes, Program
from tests.e2e.stage import Moment, Scripted
from tests.e2e.talk import Exchange

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SDKS = {"python": Program("forbidden.py"), "typescript": Program("forbidden.mjs", "node")}
AGENTS = {agent.name: agent for agent in (CLAUDE_CODE, CODEX, CODEX_BUILT_IN)}
Loops: TypeAlias = dict[str, tuple[Outcomes, Recorded]]

every_sdk = pytest.mark.parametrize("sdk", sorted(SDKS))
every_agent = pytest.mark.parametrize("name", sorted(AGENTS))
every_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("strict")
    with open_house(folder, more=settings(folder)) as opened:
        yield opened


@pytest.fixture(scope="module")
def loops(strict: House) -> Loops:
    """Every scene of each SDK's program, played once through the gateway."""
    played: Loops = {}
    for name, program in SDKS.items():
        with strict.through(scripts(WIRES)) as (place, recorded):
            outcomes = program.play(place)
        played[name] = outcomes, recorded
    return played


def statuses(found: list[Exchange]) -> list[int | None]:
    return [each.response.status if each.response else None for each in found]


@every_sdk
def test_in_an_sdks_loop_a_forbidden_tool_never_runs(loops: Loops, sdk: str) -> None:
    outcomes, recorded = loops[sdk]
    assert outcomes.keys() == scripts(WIRES).keys()
    for scene, outcome in outcomes.items():
        onward = scene.endswith("onward")
        found = asked_in(recorded, scene)
        assert len(found) == (2 if onward else 1), (scene, statuses(found))
        assert all(each.response and each.response.whole for each in found), scene
        if "returned" in outcome:
            assert outcome["returned"]["ran"] == ([ALLOWED] if onward else []), (scene, outcome)
        else:  # told by an exception, which ends the loop before any tool runs
            assert scene.endswith(("asked", "chat_stream_refused")), (scene, outcome)


@every_sdk
def test_an_sdk_does_not_ask_again_what_was_refused_before_the_first_byte(loops: Loops, sdk: str) -> None:
    outcomes, recorded = loops[sdk]
    for scene in (scene for scene in outcomes if scene.endswith("asked")):
        assert statuses(asked_in(recorded, scene)) == [400], scene
        assert outcomes[scene]["raised"] == "BadRequestError", outcomes[scene]
        assert outcomes[scene]["status"] == 400
        assert "[Stepwarden: " in outcomes[scene]["text"]


@every_sdk
def test_how_an_sdks_loop_ends_is_what_its_api_calls_an_ending(loops: Loops, sdk: str) -> None:
    outcomes, _ = loops[sdk]
    refused = {"anthropic": "refusal", "chat": "content_filter", "responses": "failed"}
    usual = {"anthropic": "end_turn", "chat": "stop", "responses": "completed"}
    for scene, outcome in outcomes.items():
        wire, _, case = scene.split("_")
        if "raised" in outcome:
            assert outcome["raised"] == ("BadRequestError" if case == "asked" else "ContentFilterFinishReasonError")
            continue
        assert outcome["returned"]["ended"] == (refused if case == "refused" else usual)[wire], (scene, outcome)
        if case == "insisting":
            assert "[Stepwarden: " in outcome["returned"]["said"], (scene, outcome)


def test_without_the_gateway_the_same_loops_do_run_it(strict: House) -> None:
    with strict.direct(scripts(WIRES)) as place:
        outcomes = SDKS["python"].play(place, "anthropic_json_answered", "chat_stream_insisting")
    assert outcomes["anthropic_json_answered"]["returned"]["ran"] == ["rule-answered"]
    assert outcomes["chat_stream_insisting"]["returned"]["ran"] == ["rule-answered"] * 6


PATH = re.compile(rb"Touch (/[\w/.-]+)")


def deeds(agent: Agent, case: str) -> dict[str, Scripted]:
    """A model that has the agent touch a file, `ran`; in `onward` a file beside it, once the first was forbidden."""

    def touch(moment: Moment) -> Call:
        found = PATH.search(moment.request.body)
        assert found
        said = mark(case, moment.number)
        command = f"touch {found[1].decode()}{'.allowed' if said == ALLOWED else ''} # {said}"
        if moment.asked.wire == "anthropic":
            return Call(f"toolu_01deed{moment.number}", "Bash", f'{{"command": "{command}", "description": "Touch"}}')
        return Call(f"call_deed{moment.number}", "exec_command", f'{{"cmd": "{command}"}}')

    return {f"{agent.name}_{case}": script(case, touch)}


def task(agent: Agent, case: str, ran: Path) -> str:
    return f"scene:{agent.name}_{case} Touch {ran} and tell me{f', {WORD}' if case == 'asked' else ''}."


@every_agent
@every_case
def test_a_headless_agent_never_runs_what_is_forbidden_and_comes_to_an_end(
    strict: House, tmp_path: Path, name: str, case: str
) -> None:
    agent, ran = AGENTS[name], tmp_path / "ran"
    with strict.through(deeds(agent, case)) as (place, recorded):
        done = agent.run(place, tmp_path / "home", task(agent, case, ran))
    found = asked_in(recorded, f"{name}_{case}")
    assert not ran.exists()
    assert ran.with_name("ran.allowed").exists() == (case == "onward")
    assert len(found) == (2 if case == "onward" else 1), statuses(found)
    assert (done.returncode == 0) == (case not in {"refused", "asked"}), done.stdout[-3000:]
    assert (b"[Stepwarden: " in done.stdout) == (case in {"refused", "insisting", "asked"}), done.stdout[-3000:]


@every_agent
def test_without_the_gateway_the_same_agent_does_run_it(strict: House, tmp_path: Path, name: str) -> None:
    agent, ran = AGENTS[name], tmp_path / "ran"
    with strict.direct(deeds(agent, "answered")) as place:
        agent.run(place, tmp_path / "home", task(agent, "answered", ran))
    assert ran.exists()
