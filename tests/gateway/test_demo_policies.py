"""What the demo shows of policies is what happens: a real gateway, real policies, the vendor's SDK."""

from pathlib import Path

from gateway.cli import client
from gateway.cli.demo import backtested
from gateway.cli.demo_guarded import play
from gateway.cli.narrator import Narrator
from gateway.cli.running import RunningGateway
from gateway.demo import guarded, story
from tests.gateway.house import waited


def test_the_forbidden_call_never_arrives_the_secret_never_leaves_and_a_person_decides(tmp_path: Path) -> None:
    told = story.runs()
    with story.provider(told, speed=10_000) as upstream:
        settings = {"STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": upstream.url, **guarded.SETTINGS}
        with RunningGateway(tmp_path, settings) as gateway:
            found = play(Narrator(quiet=True), gateway, upstream, told)
    assert found.explanation is not None
    assert found.explanation["reason"] == "instructions_in_data"
    assert found.forbidden_calls == 0
    opinions = [(each["seat"], each["opinions"][0]["label"]) for each in found.critiques]
    assert ("gate", "violation") in opinions
    assert {call["model"] for each in found.critiques for call in each["calls"]} == {"scripted"}
    assert not found.leaked
    assert "[redacted:github-pat]" in found.provider_got
    assert found.hold is not None
    assert found.hold["clauses"] == ["payments/large-payments-are-confirmed"]
    assert found.paid
    assert found.kept


def test_a_backtest_of_the_runs_names_the_one_call_that_the_attack_wants_before_anything_is_enforced(
    tmp_path: Path,
) -> None:
    told = story.runs()
    with story.provider(told, speed=10_000) as upstream:
        settings = {"STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": upstream.url}
        with RunningGateway(tmp_path, settings) as gateway:
            for _ in story.tell(f"{gateway.url}/anthropic", told):
                pass
            with client.here(gateway.config) as api:
                # That nothing waits says less: what is being written waits no more, and is not in the record yet.
                told_of = len(upstream.requests)
                waited(lambda: api.get("/api/status")["counters"]["recorded"] == told_of or None)
            report = backtested(gateway)
    stopped = [flip for each in report["flips"] if each["after"] == "reject" for flip in each["examples"]]
    assert [(flip["tool"], flip["reason"]) for flip in stopped] == [(guarded.FORBIDDEN, "instructions_in_data")]
    assert report["now"]["steps"] == 1
    assert report["unreplayed"] == []
