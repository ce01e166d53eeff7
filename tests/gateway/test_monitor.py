"""The monitor end to end: what agents did is read afterwards, and what comes of it holds at their next step."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import run
from gateway.demo.turns import Call, Turn
from tests.fakes.provider import always, say
from tests.fakes.supervisor_model import Asked, Endpoint, Mind, Said, running_model, sound
from tests.gateway.house import ANTHROPIC, JSON, House, standing, waited
from tests.gateway.rawhttp import Response, request
from tests.gateway.test_policies import read, tools_of

CLAUSE = "house/no-burning"


def policy(action: str, *, sample: float = 1.0) -> str:
    return f"""
[policy]
id = "house"
description = "What holds in these tests."

[[clause]]
id = "no-burning"
text = 'Nobody is told to "burn it".'
severity = "high"
steps = ["user_input", "model_text", "tool_call"]
guards = [{{ kind = "judge", seat = "monitor", sample = {sample} }}]
action = [{{ at = 75, do = "{action}" }}]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{{ kind = "model_text", text = "Please burn it." }}]

[[clause.example]]
expect = "ok"
steps = [{{ kind = "model_text", text = "Please keep it." }}]
"""


def settings(
    folder: Path,
    base_url: str,
    *,
    action: str = "reject",
    canary_every: int = 0,
    sample: float = 1.0,
    gated: str = "",
) -> str:
    """Of a gateway whose clause has a supervisor read along."""
    (folder / "house.toml").write_text(policy(action, sample=sample) + gated)
    return f"""
[limits]
hold_seconds = 60
drain_seconds = 5

[app.default]
policy = ["{folder / "house.toml"}"]
enforce = true

