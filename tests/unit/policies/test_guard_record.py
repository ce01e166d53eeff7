"""How often guards were wrong, and what the record itself says went wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.guard_record import GuardRecord, Look, guard_records
from policies.outcomes import Acted, Outcome, Turned, outcomes
from policies.vocabulary.signals import WEIGHTS, Says, Signal

CLAUSE = "p/rule"


def look(step: str, *, fired: bool, guard: str = "pattern.0", clause: str = CLAUSE) -> Look:
    return Look(session_id="s", step=step, clause=clause, guard=guard, fired=fired)


def label(step: str, says: Says, who: str = "person:Ann", clause: str | None = None) -> Signal:
    return Signal(
        kind="label", says=says, app="a", session_id="s", principal=who, step=step, at_ns=1,
        weight=WEIGHTS["label", says], clause=clause,
    )  # fmt: skip


def only(looks: list[Look], signals: list[Signal]) -> GuardRecord:
    (found,) = guard_records(looks, signals)
    return found


def test_each_way_to_be_right_or_wrong_is_counted_once_a_step() -> None:
    looks = [look("a", fired=True), look("b", fired=True), look("c", fired=False), look("d", fired=False)]
    signals = [label("a", "violation"), label("b", "ok"), label("c", "violation", "person:Bob"), label("d", "ok")]
    found = only([*looks, *looks], [*signals, *signals])
    assert (found.caught, found.false_alarms, found.missed, found.silent) == (1, 1, 1, 1)
    assert found.voices == 2
    for low, high in (found.false_alarm_rate, found.missed_rate):
        assert 0 < low < 0.5 < high < 1


def test_a_miss_is_no_guards_own_where_another_of_its_clause_found_it() -> None:
    looks = [look("a", fired=False), look("a", fired=True, guard="secrets.1")]
    found = {each.guard: each for each in guard_records(looks, [label("a", "violation")])}
    assert (found["pattern.0"].missed, found["secrets.1"].caught) == (0, 1)


def test_what_was_said_of_one_clause_says_nothing_of_another() -> None:
    looks = [look("a", fired=False), look("a", fired=False, clause="p/other")]
    found = {each.clause: each for each in guard_records(looks, [label("a", "violation", clause=CLAUSE)])}
    assert (found[CLAUSE].missed, found["p/other"].missed) == (1, 0)


def test_contradicting_voices_decide_nothing_and_are_shown() -> None:
    found = only([look("a", fired=True)], [label("a", "ok"), label("a", "violation", "person:Bob")])
    assert (found.contested, found.false_alarms, found.caught) == (1, 0, 0)


def test_what_nobody_spoke_of_is_no_record() -> None:
    assert guard_records([look("a", fired=True)], []) == ()
    assert guard_records([look("a", fired=True)], [label("b", "ok")]) == ()


@given(st.integers(0, 400))
def test_one_key_that_floods_labels_counts_up_to_its_limit(many: int) -> None:
    steps = [f"s{at}" for at in range(many)]
    found = guard_records([look(step, fired=True) for step in steps], [label(step, "ok", "key_1") for step in steps])
    assert sum(each.false_alarms for each in found) == min(many, 50)


def turn(*steps: str, **more: object) -> Turned:
    return Turned(steps=tuple([Acted(step, "tool_call") for step in steps]), at_ns=1, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "kind"),
    [({"status": 400}, "error"), ({"retried": True}, "retry"), ({"finish_reasons": ("refusal",)}, "refusal")],
)
def test_what_went_wrong_speaks_of_the_last_step_of_its_turn(more: dict[str, object], kind: str) -> None:
    assert outcomes([turn("a", "b", **more)]) == (Outcome(kind, "b", 1),)  # type: ignore[arg-type]
    assert outcomes([turn(**more)]) == ()


@pytest.mark.parametrize("status", [200, 401, 429, 500, None])
def test_a_provider_that_is_busy_or_broken_says_nothing_of_a_step(status: int | None) -> None:
    assert outcomes([turn("a", status=status)]) == ()


def test_the_third_equal_call_is_a_loop_and_a_dear_turn_is_noted() -> None:
    assert outcomes([turn("a"), turn("a")]) == ()
    assert [each.kind for each in outcomes([turn("a"), turn("a"), turn("a")])] == ["loop"]
    cheap = [turn(f"s{at}", cost_micro_usd=10) for at in range(5)]
    assert [each.step for each in outcomes([*cheap, turn("dear", cost_micro_usd=101)])] == ["dear"]
    assert outcomes([*cheap[:3], turn("dear", cost_micro_usd=10_000)]) == ()
