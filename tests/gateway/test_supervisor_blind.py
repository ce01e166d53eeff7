"""A supervisor that no longer sees is found out at each seat, and everybody is told who has to know."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import run
from tests.fakes.receiver import running_receiver
from tests.fakes.supervisor_model import Asked, Said, opining, running_model, sound
from tests.gateway.house import House, standing, waited
from tests.gateway.test_monitor import CALL, entries, said, settings, spoken

GATED = """
[[clause]]
id = "no-midnight"
text = 'Nothing is launched at "midnight".'
severity = "high"
steps = ["tool_call"]
tools = { names = ["launch"] }
guards = [{ kind = "judge", seat = "gate" }]
action = [{ at = 75, do = "reject" }]
recover = "refused"
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "midnight" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "dawn" } }]
"""

ALERT = """
[alert.oncall]
on = ["supervisor_blind"]
url_env = "TEST_ALERT_URL"
quiet_seconds = 0
"""


def blind(asked: Asked) -> Said:
    return opining(asked, label="ok", score=0)


def seats(house: House) -> dict[str, dict[str, Any]]:
    """What the canaries say, seat by seat."""
    found = json.loads(house.control("/api/supervision")[1])["canaries"]
    return {each["seat"]: each for each in found}


def blinded(house: House) -> dict[str, dict[str, Any]]:
    return {seat: each for seat, each in seats(house).items() if each["blind"]}


def examined(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """What `stepwarden doctor` says of the supervisor."""
    code = run(["doctor", "--json", "--config", str(folder / "stepwarden.toml")])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return code, [each["message"] for each in findings if each["name"] == "supervisor"]


def launched(house: House, *, times: int) -> None:
    """So many different calls at the gate, and as many sessions for the monitor."""
    for number in range(times):
        spoken(house, f"Go on, {number}.", session=f"s{number}", turn=CALL)
    waited(lambda: None if any(said(house, f"s{number}")["waiting"] for number in range(times)) else True, seconds=60)


def more(folder: Path, mind_url: str, extra: str = "") -> str:
    return settings(folder, mind_url, action="flag", canary_every=1, gated=GATED) + extra


def test_blindness_at_either_seat_is_counted_told_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_receiver() as receiver, running_model(blind) as model:
        monkeypatch.setenv("TEST_ALERT_URL", receiver.url)
        with standing(tmp_path, more=more(tmp_path, model.base_url, ALERT)) as house:
            launched(house, times=8)
            both = waited(lambda: blinded(house) if len(blinded(house)) == 2 else None)
            assert {seat: each["clauses"] for seat, each in both.items()} == {
                "gate": ["house/no-midnight"],
                "monitor": ["house/no-burning"],
            }
            assert {each["cried"] for each in both.values()} == {0}
            counters = house.status()["counters"]
            assert (counters["supervisor_blind"], counters["canaries_cried"]) == (1, 0)
            assert b"stepwarden_supervisor_blind 1" in house.control("/metrics")[1]
            told = sorted([json.loads(body)["data"]["reason"] for _, body in receiver.wait(2)[:2]])
            assert told == ["gate", "monitor"]
            missed = [entry for entry in entries(house) if entry["type"] == "canary.missed"]
            assert {(entry["seat"], entry["clause"], entry["expected"]) for entry in missed} == {
                ("gate", "house/no-midnight", "violation"),
                ("monitor", "house/no-burning", "violation"),
            }
            code, doctor = examined(tmp_path, capsys)
            assert code == 1
            assert {line.partition(":")[0] for line in doctor if line.endswith("it is blind")} == set(both)
        with standing(tmp_path, more=more(tmp_path, model.base_url)) as house:
            assert set(blinded(house)) == {"gate", "monitor"}


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_sees_is_told_to_see_and_canaries_are_in_the_ledger_like_every_call(
    tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        running_model(sound) as model,
        standing(tmp_path, more=more(tmp_path, model.base_url), workers=workers) as house,
    ):
        launched(house, times=4)
        both = waited(lambda: found if len(found := seats(house)) == 2 else None)
        assert {(each["missed"], each["cried"], each["blind"]) for each in both.values()} == {(0, 0, False)}
        assert not any("it is blind" in line for line in examined(tmp_path, capsys)[1])

        def agreed() -> dict[tuple[str, str], int] | None:
            """The ledger's counts, once they are what the provider counts: some calls are still under way."""
            told = json.loads(house.control("/api/supervision")[1])["calls"]
            counts = {(each["seat"], each["purpose"]): each["calls"] for each in told}
            return counts if sum(counts.values()) == len(model.calls) else None

        assert {("gate", "canary"), ("monitor", "canary")} <= set(waited(agreed))
