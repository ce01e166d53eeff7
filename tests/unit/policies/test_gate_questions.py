"""The gate's part of a judgement: which clauses ask it, what it is shown, and what its answers come to."""

from typing import Any

import msgspec
import pytest

from policies.asking import NOT_ASKED, Answer, Question
from policies.evaluate import Judgement, Need, Ruleset, Settings
from policies.guards.judge import Case, Charge, JudgeSpec
from policies.guards.pattern import PatternSpec
from policies.loader import load
from policies.mistakes import BadPolicy
from policies.sitting import GATE, Sitting
from policies.trail import Scene, Trail
from policies.vocabulary.clauses import Band, Clause, Policy, PolicyHead
from policies.vocabulary.facts import Facts
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.monitoring import LATER
from policies.vocabulary.steps import Part

AT_GATE = JudgeSpec(seat="gate", guidance="Look.")
AFTERWARDS = JudgeSpec(seat="monitor")
ODD: PatternSpec = msgspec.convert(
    {"kind": "pattern", "rules": [{"id": "odd", "pattern": "odd", "score": 60}, {"id": "bad", "pattern": "bad"}]},
    PatternSpec,
)
BANDS = (Band(at=75, do="reject"), Band(at=50, do="judge", otherwise="hold"), Band(at=20, do="flag"))


def clause(name: str = "rule", **fields: Any) -> Clause:
    given = {
        "id": name,
        "text": "No.",
        "severity": "high",
        "steps": ("tool_call",),
        "guards": (ODD,),
        "action": BANDS,
        "reason": "action_not_allowed",
        "on_error": "terminate",
    }
    return Clause(**(given | fields))


def sitting(*clauses: Clause, text: str = "odd", supervised: bool = True, **more: Any) -> Sitting:
    policy = Policy(policy=PolicyHead(id="p", description=""), clause=clauses)
    rules = Ruleset.compile([policy], settings=Settings(enforce=True, supervised=supervised))
    step = Part(**{"kind": "tool_call", "tool": "send", "text": text} | more)
    trail = Trail(
        parts=(
            Part(kind="instructions", text="Be kind."),
            Part(kind="user_input", text="Send it."),
            Part(kind="model_text", text="AGENT"),
            Part(kind="tool_result", text="STRANGER", tool="look"),
        )
    )
    found = rules.sit(Scene(step=step, trail=trail), clock=lambda: 0)
    assert found is not None
    return found


def answered(one: Sitting, answer: Answer | None) -> Judgement:
    questions = one.questions()
    return one.judgement({} if answer is None else {each.number: answer for each in questions})


def hit(score: int, label: str = "judge") -> Answer:
    return Answer(hits=(Hit(score=score, evidence=(Evidence(label=label),)),), micros=5)


def charges(questions: tuple[Question, ...]) -> list[Charge]:
    return [question.spec for question in questions if isinstance(question.spec, Charge)]


@pytest.mark.parametrize(("text", "asks"), [("odd", True), ("odd and bad", False), ("bad", False), ("fine", False)])
def test_a_band_asks_only_where_the_highest_score_falls_into_it(text: str, *, asks: bool) -> None:
    assert bool(sitting(clause(), text=text).questions()) is asks


@pytest.mark.parametrize(
    ("answer", "verdict", "skipped"),
    [
        (Answer(), "allow", None),
        (hit(90), "reject", None),
        (hit(60), "hold", None),
        (hit(30), "flag", None),
        (hit(10), "allow", None),
        (None, "hold", NOT_ASKED),
        (Answer(failure=NOT_ASKED), "hold", NOT_ASKED),
        (Answer(failure="timed_out"), "terminate", "timed_out"),
    ],
)
def test_the_gates_score_goes_through_the_same_bands_and_no_answer_is_no_pass(
    answer: Answer | None, verdict: str, skipped: str | None
) -> None:
    found = answered(sitting(clause()), answer)
    assert (found.verdict.name, found.verdict.asked) == (verdict, True)
    (row,) = [row for row in found.coverage if row.guard == GATE]
    assert row.skipped == skipped
    assert found.transient is (answer is not None and answer.failure == "timed_out")


def test_without_a_supervisor_nobody_is_asked_and_else_holds() -> None:
    one = sitting(clause(), supervised=False)
    assert one.questions() == ()
    found = one.judgement()
    assert (found.verdict.name, found.verdict.asked) == ("hold", True)
    assert [row.skipped for row in found.coverage if row.guard == GATE] == [NOT_ASKED]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [(Answer(), "allow"), (hit(80), "reject"), (Answer(failure="budget_day"), "terminate"), (None, "terminate")],
)
def test_a_guard_at_the_gate_is_asked_of_every_call(answer: Answer | None, verdict: str) -> None:
    found = answered(sitting(clause(guards=(AT_GATE,)), text="fine"), answer)
    assert found.verdict.name == verdict
    (row,) = found.coverage
    assert (row.guard, row.micros) == ("judge.0", answer.micros if answer else 0)


