"""A canary's word: how much evidence it takes, and what is bet on of the other arm."""

import math

import pytest

from policies.gate.canary import Canary, arm_of, seen, standing
from policies.statistics import ABOVE, Block, Tally, Wager
from policies.vocabulary.ladder import GateSettings

SETTINGS = GateSettings()
HARMED = Tally(harmed=1, sessions=1)


def won(units: float) -> Wager:
    """A wager that has come to so many times what was put into it."""
    return Wager(fortunes=(math.log(units),))


@pytest.mark.parametrize("paired", [True, False], ids=["paired", "two arms"])
def test_either_word_takes_as_much_evidence_as_its_error_allows(*, paired: bool) -> None:
    wanted = 1.0 / SETTINGS.canary_alpha
    for units, worse, better in ((wanted * 0.999, "comparing", "comparing"), (wanted * 1.001, "worse", "not_worse")):
        assert standing(Canary(paired=paired, worse=won(units)), SETTINGS) == worse
        assert standing(Canary(paired=paired, not_worse=won(units)), SETTINGS) == better


def test_a_session_of_the_candidate_waits_for_one_of_the_other_arm() -> None:
    alone = seen(Canary(), "candidate", SETTINGS, harm=True)
    assert (alone.worse, alone.candidate, alone.block.candidate) == (ABOVE, HARMED, HARMED)
    beside = seen(alone, "in_force", SETTINGS, harm=False)
    assert (beside.worse, beside.in_force) == (ABOVE, Tally(harmed=0, sessions=1))
    after = seen(beside, "candidate", SETTINGS, harm=True)
    assert (after.block, after.candidate) == (Block(), Tally(harmed=2, sessions=2))
    assert after.worse.won > 1.0 > after.not_worse.won


def test_what_is_expected_of_the_other_arm_was_seen_before_the_sessions_that_are_bet_on() -> None:
    often = seen(Canary(in_force=Tally(harmed=40, sessions=50)), "in_force", SETTINGS, harm=False)
    never = seen(Canary(in_force=Tally(harmed=0, sessions=50)), "in_force", SETTINGS, harm=False)
    words = [seen(each, "candidate", SETTINGS, harm=True).worse.won for each in (often, never)]
    lately = seen(Canary(in_force=Tally(harmed=0, sessions=50)), "in_force", SETTINGS, harm=True)
    assert words[0] < words[1]
    assert seen(lately, "candidate", SETTINGS, harm=True).worse.won < words[1]


def drawn(proposal: str, share: float, of: int) -> set[int]:
    """Which of so many sessions are in the candidate's arm."""
    return {number for number in range(of) if arm_of(f"s{number}", proposal, share) == "candidate"}


def test_an_arm_is_drawn_alike_in_every_process_and_of_each_proposal_for_itself() -> None:
    assert drawn("p", 0.1, 60) == {21, 44, 53}, "as it was in the process before, and is in every worker"
    p, q = drawn("p", 0.1, 4000), drawn("q", 0.1, 4000)
    assert all(330 < len(each) < 470 for each in (p, q))
    assert len(p & q) < 80, "who is in one canary is not in the next because of it"
    assert drawn("p", 0.05, 4000) < p, "who was in stays in where the share grows"
