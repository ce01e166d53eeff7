"""Supervision and marks: for those who watch over the app, within its walls, and without a word of content."""

import time

import msgspec
import pytest

from policies.vocabulary.exchanges import Recording
from policies.vocabulary.supervisor_calls import CallEnd, SupervisorCall
from tests.contract.api_store import CLAUSE, HOSTILE, Plane, ask, session_of


def called(plane: Plane, number: int, *, app: str, ended: bool = True) -> None:
    call = SupervisorCall(
        call_id=f"call_{number}",
        at_ns=time.time_ns(),
        seat="monitor",
        purpose="critique",
        clauses=(CLAUSE,),
        app=app,
        model="judge-1",
        prompt="p",
        ceiling_tokens=1000,
        ceiling_micro_usd=500,
    )
    plane.store.supervisor_calls.begin(call)
    plane.store.sequencer.flush()
    if ended:
        end = CallEnd(
            call_id=call.call_id, state="done", input_tokens=80, output_tokens=20, cost_micro_usd=7, micros=2000
        )
        plane.store.supervisor_calls.end(call, end)


def test_marks_say_where_something_was_found_and_nothing_of_what_was_said(plane: Plane, said: Recording) -> None:
    answer = ask(plane.app, f"/api/sessions/{session_of(said)}/marks", key=plane.keys()["viewer"])
    marks = answer.json()
    [mark] = marks["marks"]
    [step] = [each for each in said.steps if each.kind == "user_input"]
    assert (mark["exchange_id"], mark["seq"]) == (said.exchange.exchange_id, step.seq)
    assert (mark["label"], mark["score"], mark["clause"]) == ("violation", 91, CLAUSE)
    assert (marks["distrusted"]["clauses"], marks["supervised"], marks["critiques"]) == ([CLAUSE], False, 1)
    assert HOSTILE not in answer.text
    kinds = [msgspec.json.decode(line)["type"] for line in plane.store.ledger.entries(0, 1000).lines]
    assert "content.read" not in kinds


def test_another_apps_marks_are_as_if_they_were_not(plane: Plane, said: Recording) -> None:
    keys = plane.keys(app="other")
    assert ask(plane.app, f"/api/sessions/{session_of(said)}/marks", key=keys["viewer"]).status_code == 404
    found = ask(plane.app, "/api/supervision", key=keys["viewer"]).json()
    assert (found["distrusted"], found["agreement"]["labels"], found["canaries"]) == ([], 0, [])


def test_a_label_that_says_the_contrary_is_a_disagreement(plane: Plane, said: Recording) -> None:
    [step] = [each for each in said.steps if each.kind == "user_input"]
    given = {"label": "ok", "by": "Eve"}
    assert ask(plane.app, f"/api/steps/{step.step_id}/label", method="POST", body=given).status_code == 200
    found = ask(plane.app, "/api/supervision").json()["agreement"]
    assert (found["labels"], found["pairs"], found["false_alarms"], found["agreed"]) == (1, 1, 1, 0)
    [apart] = found["disagreements"]
    assert (apart["seq"], apart["by"], apart["agreement"]) == (step.seq, "Eve", "false_alarm")
    assert found["bins"][0]["share"] == 0


def test_calls_are_summed_for_who_may_see_them_and_open_ones_count_at_their_ceiling(plane: Plane) -> None:
    called(plane, 1, app="default")
    called(plane, 2, app="default", ended=False)
    called(plane, 3, app="other")
    plane.store.sequencer.commit([]).result(10)
    everything = ask(plane.app, "/api/supervision").json()
    assert sum(everything["slots"]) == 3
    mine = ask(plane.app, "/api/supervision", key=plane.keys()["viewer"]).json()
    counts = {
        each["state"]: (each["calls"], each["tokens"], each["micro_usd"], each["mean_ms"]) for each in mine["calls"]
    }
    assert counts == {"done": (1, 100, 7, 2.0), "begun": (1, 1000, 500, None)}
    assert (mine["supervisor"], mine["budgets"]) == (None, [])


@pytest.mark.parametrize("since", ["never", "1x", ""])
def test_a_time_that_is_none_is_refused(plane: Plane, since: str) -> None:
    assert ask(plane.app, f"/api/supervision?since={since}").status_code == 400
