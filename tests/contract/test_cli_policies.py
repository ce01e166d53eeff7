"""What a person types and reads of policies."""

import json
import os
import time
from pathlib import Path

import pytest

from gateway.cli.main import FAILED, run
from policies.shipped import shipped
from policies.vocabulary.exchanges import Recording
from storage.store import Store
from tests.contract.api_store import CLAUSE, asked, judged, recorded

HARMFUL = ("\x1b", "\x07", "\x9b", "\r", "\u202e", "\u200b")
HOUR = 3600 * 10**9


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """A directory with a configuration that names a policy, and one stopped exchange in its data."""
    monkeypatch.chdir(tmp_path)
    for name in tuple(os.environ):
        if name.startswith("STEPWARDEN_"):
            monkeypatch.delenv(name)
    (tmp_path / "stepwarden.toml").write_text('[app.default]\npolicy = ["agent-baseline"]\nenforce = true\n')
    store = Store.open(tmp_path / "stepwarden-data")
    recording = judged(recorded())
    store.append([recording])
    store.close()
    return recording


def held(directory: Path, recording: Recording) -> str:
    store = Store.open(directory / "stepwarden-data")
    now = time.time_ns()
    hold = store.holds.join(asked(recording), now_ns=now, expires_ns=now + HOUR)
    store.close()
    return hold.hold_id


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run([*arguments]) == code
    return capsys.readouterr().out