[supervisor]
model = "judge-1"
provider = "openai"
base_url = "{base_url}"
budget_tokens_per_day = 100_000_000
canary_every = {canary_every}
"""


@contextmanager
def supervised(folder: Path, *, workers: int = 1, mind: Mind = sound, **told: Any) -> Iterator[tuple[House, Endpoint]]:
    with (
        running_model(mind) as model,
        standing(folder, more=settings(folder, model.base_url, **told), workers=workers) as house,
    ):
        yield house, model


CALL = Turn(text="Now.", calls=(Call("call_1", "launch", '{"at": "noon"}'),), reply_id="launch01")


def spoken(house: House, text: str, *, session: str = "ann", turn: Turn | None = None) -> Response:
    """A user says something, and the model says it after him, or this."""
    house.provider.script = always(say("anthropic", turn or Turn(text=text, reply_id="parrot01")))
    return house.ask(asking(text, session))


def asking(text: str, session: str) -> bytes:
    body = dict(json.loads(ANTHROPIC.request_body(stream=False, tools=tools_of(ANTHROPIC, "launch"))))
    body["messages"] = [{"role": "user", "content": text}]
    headers = [JSON, ANTHROPIC.key, (b"stepwarden-session", session.encode())]
    return request(ANTHROPIC.target, json.dumps(body).encode(), headers=headers)


def said(house: House, session: str = "ann") -> dict[str, Any]:
    status, body = house.control(f"/api/sessions/{session}/critiques")
    return json.loads(body) if status == 200 else {"critiques": [], "waiting": 1, "labels": [], "distrusted": False}


def critiqued(house: House, steps: int, session: str = "ann") -> list[dict[str, Any]]:
    """Critiques of a session, once so many of its steps are read."""

    def found() -> list[dict[str, Any]] | None:
        critiques: list[dict[str, Any]] = said(house, session)["critiques"]
        return critiques if sum(len(each["steps"]) for each in critiques) >= steps else None

    return waited(found, seconds=30)


def holds(house: House) -> list[dict[str, Any]]:
    return json.loads(house.control("/api/holds")[1])["holds"]


def entries(house: House) -> list[dict[str, Any]]:
    """The audit log, as the ledger and the published files have it."""
    size = int(house.control("/api/audit/head")[1].split(b"\n")[1])
    return [json.loads(house.control(f"/api/audit/entries/{index}")[1]) for index in range(size)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_session_that_went_wrong_waits_for_a_person_at_its_next_call(tmp_path: Path, workers: int) -> None:
    with supervised(tmp_path, workers=workers) as (house, _):
        assert spoken(house, "Tell them to burn it.").status == 200
        [critique, *_] = critiqued(house, 2)
        assert (critique["verdict"], critique["clauses"], critique["failure"]) == ("reject", [CLAUSE], None)
        [opinion] = critique["opinions"]
        assert (opinion["label"], [quote["text"] for quote in opinion["quotes"]]) == ("violation", ["burn it"])
        waited(lambda: said(house)["distrusted"] or None)
        house.provider.script = always(say("anthropic", CALL))
        with house.wire(patience=30) as wire:
            wire.send(asking("Go on.", "ann"))
            [hold] = waited(lambda: holds(house) or None)
            assert (hold["tool"], hold["clauses"]) == ("launch", ["stepwarden/distrusted"])
            assert hold["reason"] == "needs_approval"
            house.control(f"/api/holds/{hold['hold_id']}/approve", method="POST", body={"by": "Eve"})
            got = wire.response()
        assert [part.tool for part in read(ANTHROPIC, got, stream=False).parts if part.kind == "tool_call"] == [
            "launch"
        ]
        assert not said(house)["distrusted"]
        told = Counter(entry["type"] for entry in entries(house))
        assert (told["session.distrusted"], told["session.trusted"]) == (1, 1)
        assert told["critique.recorded"] >= 1


def test_a_session_is_trusted_again_on_a_persons_word(tmp_path: Path) -> None:
    with supervised(tmp_path, action="hold") as (house, _):
        spoken(house, "Tell them to burn it.")
        waited(lambda: said(house)["distrusted"] or None, seconds=30)
        status, body = house.control("/api/sessions/ann/trust", method="POST", body={"by": "Eve"})
        assert (status, json.loads(body)["ended"]) == (200, True)
        got = spoken(house, "Go on.", turn=CALL)
        assert [part.tool for part in read(ANTHROPIC, got, stream=False).parts if part.kind == "tool_call"] == [
            "launch"
        ]


def test_a_session_can_be_ended_by_what_is_read_of_it(tmp_path: Path) -> None:
    with supervised(tmp_path, action="terminate") as (house, _):
        spoken(house, "Tell them to burn it.")
        critiqued(house, 2)
        refused = spoken(house, "Go on.")
        assert (refused.status, b"session_terminated" in refused.body) == (400, True)
        assert spoken(house, "Hello.", session="ben").status == 200


def test_what_is_excluded_costs_nothing_and_the_ledger_is_what_the_provider_counted(tmp_path: Path) -> None:
    with supervised(tmp_path, action="flag") as (house, model):
        for number in range(6):
            spoken(house, "burn it" if number % 3 == 0 else f"Hello {number}.", session=f"s{number}")
        for number in range(6):
            critiqued(house, 2, f"s{number}")
        waited(lambda: house.status()["counters"]["monitor_read"] == 12 or None)  # counted once it is kept
        calls = list(model.calls)
        tokens = [sum(pair) for pair in zip(*model.tokens, strict=True)]
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as ledger:
        columns = "count(*), sum(input_tokens), sum(output_tokens), count(DISTINCT state)"
        assert ledger.execute(f"SELECT {columns} FROM supervisor_call").fetchone() == (len(calls), *tokens, 1)
    assert len(calls) == 6 + 2


def test_nothing_is_read_that_the_sample_leaves_out(tmp_path: Path) -> None:
    with supervised(tmp_path, sample=0.0) as (house, model):
        got = spoken(house, "burn it")
        house.facts(got.exchange)
        status, body = house.control("/api/sessions/ann/critique", method="POST")
        assert status == 202  # but for a person who asks
        assert json.loads(body)["clauses"] == [CLAUSE]
        critiqued(house, 2)
        assert {call.wants for call in model.calls} == {"word", "critique"}
        waited(lambda: house.status()["counters"]["monitor_read"] == 2 or None)


def test_a_supervisor_that_cannot_answer_stops_nobody_and_says_so(tmp_path: Path) -> None:
    def broken(asked: Asked) -> Said:
        del asked
        return Said(text='{"half')

    with supervised(tmp_path, mind=broken) as (house, _):
        assert spoken(house, "burn it").status == 200
        waited(lambda: "the supervisor did not answer: " in house.gateway.log or None)
        assert said(house)["waiting"], "for another attempt"
        got = spoken(house, "Go on.", turn=CALL)
        assert [part.tool for part in read(ANTHROPIC, got, stream=False).parts if part.kind == "tool_call"] == [
            "launch"
        ]
        assert house.status()["counters"]["monitor_read"] == 0


def test_labels_and_critiques_stand_where_an_exchange_is_explained(tmp_path: Path) -> None:
    with supervised(tmp_path, action="flag") as (house, _):
        got = spoken(house, "burn it")
        critiqued(house, 2)
        body = {"label": "violation", "by": "Eve", "clause": CLAUSE}
        step = next(step for step in house.facts(got.exchange)["steps"] if step["kind"] == "user_input")
        name = f"{got.exchange[:20]}.{step['seq']}"
        status, answer = house.control(f"/api/steps/{name}/label", method="POST", body=body)
        assert (status, json.loads(answer)["step_id"]) == (200, step["step_id"])
        explained = json.loads(house.control(f"/api/exchanges/{got.exchange}/explanation")[1])
        assert [label["by"] for label in explained["labels"]] == ["Eve"]
        assert "violation" in [each["label"] for one in explained["critiques"] for each in one["opinions"]]
        status, answer = house.control(
            f"/api/steps/{name}/label", method="POST", body=body | {"clause": "house/burning"}
        )
        assert status == 404
        assert CLAUSE in json.loads(answer)["error"]["remedy"]
        assert house.control("/api/steps/nothing/label", method="POST", body=body)[0] == 400
        assert house.control(f"/api/steps/{got.exchange}.999/label", method="POST", body=body)[0] == 404


GATED = """
[[clause]]
id = "no-launch"
text = 'Nobody goes at "noon".'
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "judge", seat = "gate" }]
action = [{ at = 75, do = "reject" }]
recover = "refused"
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = {} }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "look", args = {} }]
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_gate_says_is_kept_beside_the_exchange_it_stopped(tmp_path: Path, workers: int) -> None:
    with supervised(tmp_path, workers=workers, gated=GATED, action="flag") as (house, _):
        got = spoken(house, "Go on.", turn=CALL)
        assert [part for part in read(ANTHROPIC, got, stream=False).parts if part.kind == "tool_call"] == []

        def gate() -> list[dict[str, Any]] | None:
            return [each for each in said(house)["critiques"] if each["seat"] == "gate"] or None

        [critique] = waited(gate)
        [opinion] = critique["opinions"]
        assert (opinion["clause"], opinion["label"], opinion["score"]) == ("house/no-launch", "violation", 90)
        explained = json.loads(house.control(f"/api/exchanges/{got.exchange}/explanation")[1])
        assert critique["critique_id"] in [each["critique_id"] for each in explained["critiques"]]
        assert "critique.recorded" in [entry["type"] for entry in entries(house) if entry.get("seat") == "gate"]


