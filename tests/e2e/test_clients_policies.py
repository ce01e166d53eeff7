"""What real clients do when a policy stops a step: the forbidden tool never runs, they stop or recover, nothing hangs.

The requests that each client sends in each case are what docs/CLIENTS.md tells: one, and another only where the model
goes on with a tool that it may call.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from gateway.demo.turns import Call
from tests.e2e.forbidden import ALLOWED, CASES, DONE, WIRES, WORD, asked_in, mark, script, scripts, settings
from tests.e2e.headless import CLAUDE_CODE, CODEX, CODEX_BUILT_IN, Agent
from tests.e2e.house import House, Recorded, open_house
from tests.e2e.programs import LITELLM, NOWHERE, Outcomes, Program
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


IN_DSPYS_FORM = f"""
[[ ## answer ## ]]
{DONE}

[[ ## completed ## ]]
{{"answer": "{DONE}"}}
"""
"""What DSPy asks a model for, in the form of its first adapter and in that of the one it falls back to."""

FRAMEWORKS = (
    (
        Program("forbidden_agents.py", "agents", NOWHERE | {"LANGSMITH_TRACING": "false"}),
        {
            "langchain": scripts(WIRES, client="langchain"),
            "pydantic_ai": scripts(WIRES, client="pydantic_ai"),
            "openai_agents": scripts(("chat", "responses"), client="openai_agents"),
        },
    ),
    (
        Program("forbidden_litellm.py", "litellm", LITELLM),
        {
            "litellm": scripts(WIRES, client="litellm"),
            "dspy": scripts(WIRES, client="dspy", lanes=("json",), done=IN_DSPYS_FORM),
        },
    ),
)
every_framework = pytest.mark.parametrize("client", [client for _, clients in FRAMEWORKS for client in clients])


@pytest.fixture(scope="module")
def frameworks(strict: House) -> Loops:
    """Every scene of each framework, all of one environment in one process."""
    played: Loops = {}
    for program, clients in FRAMEWORKS:
        scenes = {name: script for each in clients.values() for name, script in each.items()}
        with strict.through(scenes) as (place, recorded):
            outcomes = program.play(place)
        assert outcomes.keys() == scenes.keys()
        for client, mine in clients.items():
            played[client] = {scene: outcomes[scene] for scene in mine}, recorded
    return played


@every_framework
def test_in_a_frameworks_loop_a_forbidden_tool_never_runs(frameworks: Loops, client: str) -> None:
    outcomes, recorded = frameworks[client]
    for scene, outcome in outcomes.items():
        onward = scene.endswith("onward")
        found = asked_in(recorded, scene)
        # DSPy takes a notice for an answer in the wrong form, and asks once more for the right one.
        again = client == "dspy" and scene.endswith(("refused", "insisting"))
        assert len(found) == (2 if onward or again else 1), (scene, statuses(found))
        assert all(each.response and each.response.whole for each in found), scene
        if "returned" in outcome:
            assert outcome["returned"]["ran"] == ([ALLOWED] if onward else []), (scene, outcome)
        else:
            assert scene.endswith(("asked", "refused")) or again, (scene, outcome)


@every_framework
def test_a_frameworks_user_reads_why_the_step_was_stopped(frameworks: Loops, client: str) -> None:
    outcomes, _ = frameworks[client]
    for scene, outcome in outcomes.items():
        case = scene.rpartition("_")[2]
        told = outcome["text"] if "raised" in outcome else outcome["returned"]["said"]
        if case in {"answered", "resampled", "onward"} or (case, client) == ("refused", "dspy"):
            assert told.endswith(DONE), (scene, outcome)
        elif scene == "litellm_responses_json_refused":  # it hands over a response that failed, and raises nothing
            assert outcome["returned"]["ended"] == "failed"
        else:
            assert "[Stepwarden: " in told, (scene, outcome)


@pytest.mark.parametrize(("program", "clients"), FRAMEWORKS, ids=["agents", "litellm"])
def test_without_the_gateway_the_same_frameworks_do_run_it(
    strict: House, program: Program, clients: Mapping[str, Mapping[str, Scripted]]
) -> None:
    wanted = [f"{client}_chat_json_answered" for client in clients]
    with strict.direct({name: script for each in clients.values() for name, script in each.items()}) as place:
        outcomes = program.play(place, *wanted)
    assert [outcomes[scene]["returned"]["ran"] for scene in wanted] == [["rule-answered"]] * len(wanted)


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
