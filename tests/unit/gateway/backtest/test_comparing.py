"""What counts as a flip, whose it is, what is hypothetical behind it, and what an approval is good for."""

from typing import Any

import msgspec
import pytest

from gateway.backtest.comparison import AMBIGUOUS, OUT_OF_TIME, UNREMEMBERED, compare, masked
from gateway.backtest.history import Turn, moments_of, turns_of
from gateway.backtest.playback import Decisions
from gateway.backtest.replay import Replayed
from gateway.backtest.tally import Tally
from gateway.stations.own_clauses import CHANGED, RETOLD, SHADOWING, UNSEEN
from policies.edits import Edit
from policies.vocabulary.backtests import Backtest
from policies.vocabulary.coverage import Examined
from policies.vocabulary.exchanges import Body, Exchange, Recording
from policies.vocabulary.findings import Evidence, Finding
from policies.vocabulary.holds import Hold, HoldAsk, HoldState
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Side, Step
from policies.vocabulary.verdicts import Verdict

JOIN = Join(
    session_id="s1", branch_id="b1", evidence="none", relation="opens", derived=True, trace_id=b"", branch_span_id=b""
)
REJECT = Verdict(name="reject", reason="action_not_allowed", clauses=("p/stop",))
FLAG = Verdict(name="flag", clauses=("p/mark",))
REDACT = Verdict(name="redact", reason="sensitive_data", clauses=("p/cut",))


def exchange(name: str = "x1", **facts: Any) -> Exchange:
    return Exchange(
        exchange_id=name, join=JOIN, app="default", provider="anthropic", operation="chat",
        method="POST", path="/v1/messages", outcome="complete", started_ns=1, ended_ns=9, server_span_id=b"",
        client_span_id=b"", **{"dialect": "anthropic", **facts},
    )  # fmt: skip


def step(seq: int, side: Side = "response") -> Step:
    return Step(
        step_id=f"x.{seq}", exchange_id="x1", session_id="s1", branch_id="b1", seq=seq, kind="tool_call",
        fidelity="witnessed", side=side, tool="pay", started_ns=1, ended_ns=1, span_id=b"",
    )  # fmt: skip


def said(seq: int, verdict: Verdict, **more: Any) -> StepJudgement:
    return StepJudgement(seq=seq, verdict=verdict, **more)


def judged(*steps: StepJudgement, **more: Any) -> Judged:
    return Judged(ruleset="r", steps=steps, **more)


def recording(now: Judged | None, *steps: Step, **facts: Any) -> Recording:
    nothing = Body(raw=b"", length=0)
    return Recording(exchange=exchange("n1", **facts), request=nothing, response=nothing, steps=steps, judged=now)


def tally(*turns: tuple[Judged | None, Recording]) -> Backtest:
    """The report over turns of one session, each with what was said then and what is said now."""
    counted = Tally(examples=2, text_of=lambda *_: "text")
    hypothetical = False
    for number, (then, now) in enumerate(turns):
        mine = exchange(f"x{number}")
        verdicts = compare(Replayed(turn=Turn(exchange=mine), recordings=(now,)), {mine.exchange_id: then})
        hypothetical = counted.add(mine, verdicts, hypothetical=hypothetical)
    return counted.report(policies=("p",), enforce=True, left_out=0)


@pytest.mark.parametrize("own", [RETOLD, CHANGED, SHADOWING])
def test_what_a_keeper_remembers_is_no_flip_and_names_no_clause(own: str) -> None:
    alone = Verdict(name="flag", clauses=(own,))
    both = Verdict(name="flag", clauses=("p/mark", own))
    assert tally((judged(said(0, alone)), recording(None, step(0)))).flips == ()
    (flip,) = tally((judged(said(0, both)), recording(None, step(0)))).flips
    assert (flip.clause, flip.before, flip.after) == ("p/mark", "flag", "allow")


