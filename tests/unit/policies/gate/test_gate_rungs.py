"""What each rung lets pass and what it does not, and that a ladder stops at the first that says no."""

import msgspec
import pytest

from policies.copies import shingles
from policies.digests import digest
from policies.gate.canary import Canary
from policies.gate.case import Approval, Exposure, Opinion, Pair, ShadowTally
from policies.gate.ladder import LADDER, RUNGS, climb, without
from policies.gate.memory import Memory
from policies.statistics import ABOVE
from policies.vocabulary.ladder import Decision, GateSettings, RungName
from policies.vocabulary.revisions import DeleteClause, DeleteLine, Edit, SetMode
from tests.unit.policies.gate.cases import AGREED, STRICTER, Given, case, line, pairs, proposal
from tests.unit.policies.revised import clause, parameters

SAFE = Canary(paired=True, not_worse=msgspec.structs.replace(ABOVE, fortunes=(9.0,)))
WORSE = Canary(paired=True, worse=msgspec.structs.replace(ABOVE, fortunes=(9.0,)))
TWO = parameters(clause(), clause("two"))


def said(rung: RungName, *edits: Edit, **fields: object) -> tuple[str, str]:
    decision = RUNGS[rung](case(*edits, **fields))  # type: ignore[arg-type]
    return decision.outcome, decision.why


def test_a_sound_tightening_climbs_the_whole_ladder_by_itself() -> None:
    climbed = climb(case(STRICTER, canary=SAFE))
    assert climbed.reached
    assert [decision.rung for decision in climbed.decisions] == list(LADDER)
    assert set(LADDER) == set(RungName.__args__)  # type: ignore[attr-defined]


def test_the_ladder_stops_where_it_is_refused_and_keeps_the_reason() -> None:
    climbed = climb(case(STRICTER, trials=Given(kept=pairs(5, 4, 191))))
    assert (climbed.last.rung, climbed.last.why, climbed.reached) == ("holdout", "not_significant", False)
    assert "anchors" not in {decision.rung for decision in climbed.decisions}


def test_a_climb_that_waited_goes_on_without_asking_again_what_has_passed() -> None:
    first = climb(case(STRICTER, shadow=ShadowTally(requests=10)))
    assert (first.last.rung, first.last.outcome) == ("shadow", "waiting")
    again = climb(case(STRICTER, canary=SAFE, trials=Given(kept=())), earlier=first.decisions)
    assert again.reached  # the hold-out was asked once


def test_without_headroom_nothing_is_tried() -> None:
    assert said("headroom", trials=Given(wrong=(0, 500))) == ("refused", "no_headroom")
    assert said("headroom", trials=Given(wrong=(1, 5000))) == ("refused", "no_headroom")
    assert said("headroom", trials=Given(wrong=(5, 100))) == ("passed", "fine")


def test_what_is_no_better_where_it_was_made_is_dropped() -> None:
    assert said("minibatch", trials=Given(mini=pairs(0, 0, 20))) == ("refused", "not_better")
    assert said("minibatch", trials=Given(mini=pairs(2, 5, 20))) == ("passed", "fine")
    assert said("minibatch", trials=Given(mini=pairs(1, 5, 20))) == ("refused", "not_better")


def test_near_copies_count_once() -> None:
    copies = [Pair(f"i{at}", 0.0, 1.0, "one task") for at in range(100)]
    alone = [Pair(f"i{at}", 0.0, 1.0) for at in range(6)]
    rest = pairs(same=100)
    assert said("holdout", trials=Given(kept=[*copies, *rest])) == ("refused", "not_significant")
    assert said("holdout", trials=Given(kept=[*alone, *[Pair(f"s{p.item}", 1, 1) for p in rest]])) == ("passed", "fine")


def test_attempts_cost() -> None:
    trials = Given(kept=pairs(9, 2, 189))  # p = 0.033
    wide = GateSettings(alpha=0.1)
    assert said("holdout", trials=trials, attempt=1, settings=wide) == ("passed", "fine")
    assert said("holdout", trials=trials, attempt=2, settings=wide) == ("refused", "not_significant")