def test_explain_says_what_was_done_why_what_ran_and_what_to_do(
    house: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(capsys, "explain", house.exchange.exchange_id[:20])
    said = " ".join(shown.split())
    for words in (
        "rejected instructions_in_data",
        "model_text, was not passed on",
        "asked again, once, in the caller's place; the caller got what came of it",
        f"{CLAUSE} critical",
        "The agent acts on the word of its user and operator.",
        "score 90 (near certain): a value comes from an order in data",
        "agent_directed, bytes",
        "<script>alert(1)",
        "an earlier tool_result of read_file",
        "file's",
        "what to do Something the agent read gave it orders.",
        "did not run: schema.0 of agent-baseline/no-orders-from-data on one step (deadline)",
    ):
        assert words in said
    assert not any(each in shown for each in HARMFUL)
    assert json.loads(printed(capsys, "explain", house.exchange.exchange_id, "--json"))["full"]
    assert run(["explain", "nope"]) == FAILED


def test_exchanges_and_sessions_show_verdicts_and_coverage(
    house: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = printed(capsys, "exchanges", "show", house.exchange.exchange_id)
    assert "✗ rejected instructions_in_data" in facts
    assert "40 of 50" in facts
    assert "did not run: deadline" in facts
    assert "90 agent_directed" in facts
    assert house.exchange.join is not None
    tree = printed(capsys, "sessions", "show", house.exchange.join.session_id)
    assert tree.count("✗ rejected") == 2  # its exchange and its step
    assert not any(each in facts + tree for each in HARMFUL)


def test_clauses_in_force_are_listed_with_what_they_do(house: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    del house
    shown = "".join(printed(capsys, "clauses", "list").split())
    assert "appdefault(enforced" in shown
    for clause in json.loads(printed(capsys, "clauses", "list", "--json"))["apps"][0]["clauses"]:
        assert clause["name"].split("/")[1][:8] in shown


def test_an_app_without_clauses_is_named_with_those_that_have_some(
    house: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    assert run(["clauses", "list", "--app", "no-such"]) == 2
    assert "apps with one: default" in " ".join(capsys.readouterr().err.split())


def test_a_clause_goes_out_of_force_for_a_while_on_a_named_persons_word_without_a_gateway_too(
    house: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    word = ("--by", "anna\x1b[31m", "--reason", "a false\x07 alarm")
    assert run(["clauses", "mode", CLAUSE, "shadow", "--for", "1h"]) == 2
    assert run(["clauses", "mode", CLAUSE, "shadow", *word]) == 2
    assert run(["clauses", "mode", CLAUSE, "shadow", "--for", "0s", *word]) == 2
    assert "at least 1s" in capsys.readouterr().err
    assert run(["clauses", "mode", CLAUSE, "enforce", "--for", "1h", *word]) == 2
    assert run(["clauses", "mode", "agent-baseline/no-such", "shadow", "--for", "1h", *word]) == FAILED
    printed(capsys, "clauses", "mode", CLAUSE, "shadow", "--for", "1h", *word)
    shown = " ".join(printed(capsys, "clauses", "list").split())
    assert f"out of force {CLAUSE} until" in shown
    assert not any(each in shown for each in HARMFUL)
    own = CLAUSE.partition("/")[2]  # its own id will do, for no other policy has it
    answer = json.loads(printed(capsys, "clauses", "mode", own, "enforce", "--by", "b", "--reason", "r", "--json"))
    assert (answer["clause"], answer["mode"], answer["until"]) == (CLAUSE, "enforce", None)
    assert "out of force" not in printed(capsys, "clauses", "list")


def test_a_person_sees_what_waits_and_decides_it_once(
    house: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = held(tmp_path, house)
    shown = printed(capsys, "holds", "list")
    assert hold in shown
    assert "send_money" in shown
    assert "59 min" in shown
    assert not any(each in shown for each in HARMFUL)
    assert run(["holds", "reject", hold]) == 2  # without a reason nobody is refused
    printed(capsys, "holds", "approve", hold, "--by", "anna")
    assert run(["holds", "reject", hold, "--reason", "too late"]) == FAILED
    assert printed(capsys, "holds", "list") == ""
    assert "approved by anna" in " ".join(printed(capsys, "holds", "list", "--all").split())
    assert json.loads(printed(capsys, "holds", "list", "--all", "--json"))["holds"][0]["state"] == "approved"
    assert run(["holds", "approve", "hold_nope"]) == FAILED


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_policy_checks(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(shipped()[name], encoding="utf-8")
    assert ": ok" in printed(capsys, "check", str(path))


def test_check_tells_a_policys_mistakes_with_line_and_remedy(
    house: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    assert run(["init", "--force"]) == 0
    policy = tmp_path / "example-policy.toml"
    good = policy.read_text()
    assert "policy example: 2 clauses, 4 examples run" in printed(capsys, "check", str(policy))
    policy.write_text(good.replace('on_error = "hold"', 'on_eror = "hold"'))
    line = good[: good.index('on_error = "hold"')].count("\n") + 1
    told = printed(capsys, "check", str(policy), code=1)
    assert f"{policy}:{line}: " in told
    assert "Did you mean `on_error`?" in told
    policy.write_text(good.replace("We are building a bird table for a falcon.", "We are building project-falcon."))
    found = json.loads(printed(capsys, "check", "--json", str(policy), code=1))["mistakes"]
    assert "example 2" in found[0]["message"]
    assert good.splitlines()[found[0]["line"] - 1].startswith("[[clause.example]]")


def test_check_tells_of_the_policies_that_a_configuration_names(
    house: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    config = tmp_path / "stepwarden.toml"
    config.write_text('[gateway]\n\n[app.default]\npolicy = ["agent-basline"]\n')
    told = printed(capsys, "check", code=1)
    assert f"{config.name}:4: no shipped policy is called `agent-basline`. Did you mean `agent-baseline`?" in told
    assert "policy" in printed(capsys, "doctor", code=1)
    config.write_text('[app.default]\npolicy = ["agent-baseline"]\n')
    told = printed(capsys, "check")  # a warning is no failure
    assert "warning: clause `no-secrets-leave`" in told
    assert "observed and flagged only" in told
    assert "ok, 1 warning" in told


def test_init_never_replaces_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example-policy.toml").write_text("mine")
    assert run(["init"]) == 0
    assert run(["init", "--force"]) == 0
    assert (tmp_path / "example-policy.toml").read_text() == "mine"
    assert "left as it is" in capsys.readouterr().err
