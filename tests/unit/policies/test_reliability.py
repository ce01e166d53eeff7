"""What scores are worth beside labels: who agrees with whom, and what follows from nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reliability import compared, expected_error, reliability, wilson
from policies.vocabulary.critiques import Critique, Label, Opinion
from policies.vocabulary.labels import LabelGiven, StepLabel

CLAUSE = "house/no-burning"


def critique(*steps: str, label: Label = "violation", score: int = 90, first: str | None = None) -> Critique:
    return Critique(
        critique_id="c",
        seat="monitor",
        app="a",
        session_id="s",
        steps=steps,
        ruleset="r",
        opinions=(Opinion(clause=CLAUSE, label=label, score=score, first_bad_step=first),),
        calls=(),
        at_ns=1,
    )


def labelled(step: str, label: StepLabel, *, by: str = "Ada", clause: str | None = None, at: int = 1) -> LabelGiven:
    return LabelGiven(step_id=step, session_id="s", app="a", clause=clause, label=label, by=by, actor="owner", at_ns=at)


@pytest.mark.parametrize(
    ("said", "label", "agreement"),
    [
        ("ok", "ok", "agreed"),
        ("violation", "violation", "agreed"),
        ("ok", "violation", "missed"),
        ("violation", "ok", "false_alarm"),
        ("unsure", "ok", "unsure"),
        ("unsure", "violation", "unsure"),
    ],
)
def test_a_critique_beside_a_label(said: Label, label: StepLabel, agreement: str) -> None:
    [pair] = compared([labelled("x.0001", label)], [critique("x.0001", label=said)])
    assert pair.agreement == agreement


def test_of_one_persons_labels_the_newest_counts_and_of_two_persons_both() -> None:
    labels = [
        labelled("x.1", "ok", at=1),
        labelled("x.1", "violation", at=2),
        labelled("x.1", "ok", by="Bea", at=3),
    ]
    found = compared(labels, [critique("x.1")])
    assert [(each.by, each.label) for each in found] == [("Ada", "violation"), ("Bea", "ok")]


def test_a_critique_of_several_steps_speaks_of_the_one_it_names() -> None:
    several = critique("x.1", "x.2", first="x.2")
    labels = [labelled("x.1", "ok"), labelled("x.2", "violation")]
    assert [each.step_id for each in compared(labels, [several])] == ["x.2"]
    in_order = critique("x.1", "x.2", label="ok", score=0)
    assert [each.step_id for each in compared(labels, [in_order])] == ["x.1", "x.2"]


def test_a_label_of_another_clause_or_step_is_about_nothing() -> None:
    assert compared([labelled("x.1", "ok", clause="house/other")], [critique("x.1")]) == []
    assert compared([labelled("y.1", "ok")], [critique("x.1")]) == []


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=60))
def test_every_pair_falls_into_one_bin_and_a_share_lies_in_its_interval(pairs: list[tuple[int, bool]]) -> None:
    bins = reliability(pairs)
    assert sum(each.steps for each in bins) == len(pairs)
    for each in bins:
        assert each.low <= each.mean <= each.high
        assert each.interval[0] <= each.share + 1e-9
        assert each.share - 1e-9 <= each.interval[1]
    error = expected_error(bins)
    assert (error is None) == (not pairs)
    assert error is None or 0 <= error <= 1


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