def test_a_holdout_that_leaked_or_is_small_says_nothing() -> None:
    leaked = Exposure(seen=frozenset({"a", "b"}), kept=frozenset({"b"}))
    assert said("holdout", exposure=leaked) == ("abstained", "holdout_leaked")
    apart = Exposure(seen=frozenset({"a"}), kept=frozenset({"b"}))
    assert said("holdout", exposure=apart) == ("passed", "fine")
    words = Exposure(kept_words=shingles(["what only the held out sessions ever said"], 5))
    assert said("holdout", line("Only the held out sessions matter."), exposure=words) == (
        "abstained",
        "holdout_leaked",
    )
    assert said("holdout", trials=Given(kept=pairs(30))) == ("abstained", "holdout_too_small")


def test_one_lost_anchor_is_one_too_many_and_none_at_all_is_no_pass() -> None:
    assert said("anchors", trials=Given(marked=pairs(9, 1, 90))) == ("refused", "lost_an_anchor")
    assert said("anchors", trials=Given(marked=())) == ("abstained", "no_anchors")


@pytest.mark.parametrize(
    ("new", "honest", "budget", "expected"),
    [
        (0, 299, 0.01, "fine"),
        (0, 298, 0.01, "too_little_honest_traffic"),
        (20, 1000, 0.01, "over_budget"),
        (20, 1000, 0.05, "fine"),
        (1, 299, 0.01, "over_budget"),
    ],
)
def test_honest_work_is_disturbed_within_a_budget_or_not_at_all(
    new: int, honest: int, budget: float, expected: str
) -> None:
    trials = Given(clean=pairs(0, new, honest - new))
    settings = GateSettings(guard_budget=budget)
    assert said("fp_budget", trials=trials, settings=settings)[1] == expected


def test_many_small_disturbances_add_up() -> None:
    already = [Pair(f"a{at}", 0.0, 0.0) for at in range(60)]
    trials = Given(clean=[*already, *pairs(0, 3, 937)])
    assert said("fp_budget", trials=trials)[1] == "over_budget"
    assert said("fp_budget", trials=Given(clean=[*already, *pairs(0, 0, 940)]))[1] == "fine"


def opinions(better: int, worse: int, torn: int = 0) -> list[Opinion]:
    return [
        *[Opinion(f"b{at}", "child", "child") for at in range(better)],
        *[Opinion(f"w{at}", "parent", "parent") for at in range(worse)],
        *[Opinion(f"t{at}", "child", "parent") for at in range(torn)],
    ]


def test_a_second_judge_has_to_agree_in_either_order() -> None:
    told = line("Ask first.")
    assert said("second_opinion", told, trials=Given(opinions=opinions(9, 4))) == ("passed", "fine")
    assert said("second_opinion", told, trials=Given(opinions=opinions(4, 9))) == ("refused", "second_disagrees")
    assert said("second_opinion", told, trials=Given(opinions=opinions(9, 0, 5))) == ("refused", "order_matters")
    assert said("second_opinion", told) == ("abstained", "no_second")
    assert said("second_opinion", STRICTER) == ("passed", "fine")  # a replay is exact


def test_shadow_waits_for_requests_and_time_and_refuses_what_interferes() -> None:
    assert said("shadow", shadow=ShadowTally(requests=499)) == ("waiting", "watching")
    assert said("shadow", shadow=ShadowTally(requests=900), now_ns=5) == ("waiting", "watching")
    assert said("shadow", shadow=ShadowTally(requests=500, extra=20)) == ("refused", "shadow_interferes")