def test_what_was_judged_without_what_came_before_is_not_compared_with_what_is_judged_behind_it() -> None:
    found = tally((judged(said(0, REJECT), partial=True), recording(judged(said(0, FLAG)), step(0))))
    assert (found.flips, [each.why for each in found.unreplayed]) == ((), [UNREMEMBERED])


def test_a_pair_with_a_tool_server_is_judged_twice_and_what_came_in_between_is_judged_in_between() -> None:
    slow = exchange("a", dialect="mcp", first_byte_ns=5)
    quick = exchange("b", dialect="mcp", first_byte_ns=3)
    quick = msgspec.structs.replace(quick, started_ns=2)
    model = msgspec.structs.replace(exchange("c"), started_ns=4)
    order = [(moment.turn.exchange.exchange_id, moment.ends) for moment in moments_of(turns_of([slow, quick, model]))]
    assert order == [("a", False), ("b", False), ("b", True), ("c", True), ("a", True)]


def test_a_step_that_would_be_stopped_is_its_clauses_flip_and_what_follows_is_hypothetical() -> None:
    found = tally(
        (None, recording(judged(said(0, REJECT)), step(0))), (None, recording(judged(said(0, FLAG)), step(0)))
    )
    changes = [(each.clause, each.before, each.after, each.steps, each.hypothetical) for each in found.flips]
    assert changes == [("p/stop", "allow", "reject", 1, 0), ("p/mark", "allow", "flag", 0, 1)]
    assert (found.flipped, found.hypothetical, found.holds) == (1, 1, False)
    assert (found.then.steps, found.now.steps, found.now.sessions) == (0, 1, 1)
    assert found.flips[0].examples[0].text == "text"


def test_a_flag_more_changes_nothing_that_follows() -> None:
    found = tally(
        (None, recording(judged(said(0, FLAG)), step(0))), (None, recording(judged(said(0, REJECT)), step(0)))
    )
    assert (found.flipped, found.hypothetical) == (2, 0)


def test_a_step_that_would_pass_is_the_flip_of_the_clause_that_stopped_it() -> None:
    (flips,) = tally((judged(said(0, REJECT)), recording(judged(), step(0)))).flips
    assert (flips.clause, flips.before, flips.after) == ("p/stop", "reject", "allow")
    assert flips.examples[0].reason is None


def test_a_reply_to_a_request_that_would_be_another_is_hypothetical_and_the_rest_of_the_request_is_not() -> None:
    now = recording(
        judged(said(0, REDACT), said(1, FLAG), said(2, FLAG)), step(0, "request"), step(1, "request"), step(2)
    )
    found = tally((None, now))
    assert (found.flipped, found.hypothetical) == (2, 1)


def test_the_same_verdict_about_other_bytes_is_a_flip_of_whoever_asks_on_one_side_alone() -> None:
    both = Verdict(name="redact", reason="sensitive_data", clauses=("p/cut", "p/trim"))
    cut = Edit(start=0, end=3, label="a", text="[redacted:a]", change="redact")
    then = judged(said(0, both, edits=(cut, Edit(start=5, end=7, label="b", text="[redacted:b]", change="redact"))))
    (flips,) = tally((then, recording(judged(said(0, REDACT, edits=(cut,))), step(0)))).flips
    assert (flips.clause, flips.before, flips.after) == ("p/trim", "redact", "redact")


def test_the_same_verdict_in_another_shape_flips_nothing_but_what_follows_is_hypothetical() -> None:
    answered, refused = judged(said(0, REJECT)), Verdict(name="reject", reason="action_not_allowed", recover="refused")
    found = tally(
        (answered, recording(judged(said(0, refused)), step(0))), (None, recording(judged(said(0, FLAG)), step(0)))
    )
    assert (found.flipped, found.hypothetical) == (0, 1)