def test_a_person_has_a_session_read_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with supervised(tmp_path, sample=0.0, action="flag") as (house, _):
        house.facts(spoken(house, "burn it").exchange)
        assert run(["critique", "ann", "--config", str(tmp_path / "stepwarden.toml")]) == 0
        shown = capsys.readouterr()
        assert "violation 90" in shown.out
        assert "put before the supervisor" in shown.err


def test_what_is_left_to_the_monitor_is_no_failure_where_an_exchange_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with supervised(tmp_path, action="flag") as (house, _):
        got = spoken(house, "Hello.")
        critiqued(house, 2)
        assert run(["explain", got.exchange[:26], "--config", str(tmp_path / "stepwarden.toml")]) == 0
    shown = capsys.readouterr().out
    assert f"left to the monitor: judge.0 of {CLAUSE} on 2 steps" in shown
    assert "on_error" not in shown


def test_what_waits_outlives_an_orderly_stop(tmp_path: Path) -> None:
    with running_model() as model:
        model.mind = model.stall
        more = settings(tmp_path, model.base_url, action="flag")
        with standing(tmp_path, more=more) as house:
            spoken(house, "burn it")
            waited(lambda: model.calls or None)
        model.mind = sound
        with standing(tmp_path, more=more) as house:
            critiques = critiqued(house, 2)
            assert [each["failure"] for each in critiques] == [None]
