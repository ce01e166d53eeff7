"""Guards that are asked: which questions a step leads to, and what their answers come to."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from policies.asking import Answer, Asked
from policies.evaluate import Judgement, Need, Ruleset, Settings
from policies.guards.external import ExternalGuard, ExternalSpec
from policies.guards.interface import BadGuard, Guard
from policies.guards.pattern import PatternSpec
from policies.guards.registry import build, is_asked
from policies.guards.validator import ValidatorGuard, ValidatorSpec
from policies.sitting import Sitting
from policies.trail import Scene, Trail
from policies.vocabulary.clauses import Band, Clause, Policy, PolicyHead, ToolSelector
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import Part

URL = "https://judge.example/steps"


def external(**fields: Any) -> ExternalSpec:
    return msgspec.convert({"kind": "external", "url": URL, **fields}, ExternalSpec)


def pattern(word: str) -> PatternSpec:
    return msgspec.convert({"kind": "pattern", "rules": [{"id": "word", "pattern": word}]}, PatternSpec)


def clause(name: str = "rule", **fields: Any) -> Clause:
    given = {
        "id": name,
        "text": "No.",
        "severity": "high",
        "steps": ("tool_call", "tool_result", "user_input", "model_text"),
        "guards": (external(),),
        "action": (Band(at=75, do="reject"),),
        "reason": "action_not_allowed",
        "on_error": "hold",
    }
    return Clause(**(given | fields))


def rules(*clauses: Clause, enforce: bool = True, **fields: Any) -> Ruleset:
    policy = Policy(policy=PolicyHead(id="p", description=""), clause=tuple(clauses))
    return Ruleset.compile([policy], settings=Settings(enforce=enforce), **fields)


def sitting(ruleset: Ruleset, text: str = "x", **fields: Any) -> Sitting:
    step = Part(**{"kind": "tool_call", "tool": "send", "text": text} | fields)
    found = ruleset.sit(Scene(step=step), clock=lambda: 0)
    assert found is not None
    return found


def judged(ruleset: Ruleset, answers: Mapping[int, Answer] | None = None, **fields: Any) -> Judgement:
    one = sitting(ruleset, **fields)
    one.questions()
    return one.judgement(answers)


VIOLATION = Answer(hits=(Hit(score=80, evidence=(Evidence(start=0, end=1, label="it"),)),), micros=7)


def test_what_is_answered_is_judged_like_what_a_guard_here_finds() -> None:
    found = judged(rules(clause()), {0: VIOLATION})
    assert (found.verdict.name, found.verdict.reason) == ("reject", "action_not_allowed")
    (row,) = found.coverage
    assert (row.guard, row.scanned, row.state, row.skipped, row.micros) == ("external.0", 1, "violation", None, 7)
    assert not found.transient
    assert judged(rules(clause()), {0: Answer()}).verdict.name == "allow"


@pytest.mark.parametrize("answers", [None, {}, {0: Answer(failure="timed_out", micros=9)}])
def test_what_is_not_answered_follows_on_error_and_is_no_pass(answers: Mapping[int, Answer] | None) -> None:
    found = judged(rules(clause()), answers)
    assert (found.verdict.name, found.verdict.reason) == ("hold", "supervision_unavailable")
    (row,) = found.coverage
    assert (row.scanned, row.state) == (0, "error")
    assert row.skipped == ("timed_out" if answers else "not_asked")
    assert [finding.state for finding in found.findings] == ["error"]
    assert found.transient


def test_judging_without_asking_follows_on_error_too() -> None:
    found = rules(clause()).judge(Scene(step=Part(kind="tool_call", text="x")), clock=lambda: 0)
    assert (found.verdict.name, found.coverage[0].skipped) == ("hold", "not_asked")


def test_a_question_is_put_once_however_many_clauses_share_it() -> None:
    ruleset = rules(clause("a"), clause("b"), clause("c", guards=(external(deadline_ms=9),)))
    questions = sitting(ruleset).questions()
    assert [question.number for question in questions] == [0, 1]
    assert ruleset.asked == (external(), external(deadline_ms=9))


def test_nothing_is_asked_of_a_step_that_no_clause_looks_at() -> None:
    other = clause(tools=ToolSelector(names=("pay",)))
    assert sitting(rules(other)).questions() == ()
    assert sitting(rules(clause(when="size(step.tool) > 10"))).questions() == ()
    assert sitting(rules(clause(when="args.amount > 3"))).questions() == ()
    assert sitting(rules(clause()), text="", unread="image").questions() == ()
    assert len(sitting(rules(clause()), text="seen", unread="image").questions()) == 1
    assert rules(clause()).sit(Scene(step=Part(kind="reasoning", text="x")), clock=lambda: 0) is None


class Counting:
    window = None

    def __init__(self) -> None:
        self.asked = 0

    def examine(self, scene: Scene) -> Sequence[Hit]:
        del scene
        self.asked += 1
        return ()


def test_guards_that_are_here_run_once_before_anybody_is_asked() -> None:
    here = Counting()
    made: dict[type, Guard | Asked] = {PatternSpec: here, ExternalSpec: ExternalGuard(external())}
    ruleset = rules(clause(guards=(pattern("x"), external())), builder=lambda spec: made[type(spec)])
    one = sitting(ruleset)
    assert [question.number for question in one.questions()] == [1]
    assert here.asked == 1
    one.judgement({1: Answer()})
    assert here.asked == 1


def test_a_step_that_a_clause_may_stop_after_asking_is_held_whole() -> None:
    assert rules(clause()).needs("model_text", "response") == Need(hold="whole")
    flags = clause(action=(Band(at=75, do="flag"),), on_error="flag")
    assert rules(flags).needs("model_text", "response") == Need(hold="observe")


def test_ranges_that_are_answered_can_be_redacted() -> None:
    ruleset = rules(clause(action=(Band(at=75, do="redact"),)))
    (edit,) = judged(ruleset, {0: VIOLATION}, kind="model_text", text="secret").edits
    assert (edit.start, edit.end, edit.text) == (0, 1, "[redacted:it]")


# ---------------------------------------------------------------------------------------------------- what is shown


LONG = Scene(
    step=Part(kind="tool_result", text="now", tool="read", call_id="c1", pointer="/9"),
    trail=Trail(parts=tuple(Part(kind="user_input", text=f"t{at}", call_id="x") for at in range(4)), partial=True),
)


def test_whoever_is_asked_sees_the_step_and_no_more_than_the_clause_says() -> None:
    bare = Part(kind="tool_result", text="now", tool="read")
    assert ExternalGuard(external()).shown(LONG) == Scene(step=bare)
    assert [part.text for part in ExternalGuard(external(before=2)).shown(LONG).trail.parts] == ["t2", "t3"]
    assert all(part.call_id is None for part in ExternalGuard(external(before=2)).shown(LONG).trail.parts)
    validator = msgspec.convert({"kind": "validator", "validator": "m:C"}, ValidatorSpec)
    assert ValidatorGuard(validator).shown(LONG) == Scene(step=bare)


def test_a_question_is_the_same_wherever_its_step_stands_and_another_for_another_text() -> None:
    ruleset = rules(clause())
    (one,) = sitting(ruleset, call_id="a", pointer="/1").questions()
    (same,) = sitting(ruleset, call_id="b", pointer="/2").questions()
    (other,) = sitting(ruleset, text="y").questions()
    (elsewhere,) = sitting(rules(clause(guards=(external(deadline_ms=9),)))).questions()
    (surrogate,) = sitting(ruleset, text="\ud800").questions()
    assert one.digest() == same.digest()
    assert len({one.digest(), other.digest(), elsewhere.digest(), surrogate.digest()}) == 4


# -------------------------------------------------------------------------------------------------------- the specs


@pytest.mark.parametrize(
    "url",
    [
        "ftp://judge.example/",
        "judge.example/steps",
        "https://",
        "https:///path",
        "https://user:secret@judge.example/",
        "https://user@judge.example/",
        "https://judge.example/#part",
        "https://judge.example:0/",
        "https://judge.example:99999/",
        "https://judge.example/a b",
        "https://judge.example/\r\nx: y",
        "https://[::1/",
        "https://jüdge.example/",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadGuard) as refused:
        build(external(url=url))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("http://judge.example/", False),
        ("http://10.0.0.7/", False),
        ("http://localhost.evil.example/", False),
        ("http://127.0.0.1:9000/judge", True),
        ("http://[::1]:9000/judge", True),
        ("http://localhost:9000/judge", True),
        ("https://judge.example/", True),
    ],
)
def test_a_key_never_travels_in_the_clear(url: str, *, safe: bool) -> None:
    assert build(external(url=url))
    if safe:
        assert build(external(url=url, key_env="KEY"))
    else:
        with pytest.raises(BadGuard, match="clear"):
            build(external(url=url, key_env="KEY"))


@pytest.mark.parametrize("name", ["on_fail", "use_local", "validation_endpoint"])
def test_arguments_that_would_act_or_send_are_not_the_operators(name: str) -> None:
    spec = msgspec.convert({"kind": "validator", "validator": "m:C", "args": {name: "x"}}, ValidatorSpec)
    with pytest.raises(BadGuard, match=name):
        build(spec)


@pytest.mark.parametrize("validator", ["module", "module:", ":Class", "os.path:join()", "a b:C", "../x:C", "m:C.d"])
def test_a_validator_is_named_by_module_and_class(validator: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "validator", "validator": validator}, ValidatorSpec)


def test_what_is_asked_is_said_so_without_building_it() -> None:
    assert is_asked(external())
    assert isinstance(build(external()), Asked)
    assert not is_asked(pattern("x"))
    assert not isinstance(build(pattern("x")), Asked)
