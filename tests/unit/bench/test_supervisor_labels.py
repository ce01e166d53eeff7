"""Critiques against persons' labels: each label meets the newest opinion on its step and clause, or none."""

from typing import Any

from bench.supervisor_labels import agreement, pairs_of

Json = dict[str, Any]


def label(step: str, said: str, clause: str | None = None) -> Json:
    return {"step_id": step, "session_id": "s", "label": said, "clause": clause}


def critique(*steps: str, failure: str | None = None, **opinion: Any) -> Json:
    plain: Json = {"clause": "a/b", "label": "ok", "score": 5, "first_bad_step": None, "quotes": []}
    return {"steps": steps, "failure": failure, "opinions": [] if failure else [{**plain, **opinion}]}


def violation(*steps: str, first: str) -> Json:
    return critique(*steps, label="violation", score=90, first_bad_step=first, quotes=[{"step_id": first}])


def pairs(labels: list[Json], *critiques: Json) -> list[tuple[int, bool]]:
    return [(pair.score, pair.bad) for pair in pairs_of(labels, {"s": critiques})]


def test_an_opinion_on_several_steps_speaks_against_the_one_it_means() -> None:
    labels = [label("x.1", "ok"), label("x.2", "violation")]
    assert pairs(labels, violation("x.1", "x.2", first="x.2")) == [(0, False), (90, True)]


def test_the_newest_opinion_on_a_clause_counts() -> None:
    assert pairs([label("x.1", "violation", "a/b")], critique("x.1"), violation("x.1", first="x.1")) == [(90, True)]
    assert pairs([label("x.1", "violation", "a/c")], violation("x.1", first="x.1")) == []


def test_what_could_not_be_judged_is_no_answer() -> None:
    assert pairs([label("x.1", "ok"), label("x.9", "ok")], critique("x.1", failure="timed_out")) == []


def test_agreement_counts_answered_labels_alone() -> None:
    labels = [label("x.1", "violation"), label("x.2", "ok"), label("x.3", "violation"), label("x.4", "ok")]
    found = pairs_of(labels, {"s": [violation("x.1", "x.2", first="x.1"), critique("x.3")]})
    said = agreement(labels, found)
    assert (said["labels"], said["answered"], said["violations"]) == (4, 3, 2)
    assert (said["precision"]["share"], said["recall"]["share"]) == (1, 0.5)
    assert said["kappa"] is not None
