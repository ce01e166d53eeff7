"""What the gate promises over many runs: seldom wrong, seldom blind, quick to take back."""

import random
from statistics import median

import msgspec
import pytest

from policies.gate.canary import Canary, Standing, arm_of, seen, standing
from policies.gate.case import Pair
from policies.gate.ladder import climb
from policies.statistics import Tally, at_least
from policies.vocabulary.ladder import GateSettings, RungName
from tests.unit.policies.gate.cases import STRICTER, Given, case

RUNS = 1000
ATTEMPTS = 5
"""Edits that one run tries on one hold-out."""

HOLDOUT = 200
"""The documented size of a hold-out."""

STATISTICAL: tuple[RungName, ...] = ("minibatch", "holdout")
ALPHA = GateSettings().alpha
BASE = case(STRICTER)


def looks(lot: random.Random, of: int, before: float, after: float) -> list[Pair]:
    return [Pair(f"i{at}", float(lot.random() < before), float(lot.random() < after)) for at in range(of)]


def tried(lot: random.Random, attempt: int, before: float, after: float) -> tuple[bool, bool]:
    """One edit: whether the gate takes it, and whether a bare "new > old" on the minibatch does."""
    trials = Given(mini=looks(lot, 3, before, after), kept=looks(lot, HOLDOUT, before, after))
    bare = sum(pair.after for pair in trials.mini) > sum(pair.before for pair in trials.mini)
    return climb(msgspec.structs.replace(BASE, trials=trials, attempt=attempt), STATISTICAL).reached, bare


def test_an_edit_that_changes_nothing_is_taken_no_more_often_than_declared() -> None:
    lot = random.Random(20261129)
    taken = bare_taken = 0
    for _ in range(RUNS):
        fooled = bare_fooled = False
        attempt = 1
        for _ in range(ATTEMPTS):
            gate, bare = tried(lot, attempt, 0.7, 0.7)
            fooled, bare_fooled, attempt = fooled or gate, bare_fooled or bare, attempt + 1
        taken, bare_taken = taken + fooled, bare_taken + bare_fooled
    assert at_least(taken, RUNS, ALPHA) > 0.01, f"{taken} of {RUNS} runs took an edit that changes nothing"
    assert bare_taken > RUNS / 2, "a bare new > old takes such edits in most runs"


def test_an_edit_that_is_fifteen_points_better_is_taken_in_four_of_five_runs() -> None:
    lot = random.Random(7)
    taken = 0
    for _ in range(400):
        trials = Given(mini=looks(lot, 30, 0.6, 0.75), kept=looks(lot, HOLDOUT, 0.6, 0.75))
        taken += climb(msgspec.structs.replace(BASE, trials=trials), STATISTICAL).reached
    assert taken >= 0.8 * 400


@pytest.mark.parametrize(("budget", "taken"), [(0.01, False), (0.05, True)])
def test_a_guard_with_two_in_a_hundred_false_positives(budget: float, taken: bool) -> None:  # noqa: FBT001
    lot = random.Random(3)
    settings = GateSettings(guard_budget=budget, total_budget=0.06)
    outcomes: list[bool] = []
    for _ in range(50):
        clean = [Pair(f"i{at}", 1.0, float(lot.random() >= 0.02)) for at in range(1000)]
        made = msgspec.structs.replace(BASE, trials=Given(clean=clean), settings=settings)
        outcomes.append(climb(made, ["fp_budget"]).reached)
    assert outcomes.count(taken) >= 49


# ---------------------------------------------------------------------------------------------------------- canary


def watched(lot: random.Random, before: float, after: float, *, paired: bool, most: int) -> tuple[Standing, int]:
    """A canary to its end: what it says, and after how many of the candidate's sessions."""
    settings = GateSettings()
    history = 0 if paired else 1000
    harmed = sum(lot.random() < before for _ in range(history))
    canary = Canary(paired=paired, in_force=Tally(harmed=harmed, sessions=history))
    while canary.candidate.sessions < most:
        arm = arm_of(str(lot.random()), "edit", settings.canary_share)
        rate = max(0.0, after - before) if paired else after
        canary = seen(canary, arm, settings, harm=lot.random() < (rate if arm == "candidate" else before))
        if (stands := standing(canary, settings)) != "comparing":
            return stands, canary.candidate.sessions
    return "comparing", most


@pytest.mark.parametrize(("paired", "before"), [(True, 0.02), (False, 0.0), (False, 0.02), (False, 0.05), (False, 0.1)])
def test_ten_points_more_harm_are_rolled_back_within_two_hundred_sessions(paired: bool, before: float) -> None:  # noqa: FBT001
    runs = [watched(random.Random(seed), before, before + 0.1, paired=paired, most=600) for seed in range(40)]
    assert [stands for stands, _ in runs].count("worse") >= 37
    assert median(sessions for _, sessions in runs) <= (100 if before <= 0.02 else 200)


@pytest.mark.parametrize("paired", [True, False])
def test_what_is_no_worse_is_seldom_rolled_back(paired: bool) -> None:  # noqa: FBT001
    runs = [watched(random.Random(seed), 0.02, 0.02, paired=paired, most=400) for seed in range(60)]
    assert [stands for stands, _ in runs].count("worse") <= 3


@pytest.mark.parametrize("paired", [True, False])
def test_what_is_just_within_the_margin_is_seldom_rolled_back(paired: bool) -> None:  # noqa: FBT001
    margin = GateSettings().canary_margin
    runs = [watched(random.Random(seed), 0.05, 0.05 + margin, paired=paired, most=400) for seed in range(60)]
    assert [stands for stands, _ in runs].count("worse") <= 3 + 4  # 5 % and what chance adds in 60 runs


def test_what_is_no_worse_is_let_through_in_time() -> None:
    runs = [watched(random.Random(seed), 0.02, 0.02, paired=True, most=2000) for seed in range(20)]
    assert [stands for stands, _ in runs].count("not_worse") == 20


def test_a_session_stays_in_its_arm_and_arms_of_two_edits_are_independent() -> None:
    sessions = [f"session-{at}" for at in range(4000)]
    arms = [arm_of(session, "edit", 0.1) for session in sessions]
    assert arms == [arm_of(session, "edit", 0.1) for session in sessions]
    assert 320 <= arms.count("candidate") <= 480
    both = sum(
        arm_of(session, "other", 0.1) == mine == "candidate" for session, mine in zip(sessions, arms, strict=True)
    )
    assert both <= 80
