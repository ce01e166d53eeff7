"""Why a step was stopped: everything for operators, no texts for those who only look, the reason alone for an app."""

import time
from typing import Any

import msgspec
import pytest

from gateway.advice import ADVICE
from policies.vocabulary.exchanges import Recording
from tests.contract.api_store import CLAUSE, HOSTILE, MATCHED, REPLY_TEXT, Plane, ask, asked, judged, recorded

DAY = 86_400 * 10**9


@pytest.fixture
def stopped(plane: Plane) -> Recording:
    recording = judged(recorded())
    plane.store.append([recording])
    return recording


def explained(plane: Plane, recording: Recording, key: str | None = None) -> dict[str, Any]:
    answer = ask(plane.app, f"/api/exchanges/{recording.exchange.exchange_id}/explanation", key=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("role", ["auditor", "operator"])
def test_an_overseer_sees_the_clause_the_exact_text_and_where_it_goes_back_to(
    plane: Plane, stopped: Recording, role: str
) -> None:
    said = explained(plane, stopped, plane.keys()[role])
    assert (said["verdict"], said["reason"], said["full"]) == ("reject", "instructions_in_data", True)
    assert said["advice"] == ADVICE["instructions_in_data"]
    assert {clause["name"] for clause in said["clauses"]} == {CLAUSE, "agent-baseline/no-secrets-in-data"}
    assert not said["current"]  # it was judged under other clauses than those in force
    match = said["steps"][0]["matches"][0]
    assert match["text"] == REPLY_TEXT.encode()[MATCHED[0] : MATCHED[1]].decode() == "<script>alert(1)"
    assert (match["source"]["kind"], match["source"]["tool"]) == ("tool_result", "read_file")
    assert match["source"]["text"] == "file's"


def test_a_secret_is_masked_for_operators_too(plane: Plane, stopped: Recording) -> None:
    secret = explained(plane, stopped, plane.keys()["operator"])["steps"][0]["matches"][1]
    assert secret["text"] == "It s… (8 characters)"


def test_a_guard_that_did_not_run_is_named_with_its_reason(plane: Plane, stopped: Recording) -> None:
    guards = {guard["guard"]: guard for guard in explained(plane, stopped)["guards"]}
    assert (guards["schema.0"]["steps"], guards["schema.0"]["skipped"]) == (0, ["deadline"])
    assert (guards["provenance.0"]["steps"], guards["provenance.0"]["not_run"]) == (1, 0)


def test_who_only_looks_sees_places_and_no_texts(plane: Plane, stopped: Recording) -> None:
    plane.store.holds.join(asked(stopped), now_ns=1, expires_ns=2)
    assert explained(plane, stopped, plane.keys()["auditor"])["holds"][0]["text"] == HOSTILE
    said = explained(plane, stopped, plane.keys()["viewer"])
    matches = [match for step in said["steps"] for match in step["matches"]]
    assert [(match["start"], match["end"]) for match in matches] == [MATCHED, (0, 8)]
    assert {match["text"] for match in matches} == {None}
    assert matches[0]["source"]["text"] is None
    assert said["holds"] == []
    assert HOSTILE.strip() not in str(said)


def test_an_app_learns_the_reason_and_the_advice_of_its_own_exchanges_and_nothing_else(
    plane: Plane, stopped: Recording
) -> None:
    key, secret = plane.store.keys.create(name="mine", role="app", app="default", now_ns=1)
    other = plane.store.keys.create(name="other", role="app", app="default", now_ns=1)[1]
    exchange = msgspec.structs.replace(recorded().exchange, key_id=key.key_id, verdict="reject")
    mine = msgspec.structs.replace(recorded(), exchange=exchange, judged=stopped.judged)
    plane.store.append([mine])
    said = explained(plane, mine, secret)
    assert (said["verdict"], said["reason"]) == ("reject", "instructions_in_data")
    assert said["advice"] == ADVICE["instructions_in_data"]
    assert not said["full"]
    assert not any(said[name] for name in ("clauses", "steps", "guards", "holds"))
    for recording, caller in ((stopped, secret), (mine, other)):
        path = f"/api/exchanges/{recording.exchange.exchange_id}/explanation"
        assert ask(plane.app, path, key=caller).status_code == 404


def test_an_exchange_that_nobody_judged_is_explained_as_that(plane: Plane) -> None:
    said = explained(plane, plane.recordings[0])
    assert (said["verdict"], said["reason"], said["advice"], said["steps"]) == ("allow", None, None, [])


def test_steps_carry_what_was_done_with_them(plane: Plane, stopped: Recording) -> None:
    assert stopped.exchange.join is not None
    steps = ask(plane.app, f"/api/sessions/{stopped.exchange.join.session_id}/steps").json()["steps"]
    assert [step["verdict"] for step in steps] == ["allow"] * (len(steps) - 1) + ["reject"]
    assert (steps[-1]["reason"], steps[-1]["clauses"]) == ("instructions_in_data", [CLAUSE])


def test_clauses_in_force_are_listed_with_how_often_they_found_something(plane: Plane, stopped: Recording) -> None:
    del stopped
    listed = ask(plane.app, "/api/clauses").json()
    assert listed["counted"] == 4
    (app,) = listed["apps"]
    fired = {clause["name"]: clause["fired"] for clause in app["clauses"]}
    assert (app["app"], app["enforce"], fired[CLAUSE]) == ("default", True, 1)
    assert sum(fired.values()) == 2
    assert ask(plane.app, "/api/clauses", key=plane.keys(app="other")["viewer"]).json()["apps"] == []


def test_a_hold_is_decided_once_and_only_by_those_who_see_its_app(plane: Plane, stopped: Recording) -> None:
    now = time.time_ns()
    hold = plane.store.holds.join(asked(stopped), now_ns=now, expires_ns=now + DAY)
    foreign, mine = plane.keys(app="other")["operator"], plane.keys()["operator"]
    path = f"/api/holds/{hold.hold_id}"
    assert ask(plane.app, "/api/holds", key=foreign).json()["holds"] == []
    assert ask(plane.app, f"{path}/approve", method="POST", key=foreign, body={}).status_code == 404
    assert ask(plane.app, "/api/holds?only=waiting", key=mine).json()["holds"][0]["text"] == HOSTILE
    decided = ask(plane.app, f"{path}/approve", method="POST", key=mine, body={"by": "me"}).json()
    assert (decided["state"], decided["decided_by"]) == ("approved", "me")
    assert ask(plane.app, f"{path}/reject", method="POST", key=mine, body={"reason": "x"}).status_code == 409
    assert explained(plane, stopped, mine)["holds"][0]["hold_id"] == hold.hold_id
