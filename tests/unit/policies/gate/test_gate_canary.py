"""A canary's word: how much evidence it takes, and what is known of the other arm."""

import math

import pytest

from policies.gate.canary import INTERVAL_PART, Canary, seen, standing
from policies.statistics import Tally, Wager
from policies.vocabulary.ladder import GateSettings

SETTINGS = GateSettings()


def won(units: float) -> Wager:
    """A wager that has come to so many times what was put into it."""
    return Wager(fortunes=(math.log(units),))


@pytest.mark.parametrize("paired", [True, False], ids=["paired", "two arms"])
def test_the_evidence_for_either_word_leaves_room_for_the_error_of_the_other_arms_interval(*, paired: bool) -> None:
    wanted = 1.0 / (SETTINGS.canary_alpha * (1.0 if paired else 1.0 - INTERVAL_PART))
    for units, worse, better in ((wanted * 0.999, "comparing", "comparing"), (wanted * 1.001, "worse", "not_worse")):
        assert standing(Canary(paired=paired, worse=won(units)), SETTINGS) == worse
        assert standing(Canary(paired=paired, not_worse=won(units)), SETTINGS) == better


def test_what_is_once_known_of_the_other_arm_is_not_unlearned() -> None:
    known = Canary(low=0.4, high=0.41, drawn=10, in_force=Tally(harmed=20, sessions=50))
    after = seen(known, "candidate", SETTINGS, harm=False)
    assert (after.low, after.high, after.drawn) == (0.4, 0.41, 50)


def test_the_other_arms_interval_is_drawn_again_only_once_it_has_grown() -> None:
    grown = Canary(drawn=100, in_force=Tally(harmed=10, sessions=106))
    assert seen(grown, "candidate", SETTINGS, harm=False).drawn == 106
    same = Canary(drawn=100, in_force=Tally(harmed=10, sessions=105))
    after = seen(same, "candidate", SETTINGS, harm=False)
    assert (after.drawn, after.low, after.high) == (100, 0.0, 1.0)
    assert after.candidate == Tally(harmed=0, sessions=1)
