"""Canaries fly every path, and one that passes unseen is told."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.canaries import Canary, send_canaries
from gateway.cli.main import stepwarden
from gateway.stations import judge
from gateway.stations.judge import Docket
from gateway.wire.gate import StreamGate
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.shipped import shipped


def sent(name: str, *, enforce: bool = True) -> list[Canary]:
    ruleset = Ruleset.compile([load(shipped()[name], name).policy], settings=Settings(enforce=enforce))
    return asyncio.run(send_canaries("default", ruleset))


@pytest.mark.parametrize("enforce", [True, False])
@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_violation_of_every_shipped_policy_is_seen_on_every_path(name: str, *, enforce: bool) -> None:
    canaries = sent(name, enforce=enforce)
    assert {canary.state for canary in canaries} == {"seen"}
    assert {canary.path.partition(" ")[0] for canary in canaries} == {"anthropic", "openai_chat", "openai_responses"}
    policy = load(shipped()[name], name).policy
    assert {canary.clause for canary in canaries} == {f"{policy.policy.id}/{clause.id}" for clause in policy.clause}


def asks_nobody(*_: object) -> None:
    """A gate that lets everything go."""


def unseen(canaries: list[Canary]) -> set[tuple[str, str]]:
    return {(canary.step, canary.path.partition(" ")[2]) for canary in canaries if canary.state == "unseen"}


def test_a_kind_of_step_that_requests_are_no_longer_judged_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    left = judge.PUT_BEFORE_THE_MODEL - {"tool_result"}
    monkeypatch.setattr(judge, "PUT_BEFORE_THE_MODEL", left)
    missed = unseen(sent("agent-baseline"))
    assert missed >= {("tool_result", "request json"), ("tool_result", "request stream")}


def test_a_gate_that_asks_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamGate, "_ask", asks_nobody)
    assert ("tool_call", "response stream") in unseen(sent("agent-baseline"))


def test_a_docket_that_judges_no_reply_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object, **__: object) -> object:
        return judge.UNJUDGED

    monkeypatch.setattr(Docket, "reply", nothing)
    assert unseen(sent("agent-baseline")) >= {("tool_call", "response json"), ("tool_call", "response stream")}


CONFIG = """
[gateway]
data_dir = "data"
port = 0

[app.default]
policy = ["agent-baseline"]
enforce = true
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stepwarden.toml").write_text(CONFIG)
    return tmp_path


def test_doctor_reports_the_canaries_of_each_app_and_leaves_nothing_behind(here: Path) -> None:
    got = CliRunner().invoke(stepwarden, ["doctor", "--canaries", "--config", "stepwarden.toml"], standalone_mode=False)
    assert got.return_value == 0, got.output
    assert "seen on their way, by clauses with" in got.output
    assert sorted(path.name for path in here.iterdir()) == ["stepwarden.toml"]


def test_doctor_ends_with_1_where_a_canary_passes_unseen(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamGate, "_ask", asks_nobody)
    got = CliRunner().invoke(
        stepwarden, ["doctor", "--canaries", "--config", str(here / "stepwarden.toml")], standalone_mode=False
    )
    assert got.return_value == 1
    assert "missed its example on" in got.output