def test_a_guard_at_the_gate_answers_for_the_band_too() -> None:
    both = clause(guards=(ODD, AT_GATE))
    one = sitting(both)
    assert len(one.questions()) == 1
    assert answered(sitting(both), Answer()).verdict.name == "allow"
    assert answered(sitting(both), hit(90)).verdict.name == "reject"
    assert [row.guard for row in answered(sitting(both), Answer()).coverage] == ["pattern.0", "judge.1"]


def test_each_clause_puts_a_question_of_its_own_and_all_show_the_same() -> None:
    questions = sitting(clause("a"), clause("b", guards=(AT_GATE,)), clause("c", guards=(AT_GATE,))).questions()
    assert [charge.clause for charge in charges(questions)] == ["p/a", "p/b", "p/c"]
    assert [charge.guidance for charge in charges(questions)] == ["", "Look.", "Look."]
    assert len({question.number for question in questions}) == 3
    assert len({msgspec.json.encode([question.scene, question.facts]) for question in questions}) == 1


def test_the_gate_is_shown_no_word_of_tools_and_agents_but_what_local_guards_scored() -> None:
    (question,) = sitting(clause()).questions()
    assert [part.text for part in question.scene.trail.parts] == ["Be kind.", "Send it."]
    assert question.scene.step == Part(kind="tool_call", tool="send", text="odd")
    assert question.facts is not None
    assert [(said.guard, said.score, said.labels) for said in question.facts.guards] == [("pattern.0", 60, ("odd",))]


def test_a_case_survives_the_way_to_the_keeper_whatever_the_step_says() -> None:
    (question,) = sitting(clause(guards=(AT_GATE,)), text='{"a": "\ud800"}').questions()
    assert isinstance(question.spec, Charge)
    case = Case(charges=(question.spec,), scene=question.scene, facts=question.facts or Facts())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(case), type=Case) == case
    assert case.digest(question.spec) == question.digest()


@pytest.mark.parametrize(("supervised", "skipped"), [(True, LATER), (False, NOT_ASKED)])
def test_the_monitor_judges_nothing_while_a_step_waits(*, supervised: bool, skipped: str) -> None:
    one = sitting(clause(guards=(AFTERWARDS,)), supervised=supervised)
    assert one.questions() == ()
    found = one.judgement()
    assert (found.verdict.name, found.findings, found.transient) == ("allow", (), False)
    (row,) = found.coverage
    assert (row.skipped, row.state, row.scanned) == (skipped, "ok", 0)


def test_the_monitor_beside_a_local_guard_changes_nothing_for_it() -> None:
    found = answered(sitting(clause(guards=(ODD, AFTERWARDS)), text="bad"), None)
    assert found.verdict.name == "reject"
    assert [(row.guard, row.skipped) for row in found.coverage] == [("pattern.0", None), ("judge.1", LATER)]


def test_a_reply_is_not_held_for_the_monitor_and_is_for_the_gate() -> None:
    def needed(*guards: Any) -> Need:
        policy = Policy(policy=PolicyHead(id="p", description=""), clause=(clause(guards=guards),))
        return Ruleset.compile([policy], settings=Settings(enforce=True)).needs("tool_call", "response")

    assert (needed(AFTERWARDS).hold, needed(AT_GATE).hold) == ("observe", "whole")


TEXT = """
[policy]
id = "p"
description = "d"
[[clause]]
id = "c"
text = "t"
severity = "low"
steps = STEPS
guards = [GUARDS]
action = [{ at = 75, do = "reject" }]
reason = "action_not_allowed"
on_error = "flag"
mode = "shadow"
"""


@pytest.mark.parametrize(
    ("steps", "guards", "mistake"),
    [
        ('["tool_call", "model_text"]', '{ kind = "judge", seat = "gate" }', "sees proposed calls alone"),
        ('["tool_call"]', '{ kind = "judge", seat = "gate", sample = 0.5 }', "only the monitor samples"),
        ('["tool_call"]', '{ kind = "judge", seat = "gate" }, { kind = "judge", seat = "gate" }', "a second `judge`"),
        ('["tool_call"]', '{ kind = "judge" }', "seat"),
    ],
)
def test_a_judge_that_makes_no_sense_is_a_mistake(steps: str, guards: str, mistake: str) -> None:
    with pytest.raises(BadPolicy) as caught:
        load(TEXT.replace("STEPS", steps).replace("GUARDS", guards), "p.toml")
    assert mistake in str(caught.value)