def test_only_exact_tightenings_go_live_by_themselves() -> None:
    assert said("approval") == ("passed", "fine")
    for given in (
        {"of": {"confirm": True}},
        {"of": {"aim": "narrows"}},
        {"first": True},
    ):
        assert said("approval", **given) == ("waiting", "needs_a_person")
    assert said("approval", line("Ask first.")) == ("waiting", "needs_a_person")
    assert said("approval", DeleteClause(clause="p/two"), start=TWO) == ("waiting", "needs_a_person")
    assert said("approval", by_itself_today=3) == ("waiting", "too_many_by_itself")
    assert said("approval", SetMode(clause="p/rule", mode="shadow"), approval=AGREED) == ("passed", "person_approved")
    no = Approval(by="anna", agreed=False, reason="no")
    assert said("approval", approval=no) == ("refused", "person_refused")


def test_the_canary_waits_passes_or_refuses() -> None:
    assert said("canary") == ("waiting", "comparing")
    assert said("canary", canary=SAFE) == ("passed", "fine")
    assert said("canary", canary=WORSE) == ("refused", "worse_live")


def test_what_was_taken_back_rests_with_all_that_it_touched() -> None:
    made = proposal()
    memory = Memory().with_rollback(made, until_ns=100)
    assert said("rollback", memory=memory, now_ns=1000) == ("refused", "refused_before")
    other = DeleteClause(clause="p/rule")
    start = parameters(clause(), clause("two"))
    assert said("rollback", other, start=start, memory=memory, now_ns=50) == ("refused", "cooling_down")
    assert said("rollback", other, start=start, memory=memory, now_ns=100) == ("passed", "fine")


def test_each_component_of_what_was_taken_back_rests() -> None:
    made = proposal(SetMode(clause="p/rule", mode="shadow"), SetMode(clause="p/two", mode="shadow"), start=TWO)
    memory = Memory().with_rollback(made, until_ns=100)
    for name in ("p/rule", "p/two"):
        again = DeleteClause(clause=name)
        assert said("rollback", again, start=TWO, memory=memory, now_ns=50) == ("refused", "cooling_down")


def test_who_takes_room_away_has_to_disturb_nobody_and_to_be_agreed_to() -> None:
    narrow = {"of": {"aim": "narrows"}}
    still = Given(wrong=(0, 500), mini=pairs(same=20), kept=pairs(same=300))
    climbed = climb(case(STRICTER, trials=still, **narrow))
    assert (climbed.last.rung, climbed.last.why) == ("approval", "needs_a_person")
    assert said("minibatch", trials=Given(mini=pairs(5, 1)), **narrow) == ("refused", "disturbs")
    assert said("holdout", trials=Given(kept=pairs(9, 3, 288)), **narrow) == ("refused", "disturbs")


def test_what_people_wrote_is_tried_where_they_agree_and_only_live_traffic_shows_it() -> None:
    picked = line("Ask before you send.")
    library = {"lines/learned": digest(picked.line.text)}
    climbed = climb(case(picked, of={"aim": "tries"}, library=library, trials=Given(mini=(), kept=())))
    assert (climbed.last.rung, climbed.last.why) == ("approval", "needs_a_person")
    assert not climbed.asked_holdout, "no look was taken, so no attempt is counted"
    left = case(
        DeleteLine(line="learned"), of={"aim": "tries"}, start=parameters(instructions=(picked.line,)),
        trials=Given(mini=(), kept=()),
    )  # fmt: skip
    assert climb(left).last.rung == "approval"


def test_who_says_that_people_wrote_it_and_brings_his_own_is_refused() -> None:
    library = {"lines/learned": digest("Ask before you send.")}
    for edit in (line("Send at once."), STRICTER):
        climbed = climb(case(edit, of={"aim": "tries"}, library=library))
        assert (climbed.last.rung, climbed.last.why) == ("lint", "not_from_people")


def test_a_ladder_without_a_rung_does_not_ask_it() -> None:
    bad = Given(kept=pairs(5, 5, 190))
    assert not climb(case(STRICTER, trials=bad, canary=SAFE)).reached
    assert climb(case(STRICTER, trials=bad, canary=SAFE), without("holdout")).reached


def test_decisions_are_read_as_they_were_written() -> None:
    decision = climb(case(STRICTER)).decisions[4]
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision
