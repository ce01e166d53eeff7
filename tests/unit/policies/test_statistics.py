"""The figures decisions rest on, against brute force."""

import math
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.statistics import (
    ABOVE,
    BELOW,
    Block,
    Tally,
    at_least,
    at_most,
    bet_above,
    bet_below,
    bet_less,
    bet_more,
    more_often,
    posterior_lower,
    rate_at_least,
    rate_at_most,
    sign_test,
    spent,
)

RATES = st.floats(0.01, 0.99)


@given(st.integers(0, 9), st.integers(0, 10), RATES)
def test_tails_are_those_of_every_sequence_counted(trials: int, successes: int, rate: float) -> None:
    brute = math.fsum(
        rate ** sum(flips) * (1 - rate) ** (trials - sum(flips))
        for flips in product((0, 1), repeat=trials)
        if sum(flips) >= successes
    )
    assert at_least(successes, trials, rate) == pytest.approx(brute, abs=1e-12)


@given(st.integers(1, 400), st.data(), RATES)
def test_both_tails_share_the_middle(trials: int, data: st.DataObject, rate: float) -> None:
    successes = data.draw(st.integers(0, trials))
    middle = at_least(successes, trials, rate) + at_most(successes, trials, rate)
    here = math.comb(trials, successes) * rate**successes * (1 - rate) ** (trials - successes)
    assert middle == pytest.approx(1 + here, abs=1e-9)


@given(st.integers(0, 12), st.integers(0, 12))
def test_the_sign_test_is_the_share_of_fair_coins(wins: int, losses: int) -> None:
    of = wins + losses
    exact = Fraction(sum(math.comb(of, k) for k in range(wins, of + 1)), 2**of)
    assert sign_test(wins, losses) == pytest.approx(float(exact), abs=1e-12)


@pytest.mark.parametrize(("wins", "losses", "p"), [(8, 1, 0.0195), (10, 2, 0.0193), (5, 0, 0.03125)])
def test_known_values_of_the_sign_test(wins: int, losses: int, p: float) -> None:
    assert sign_test(wins, losses) == pytest.approx(p, abs=1e-4)


@pytest.mark.parametrize(("trials", "bound"), [(59, 0.05), (299, 0.01), (598, 0.005), (2995, 0.001)])
def test_how_many_clean_items_show_how_low_a_rate(trials: int, bound: float) -> None:
    assert rate_at_most(0, trials) <= bound < rate_at_most(0, trials - 1)


@given(st.integers(1, 60), st.data(), RATES)
def test_an_exact_bound_misses_no_more_often_than_it_says(trials: int, data: st.DataObject, truth: float) -> None:
    confidence = data.draw(st.sampled_from([0.8, 0.9, 0.95]))
    missed = math.fsum(
        math.comb(trials, seen) * truth**seen * (1 - truth) ** (trials - seen)
        for seen in range(trials + 1)
        if rate_at_most(seen, trials, confidence=confidence) < truth
    )
    assert missed <= 1 - confidence + 1e-9


@given(st.integers(0, 50), st.integers(1, 50))
def test_bounds_lie_around_what_was_seen(successes: int, more: int) -> None:
    trials = successes + more
    assert rate_at_least(successes, trials) <= successes / trials <= rate_at_most(successes, trials)


@pytest.mark.parametrize(("confirmed", "bound"), [(10, 0.76), (28, 0.90)])
def test_reports_that_all_agree_are_believed_slowly(confirmed: int, bound: float) -> None:
    assert posterior_lower(confirmed, 0) == pytest.approx(bound, abs=0.005)
    assert posterior_lower(confirmed, 1) < posterior_lower(confirmed, 0)


def test_a_posterior_bound_is_that_of_the_density() -> None:
    steps = 20000
    density = [(at / steps) ** 7 * (1 - at / steps) ** 2 for at in range(steps + 1)]
    below, part = 0.0, 0.05 * sum(density)
    for at, value in enumerate(density):
        below += value
        if below >= part:
            assert posterior_lower(7, 2) == pytest.approx(at / steps, abs=1e-3)
            return
    raise AssertionError


@given(st.floats(0.001, 0.2), st.integers(1, 500))
def test_all_attempts_together_spend_what_is_allowed(alpha: float, attempts: int) -> None:
    assert sum(spent(alpha, attempt) for attempt in range(1, attempts + 1)) <= alpha + 1e-12


@given(st.floats(0.01, 0.5), st.floats(0.0, 0.5))
def test_no_bet_gains_in_the_mean_while_its_claim_is_true(claimed: float, less: float) -> None:
    """Exactly, over both outcomes: the mean of what one observation makes of a unit is 1 at most."""
    for bet, start, truth in ((bet_above, ABOVE, claimed - less), (bet_below, BELOW, claimed + less)):
        rate = min(1.0, max(0.0, truth))
        mean = rate * bet(start, claimed, harm=True).won + (1 - rate) * bet(start, claimed, harm=False).won
        assert mean <= 1 + 1e-9


def test_of_nothing_known_nothing_is_bet() -> None:
    assert bet_above(ABOVE, 1.0, harm=True) == ABOVE
    assert bet_below(BELOW, 0.9, harm=False) == BELOW


@given(
    st.floats(0.0001, 0.6),
    st.floats(0.005, 0.2),
    st.integers(1, 4),
    st.integers(1, 12),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_no_bet_between_two_arms_gains_in_the_mean_while_its_claim_is_true(
    expected: float, margin: float, candidates: int, others: int, rate: float, within: float
) -> None:
    """Exactly, over every outcome of a block, for any two rates that the claim allows."""
    for bet, start, gap in (
        (bet_more, ABOVE, margin * within - (1 - within) * rate),
        (bet_less, BELOW, margin + (1 - margin - rate) * within),
    ):
        mine = min(1.0, max(0.0, rate + gap))
        mean = math.fsum(
            math.comb(candidates, harmed) * mine**harmed * (1 - mine) ** (candidates - harmed)
            * math.comb(others, hurt) * rate**hurt * (1 - rate) ** (others - hurt)
            * bet(
                start,
                margin,
                Block(
                    candidate=Tally(harmed=harmed, sessions=candidates), in_force=Tally(harmed=hurt, sessions=others)
                ),
                expected,
            ).won
            for harmed in range(candidates + 1)
            for hurt in range(others + 1)
        )  # fmt: skip
        if (mine - rate <= margin) == (bet is bet_more):
            assert mean <= 1 + 1e-6


def test_of_one_arm_alone_nothing_is_bet() -> None:
    alone = Block(candidate=Tally(harmed=3, sessions=3))
    assert bet_more(ABOVE, 0.02, alone, 0.05) == ABOVE
    assert bet_less(BELOW, 0.02, alone, 0.05) == BELOW


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_harm_falls_so_unevenly_by_luck_as_often_as_all_ways_to_deal_it_out_say(
    of: int, others: int, data: Any
) -> None:
    harmed, others_harmed = data.draw(st.integers(0, of)), data.draw(st.integers(0, others))
    ways = list(combinations(range(of + others), harmed + others_harmed))
    brute = sum(sum(at < of for at in way) >= harmed for way in ways) / len(ways)
    assert more_often(harmed, of, others_harmed, others) == pytest.approx(brute)
