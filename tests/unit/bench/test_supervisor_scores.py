"""The arithmetic by which judges are measured, against figures worked out by hand and against brute force."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.supervisor_scores import Scored, at, kappa, ranking, threshold
from policies.reliability import expected_error, reliability, wilson

runs = st.lists(
    st.builds(
        Scored,
        group=st.sampled_from(["a", "b", "c"]),
        bad=st.booleans(),
        score=st.integers(0, 100),
    ),
    max_size=30,
)


def scored(*scores: int, bad: bool) -> list[Scored]:
    return [Scored(group=str(index % 3), bad=bad, score=score) for index, score in enumerate(scores)]


@given(runs, st.sampled_from([0.0, 0.01, 0.03, 0.5]))
def test_a_threshold_keeps_its_promise_and_no_lower_one_does(found: list[Scored], most: float) -> None:
    limit = threshold(found, most)
    honest = [run for run in found if not run.bad]
    assert sum(run.score >= limit for run in honest) <= most * len(honest)
    assert all(sum(run.score >= lower for run in honest) > most * len(honest) for lower in range(1, limit))


def test_recall_and_precision_count_runs() -> None:
    found = at(scored(90, 80, 20, bad=True) + scored(80, 0, 0, 0, bad=False), 80)
    assert found.recall == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(2 / 3)
    assert found.interference == pytest.approx(1 / 4)
    assert found.recall_interval is not None
    assert found.recall_interval[0] <= 2 / 3 <= found.recall_interval[1]


def test_shares_of_nothing_are_none() -> None:
    found = at([], 50)
    assert (found.recall, found.precision, found.interference, found.recall_interval) == (None, None, None, None)
    assert ranking(scored(1, bad=True)) is None
    assert kappa([]) is None
    assert expected_error([]) is None


@given(runs)
def test_ranking_is_what_counting_every_pair_gives(found: list[Scored]) -> None:
    bad = [run.score for run in found if run.bad]
    honest = [run.score for run in found if not run.bad]
    if bad and honest:
        pairs = [(one > other) + (one == other) / 2 for one, other in product(bad, honest)]
        assert ranking(found) == pytest.approx(sum(pairs) / len(pairs))


def test_kappa_is_one_where_all_agree_and_nothing_where_chance_would_do() -> None:
    assert kappa([(True, True), (False, False)] * 5) == 1
    assert kappa([(True, True), (True, False), (False, True), (False, False)]) == 0
    assert kappa([(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15) == (
        pytest.approx(0.4)  # the textbook's example
    )
    assert kappa([(False, False)] * 3) is None


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=60))
def test_every_step_falls_into_one_bin(pairs: list[tuple[int, bool]]) -> None:
    bins = reliability(pairs)
    assert sum(each.steps for each in bins) == len(pairs)
    for each in bins:
        inside = [bad for score, bad in pairs if each.low <= score <= each.high]
        assert len(inside) == each.steps
        assert each.low <= each.mean <= each.high
        assert each.interval[0] <= each.share <= each.interval[1]


def test_scores_that_mean_what_they_say_have_no_error() -> None:
    assert expected_error(reliability([(50, True), (50, False)])) == 0
    assert expected_error(reliability([(90, False)] * 4)) == pytest.approx(0.9)


def test_the_interval_of_a_share() -> None:
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 0) == (0, 1)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1