def test_a_step_is_left_out_where_a_guard_ran_out_of_time_then() -> None:
    late = Examined(clause="p/stop", guard="pattern.0", seq=0, state="error", skipped="deadline")
    found = tally((judged(said(0, REJECT, coverage=(late,))), recording(judged(said(1, FLAG)), step(0), step(1))))
    assert (found.flipped, found.steps) == (1, 1)
    assert [each.why for each in found.unreplayed] == [OUT_OF_TIME]


def test_an_exchange_is_left_out_where_only_one_side_remembers_what_the_provider_holds() -> None:
    blind = judged(said(0, FLAG), unread="server_side_history")
    found = tally((blind, recording(judged(said(0, REJECT)), step(0))))
    assert (found.flips, [each.why for each in found.unreplayed]) == ((), [UNREMEMBERED])


def test_what_no_guard_can_read_and_what_is_ambiguous_flips_the_exchange_as_a_whole() -> None:
    unread = judged(unread="not_understood", verdict=Verdict(name="reject", clauses=(UNSEEN,)))
    refused = recording(None, error_type="ambiguous_json")
    found = tally((None, recording(unread)), (None, refused))
    assert {(each.clause, each.after) for each in found.flips} == {(UNSEEN, "reject"), (AMBIGUOUS, "reject")}
    assert {flip.seq for each in found.flips for flip in each.examples} == {None}


def test_examples_are_few_and_those_for_certain_come_first() -> None:
    stop = (None, recording(judged(said(0, REJECT)), step(0)))
    counted = Tally(examples=2, text_of=lambda *_: None)
    for number, hypothetical in enumerate((True, True, True, False)):
        mine = exchange(f"x{number}")
        verdicts = compare(Replayed(turn=Turn(exchange=mine), recordings=(stop[1],)), {})
        counted.add(mine, verdicts, hypothetical=hypothetical)
    (flips,) = counted.report(policies=(), enforce=True, left_out=0).flips
    assert [flip.exchange_id for flip in flips.examples] == ["x3", "x0"]
    assert (flips.steps, flips.hypothetical) == (1, 3)


def test_requests_of_ours_belong_to_the_turn_in_whose_place_they_stand() -> None:
    ours = [exchange("o1", in_place_of="x1"), exchange("o2", in_place_of="x1")]
    turns = turns_of([ours[0], exchange("x0"), ours[1], exchange("x1")])
    assert [(turn.exchange.exchange_id, [each.exchange_id for each in turn.again]) for turn in turns] == [
        ("x0", []),
        ("x1", ["o1", "o2"]),
    ]


def hold(state: HoldState, decided_ns: int, revision: bytes = b"r" * 32) -> Hold:
    asked = HoldAsk(
        binding=revision, exchange_id="x1", session_id="s1", app="default", kind="tool_call", tool="pay",
        text='{"to": "Ann"}', clauses=("p/ask",), reason="needs_approval", at_ns=1,
    )  # fmt: skip
    return Hold(hold_id="h", ask=asked, state=state, expires_ns=9, decided_ns=decided_ns)


def test_an_approval_lets_the_step_pass_once_as_it_did_then_whatever_clause_asks_now() -> None:
    decisions = Decisions([hold("used", 5), hold("rejected", 4)])
    asked = hold("waiting", 0, b"z" * 32).ask
    assert not decisions.use(asked, until_ns=4)  # nobody had said yes by then
    assert decisions.use(asked, until_ns=6)
    assert not decisions.use(asked, until_ns=6)


@pytest.mark.parametrize(("longest", "shown"), [(100, "key … end"), (4, "key …"), (2, "ke…")])
def test_secrets_are_masked_in_what_is_shown(longest: int, shown: str) -> None:
    evidence = (Evidence(start=4, end=10, label="github-pat"), Evidence(start=6, end=9))
    secret = Finding(clause="p/c", guard="secrets.0", score=90, state="violation", evidence=evidence)
    other = Finding(clause="p/c", guard="pattern.0", score=90, state="violation", evidence=(Evidence(start=0, end=3),))
    found = masked("key ghp_ab end", [secret, other], longest=longest)
    assert found.replace("……", "…") == shown
