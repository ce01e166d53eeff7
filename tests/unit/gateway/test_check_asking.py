"""`stepwarden check` and guards that are asked: examples that were not run are told, and run where one says so."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway import asking
from gateway.cli.main import stepwarden
from supervisors.adapters import guardrails_validator, presidio
from tests.fakes.judge import raw, running_judge, saying, sending

CLAUSE = """[policy]
id = "house"
description = "One clause that asks."

[[clause]]
id = "asks"
text = "The judge agrees."
severity = "low"
steps = ["model_text"]
guards = [{ GUARD }]
action = [{ at = 75, do = "reject" }]
reason = "action_not_allowed"
on_error = "reject"

[[clause.example]]
expect = "violation"
steps = [{ kind = "model_text", text = "bad" }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "model_text", text = "good" }]
"""


def judge(asked: dict[str, Any]) -> dict[str, Any]:
    return {"findings": [{"state": "violation", "score": 90}] if asked["step"]["text"] == "bad" else []}


def checked(folder: Path, guard: str, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of a check of a policy, by itself."""
    file = folder / "house.toml"
    file.write_text(CLAUSE.replace("GUARD", guard))
    done = CliRunner().invoke(stepwarden, ["check", str(file), "--json", *words], standalone_mode=False)
    return done.return_value, json.loads(done.stdout)


def at(url: str) -> str:
    return f'kind = "external", url = "{url}"'


def test_without_asking_a_warning_says_that_examples_were_not_run(tmp_path: Path) -> None:
    with running_judge(saying(judge)) as service:
        code, said = checked(tmp_path, at(service.url))
    (warning,) = said["mistakes"]
    assert (code, said["ok"], service.seen) == (0, True, [])
    assert (warning["severity"], warning["line"]) == ("warning", 15)
    assert "were not run" in warning["message"]
    assert "--ask" in warning["remedy"]
    assert said["notes"] == ["policy house: 1 clause, 0 examples run"]


@pytest.mark.parametrize("config", [False, True], ids=["policy", "configuration"])
def test_asking_runs_them_against_the_service(tmp_path: Path, *, config: bool) -> None:
    with running_judge(saying(judge)) as service:
        code, said = checked(tmp_path, at(service.url), "--ask")
        if config:
            file = tmp_path / "stepwarden.toml"
            file.write_text('[app.default]\npolicy = ["house.toml"]\n')
            done = CliRunner().invoke(stepwarden, ["check", str(file), "--json", "--ask"], standalone_mode=False)
            code, said = done.return_value, json.loads(done.stdout)
    assert (code, said["mistakes"]) == (0, [])
    assert {seen.document["step"]["text"] for seen in service.seen} == {"bad", "good"}


def test_an_example_the_service_decides_otherwise_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    with running_judge(saying(lambda _: {"findings": []})) as service:
        code, said = checked(tmp_path, at(service.url), "--ask")
    (mistake,) = said["mistakes"]
    assert (code, mistake["severity"], mistake["line"]) == (1, "error", 15)
    assert "example 1 should be a violation" in mistake["message"]


def test_a_service_that_does_not_answer_passes_no_example(tmp_path: Path) -> None:
    with running_judge(sending(raw("500 Oops", b""))) as service:
        code, said = checked(tmp_path, at(service.url), "--ask")
    assert code == 1
    assert ["could not be judged: external.0 status:500" in each["message"] for each in said["mistakes"]] == [True] * 2


@pytest.mark.parametrize(
    ("library", "guard", "extra"),
    [
        (guardrails_validator, 'kind = "validator", validator = "m:C"', "guardrails"),
        (presidio, 'kind = "presidio"', "presidio"),
    ],
)
def test_an_extra_that_is_not_installed_is_named_with_the_line_of_its_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Any, guard: str, extra: str
) -> None:
    monkeypatch.setattr(library, "installed", lambda: False)
    for words in ((), ("--ask",)):
        code, said = checked(tmp_path, guard, *words)
        (mistake,) = [each for each in said["mistakes"] if each["severity"] == "error"]
        assert (code, mistake["line"]) == (1, 10)
        assert f"pip install 'stepwarden[{extra}]'" in mistake["remedy"]
    assert asking.lacking([]) == ()


def test_an_address_that_makes_no_sense_is_told_with_its_line(tmp_path: Path) -> None:
    code, said = checked(tmp_path, at("https://user:hunter2@judge.example/"))
    (mistake,) = said["mistakes"]
    assert (code, mistake["line"]) == (1, 10)
    assert "key_env" in mistake["message"]
    assert "hunter2" not in json.dumps(said)


GATE = CLAUSE.replace("The judge agrees.", "No call holds the word bad.").replace("model_text", "tool_call")
GATE = GATE.replace('text = "bad"', 'tool = "t", text = "bad"').replace('text = "good"', 'tool = "t", text = "good"')


@pytest.mark.parametrize(("guidance", "wrong"), [('Not \\"bad\\".', 0), ('Not \\"good\\".', 2)])
def test_asking_puts_examples_to_the_configured_supervisor(tmp_path: Path, guidance: str, wrong: int) -> None:
    guard = f'kind = "judge", seat = "gate", guidance = "{guidance}"'
    (tmp_path / "house.toml").write_text(GATE.replace("GUARD", guard))
    file = tmp_path / "stepwarden.toml"
    file.write_text('[app.default]\npolicy = ["house.toml"]\n[supervisor]\nprovider = "scripted"\nmodel = "scripted"\n')
    done = CliRunner().invoke(stepwarden, ["check", str(file), "--json", "--ask"], standalone_mode=False)
    said = json.loads(done.stdout)
    assert [mistake["severity"] for mistake in said["mistakes"]] == ["error"] * wrong, said


@pytest.mark.parametrize("seat", ["gate", "monitor"])
def test_without_a_supervisor_a_warning_says_that_nobody_could_be_asked(tmp_path: Path, seat: str) -> None:
    (tmp_path / "house.toml").write_text(GATE.replace("GUARD", f'kind = "judge", seat = "{seat}"'))
    done = CliRunner().invoke(
        stepwarden, ["check", str(tmp_path / "house.toml"), "--json", "--ask"], standalone_mode=False
    )
    (warning,) = json.loads(done.stdout)["mistakes"]
    assert (done.return_value, warning["severity"]) == (0, "warning")
    assert "[supervisor]" in warning["remedy"]
