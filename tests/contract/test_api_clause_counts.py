"""How often each clause found something, did something, and would have done something, in the newest exchanges."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policies.vocabulary.coverage import Examined
from policies.vocabulary.findings import Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.verdicts import Verdict
from tests.contract.api_store import CLAUSE, Plane, ask, judged, recorded

LOOPS = "agent-baseline/no-runaway-loops"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path)
    yield made
    made.store.close()


def would(plane: Plane, app: str = "default") -> dict[str, Any]:
    apps = ask(plane.app, "/api/clauses").json()["apps"]
    clauses = next(each for each in apps if each["app"] == app)["clauses"]
    return {each["name"]: each["would"] for each in clauses if each["would"]}


def test_what_a_clause_out_of_force_would_have_done_is_counted_for_that_clause(plane: Plane) -> None:
    assert would(plane) == {}
    high = Finding(clause=CLAUSE, guard="provenance.0", score=90, state="violation")
    middling = msgspec.structs.replace(high, score=30)
    quiet = Finding(clause=LOOPS, guard="sequence.0", score=95, state="violation")
    enforced = Finding(clause="agent-baseline/declared-tools-only", guard="schema.0", score=95, state="violation")
    looked = Examined(clause=CLAUSE, guard="provenance.0", seq=0, state="violation", shadow=True)
    shadowed = Verdict(name="flag", clauses=(LOOPS,), shadow="reject")
    for finding in (high, high, middling):
        said = StepJudgement(seq=0, verdict=shadowed, findings=(finding, quiet, enforced), coverage=(looked,))
        said = said if finding is high else msgspec.structs.replace(said, findings=(finding,))
        made = recorded()
        plane.store.append([msgspec.structs.replace(made, judged=Judged(ruleset="r", steps=(said,)))])
    assert would(plane) == {
        CLAUSE: {"reject": 2, "flag": 1},
        LOOPS: {"reject": 2},
    }


def test_a_verdict_that_was_carried_out_is_no_would_have(plane: Plane) -> None:
    plane.store.append([judged(recorded())])
    assert would(plane) == {}
    clause = next(
        each for each in ask(plane.app, "/api/clauses").json()["apps"][0]["clauses"] if each["name"] == CLAUSE
    )
    assert (clause["fired"], clause["stopped"], sum(clause["slots"]), clause["slots"][-1]) == (1, 1, 1, 1)
