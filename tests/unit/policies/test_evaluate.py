"""Evaluation of a step against the clauses in force."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.evaluate import Judgement, Need, Ruleset, Settings
from policies.guards.interface import UNSCANNED
from policies.guards.pattern import PatternSpec
from policies.loader import load
from policies.provenance import sources
from policies.provenance.localiser import Reading, read
from policies.shipped import shipped
from policies.trail import Scene, Trail
from policies.vocabulary.clauses import Band, Clause, Policy, PolicyHead, ToolSelector
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import Part
from policies.vocabulary.verdicts import STRENGTH, Verdict


class Scripted:
    """A guard that says what its test wants, and remembers nothing but how often it was asked."""

    def __init__(self, hits: Sequence[Hit] | BaseException = (), window: int | None = 8) -> None:
        self.hits = hits
        self.window = window
        self.asked = 0
        self.scenes: list[Scene] = []

    def examine(self, scene: Scene) -> Sequence[Hit]:
        self.asked += 1
        self.scenes.append(scene)
        if isinstance(self.hits, BaseException):
            raise self.hits
        return self.hits


class Ticking:
    """A clock that goes on by so many nanoseconds each time it is read."""

    def __init__(self, tick_ns: int = 0) -> None:
        self.now = 0
        self.tick_ns = tick_ns

    def __call__(self) -> int:
        self.now += self.tick_ns
        return self.now


def spec(name: str = "a") -> PatternSpec:
    return msgspec.convert({"kind": "pattern", "rules": [{"id": name, "pattern": name}]}, PatternSpec)


REJECT = (Band(at=75, do="reject"),)


def clause(name: str = "rule", **fields: Any) -> Clause:
    given = {
        "id": name,
        "text": "No.",
        "severity": "high",
        "steps": ("tool_call", "tool_result", "user_input", "model_text"),
        "guards": (spec(name),),
        "action": REJECT,
        "reason": "action_not_allowed",
        "on_error": "hold",
    }
    return Clause(**(given | fields))


def ruleset(
    *clauses: Clause, guards: Sequence[Scripted] = (), settings: Settings | None = None, **fields: Any
) -> Ruleset:
    policy = Policy(policy=PolicyHead(id="p", description=""), clause=tuple(clauses))
    made = iter(guards)
    builder = (lambda _: next(made)) if guards else None
    extra = {"builder": builder} if builder else {}
    return Ruleset.compile([policy], settings=settings or Settings(enforce=True), **extra, **fields)


def judged(rules: Ruleset, text: str = "x", **fields: Any) -> Judgement:
    step = Part(**{"kind": "tool_call", "tool": "send", "text": text} | fields)
    return rules.judge(Scene(step=step), clock=Ticking())


def hit(score: int, *ranges: tuple[int, int], label: str = "it", **fields: Any) -> Hit:
    evidence = tuple(Evidence(start=start, end=end, label=label) for start, end in ranges)
    return Hit(score=score, evidence=evidence, **fields)


def test_a_score_in_a_band_becomes_its_verdict_with_reason_and_clause() -> None:
    found = judged(ruleset(clause(recover="resampled"), guards=[Scripted([hit(80)])]))
    assert found.verdict == Verdict(
        name="reject", reason="action_not_allowed", clauses=("p/rule",), recover="resampled"
    )
    assert [(each.clause, each.guard, each.score) for each in found.findings] == [("p/rule", "pattern.0", 80)]


def test_the_highest_score_of_all_guards_decides() -> None:
    bands = (Band(at=75, do="reject"), Band(at=50, do="hold"), Band(at=20, do="flag"))
    two = clause(guards=(spec("a"), spec("b")), action=bands)
    for scores, expected in (((10, 30), "flag"), ((50, 30), "hold"), ((74, 75), "reject"), ((19, 0), "allow")):
        made = [Scripted([hit(score)]) for score in scores]
        assert judged(ruleset(two, guards=made)).verdict.name == expected


def test_what_a_guard_calls_ok_counts_for_nothing() -> None:
    found = judged(ruleset(clause(), guards=[Scripted([hit(99, state="ok")])]))
    assert found.verdict.name == "allow"
    assert len(found.findings) == 1


def test_a_step_no_clause_is_about_is_not_judged() -> None:
    guard = Scripted([hit(90)])
    assert judged(ruleset(clause(), guards=[guard]), kind="reasoning") == Judgement()
    assert guard.asked == 0


@pytest.mark.parametrize(
    ("selector", "tool", "meant"),
    [
        (None, "send", True),
        (ToolSelector(tags=("outbound",)), "send", True),
        (ToolSelector(tags=("money",)), "send", False),
        (ToolSelector(tags=("write",)), "unheard", True),
        (ToolSelector(tags=("outbound",)), "unheard", False),
        (ToolSelector(names=("send",)), "send", True),
        (ToolSelector(names=("sen",)), "send", False),
        (ToolSelector(names=("mcp__*__send",)), "mcp__mail__send", True),
        (ToolSelector(names=("mcp__*__send",)), "mcp__send", False),
        (ToolSelector(names=("*",)), "anything", True),
        (ToolSelector(names=("a*b*c",)), "aXbYc", True),
        (ToolSelector(names=("a*b*c",)), "acb", False),
    ],
)
def test_selectors_mean_tools_by_tag_name_or_star(selector: ToolSelector | None, tool: str, *, meant: bool) -> None:
    tags = {"send": frozenset({"outbound"})}
    rules = ruleset(clause(tools=selector), guards=[Scripted([hit(90)])], tags=tags)
    assert (judged(rules, tool=tool).verdict.name == "reject") is meant


def test_selectors_do_not_narrow_steps_that_belong_to_no_tool() -> None:
    rules = ruleset(clause(tools=ToolSelector(names=("other",))), guards=[Scripted([hit(90)])])
    assert judged(rules, kind="user_input", tool=None).verdict.name == "reject"


def test_a_result_without_a_name_belongs_to_the_tool_of_its_call_and_otherwise_to_every_tool() -> None:
    call = Part(kind="tool_call", tool="send", call_id="c1")
    rules = ruleset(clause(tools=ToolSelector(names=("send",))), guards=[Scripted([hit(90)])])
    other = ruleset(clause(tools=ToolSelector(names=("read",))), guards=[Scripted([hit(90)])])
    answer = Part(kind="tool_result", call_id="c1")
    scene = Scene(step=answer, trail=Trail(parts=(call,)))
    assert rules.judge(scene, clock=Ticking()).verdict.name == "reject"
    assert other.judge(scene, clock=Ticking()).verdict.name == "allow"
    assert other.judge(Scene(step=answer), clock=Ticking()).verdict.name == "reject"


def test_where_an_id_was_given_twice_a_result_belongs_to_the_newest_call_of_it() -> None:
    rules = ruleset(clause(tools=ToolSelector(names=("send",))), guards=[Scripted([hit(90)])])
    send, look = (Part(kind="tool_call", tool=tool, call_id="c1") for tool in ("send", "look"))
    answer = Part(kind="tool_result", call_id="c1", text="x")
    for calls, expected in (((send, look), "allow"), ((look, send), "reject")):
        scene = Scene(step=answer, trail=Trail(parts=calls))
        assert rules.judge(scene, clock=Ticking()).verdict.name == expected


def test_guards_are_shown_the_tags_of_the_ruleset() -> None:
    guard = Scripted()
    tags = {"send": frozenset({"outbound"})}
    judged(ruleset(clause(), guards=[guard], tags=tags))
    assert guard.scenes[0].trail.tags_of("send") == {"outbound"}


@pytest.mark.parametrize("text", ["", " ", "{}"])
def test_a_call_without_arguments_looks_the_same_to_guards_on_every_wire(text: str) -> None:
    guard = Scripted()
    judged(ruleset(clause(), guards=[guard]), text=text)
    assert guard.scenes[0].step.text == "{}"


def test_a_clause_whose_condition_is_false_is_silent() -> None:
    guard = Scripted([hit(90)])
    assert judged(ruleset(clause(when='step.tool == "read"'), guards=[guard])) == Judgement()
    assert guard.asked == 0


def test_a_condition_that_cannot_be_told_follows_on_error_and_is_in_the_coverage() -> None:
    found = judged(ruleset(clause(when="args.x > 1"), guards=[Scripted()]), text="{}")
    assert (found.verdict.name, found.verdict.reason) == ("hold", "supervision_unavailable")
    assert [(each.guard, each.state) for each in found.findings] == [("when", "error")]
    assert [each.skipped for each in found.coverage] == ["condition"]


def test_a_guard_that_raises_follows_on_error_and_is_no_pass() -> None:
    found = judged(ruleset(clause(), guards=[Scripted(ValueError("the secret is abc"))]))
    assert found.verdict == Verdict(name="hold", reason="supervision_unavailable", clauses=("p/rule",))
    assert [(each.state, each.skipped) for each in found.coverage] == [("error", "raised:ValueError")]
    assert "abc" not in str(found)


def test_a_panic_in_a_native_extension_is_a_fault_of_the_guard_too() -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
    assert judged(ruleset(clause(), guards=[Scripted(panic())])).verdict.name == "hold"


def test_a_condition_that_breaks_is_told_apart_from_one_that_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def broken(*_: object) -> bool:
        raise panic

    rules = ruleset(clause(when="step.size > 0"), guards=[Scripted()])
    monkeypatch.setattr("policies.conditions.Condition.holds", broken)
    found = judged(rules)
    assert (found.verdict.name, found.findings[0].note) == ("hold", "the condition raised PanicException")


def test_the_same_rules_can_be_had_for_tools_with_other_tags() -> None:
    rules = ruleset(clause(tools=ToolSelector(tags=("money",))), guards=[Scripted([hit(90)])])
    assert judged(rules).verdict.name == "allow"
    assert judged(rules.tagged({"send": frozenset({"money"})})).verdict.name == "reject"


def test_an_order_to_stop_the_process_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        judged(ruleset(clause(), guards=[Scripted(KeyboardInterrupt())]))


def test_one_failed_guard_does_not_hide_what_another_found() -> None:
    two = clause(guards=(spec("a"), spec("b")), on_error="flag")
    found = judged(ruleset(two, guards=[Scripted(ValueError()), Scripted([hit(80)])]))
    assert found.verdict.name == "reject"
    assert [each.state for each in found.findings] == ["error", "violation"]


def test_an_error_reported_as_a_hit_follows_on_error() -> None:
    assert judged(ruleset(clause(), guards=[Scripted([hit(0, state="error")])])).verdict.name == "hold"


@pytest.mark.parametrize("deadline_ns", [1500, 1800], ids=["past", "at"])
def test_guards_from_the_deadline_on_are_not_run_and_their_clause_says_what_that_means(deadline_ns: int) -> None:
    first, second = Scripted([hit(10)]), Scripted([hit(90)])
    rules = ruleset(clause("one"), clause("two", on_error="reject"), guards=[first, second])
    step = Part(kind="tool_call", tool="send", text="x")
    found = rules.judge(Scene(step=step), clock=Ticking(600), deadline_ns=deadline_ns)
    assert (first.asked, second.asked) == (1, 0)
    assert [each.skipped for each in found.coverage] == [None, "deadline"]
    assert (found.verdict.name, found.verdict.clauses) == ("reject", ("p/two",))


def test_a_guard_asked_for_twice_runs_once() -> None:
    guard = Scripted([hit(80)])
    one, two = clause("one", guards=(spec("a"),)), clause("two", guards=(spec("a"),))
    found = judged(ruleset(one, two, guards=[guard]))
    assert guard.asked == 1
    assert [each.clause for each in found.findings] == ["p/one", "p/two"]
    assert found.verdict.clauses == ("p/one", "p/two")


def test_a_result_is_read_once_for_all_guards_of_a_ruleset(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def reading(text: str) -> Reading:
        seen.append(text)
        return read(text)

    monkeypatch.setattr(sources, "read", reading)
    rules = Ruleset.compile([load(shipped()["agent-baseline"], "agent-baseline").policy])
    result = Part(kind="tool_result", call_id="c", text="Nothing but news of the day.")
    call = Part(kind="tool_call", tool="send", text='{"to": "bob"}')
    for step, before in ((result, ()), (call, (result,))):
        rules.judge(Scene(step=step, trail=Trail(parts=before)), clock=Ticking())
    assert seen == [result.text]


def test_the_coverage_says_what_was_scanned_and_for_how_long() -> None:
    tail = hit(50, (4, 10), label=UNSCANNED, state="unsure")
    rules = ruleset(clause(), guards=[Scripted([tail])])
    step = Part(kind="tool_call", tool="send", text="0123456789")
    (row,) = rules.judge(Scene(step=step), clock=Ticking(5000), seq=3).coverage
    assert (row.clause, row.guard, row.seq) == ("p/rule", "pattern.0", 3)
    assert (row.scanned, row.size, row.state, row.micros) == (4, 10, "unsure", 5)


def test_an_unscanned_tail_below_every_band_is_flagged_all_the_same() -> None:
    tail = hit(50, (4, 10), label=UNSCANNED, state="unsure")
    assert judged(ruleset(clause(), guards=[Scripted([tail])]), text="0123456789").verdict.name == "flag"


def test_a_band_that_asks_the_judge_takes_else_and_says_so() -> None:
    bands = (Band(at=75, do="reject"), Band(at=50, do="judge", otherwise="flag"))
    asking = ruleset(clause(action=bands), guards=[Scripted([hit(60)])])
    assert (judged(asking).verdict.name, judged(asking).verdict.asked) == ("flag", True)
    sure = ruleset(clause(action=bands), guards=[Scripted([hit(80)])])
    assert (judged(sure).verdict.name, judged(sure).verdict.asked) == ("reject", False)
    silent = (Band(at=50, do="judge", otherwise="allow"),)
    found = judged(ruleset(clause(action=silent), guards=[Scripted([hit(60)])])).verdict
    assert (found.name, found.asked, found.clauses) == ("allow", True, ())


def test_a_clause_in_shadow_only_counts_as_what_would_have_been() -> None:
    found = judged(ruleset(clause(mode="shadow"), guards=[Scripted([hit(80)])]))
    assert found.verdict == Verdict(shadow="reject")
    assert found.findings


def test_an_app_that_does_not_enforce_flags_and_counts() -> None:
    settings = Settings(enforce=False)
    found = judged(ruleset(clause(), guards=[Scripted([hit(80)])], settings=settings))
    assert found.verdict == Verdict(name="flag", clauses=("p/rule",), shadow="reject")
    flagging = clause(action=(Band(at=75, do="flag"),))
    found = judged(ruleset(flagging, guards=[Scripted([hit(80)])], settings=settings))
    assert found.verdict == Verdict(name="flag", clauses=("p/rule",))


def test_redaction_takes_out_the_ranges_of_the_hits_that_reach_its_band() -> None:
    redact = clause(action=(Band(at=75, do="redact"), Band(at=20, do="flag")))
    guard = Scripted([hit(80, (0, 2), label="key"), hit(30, (4, 6))])
    found = judged(ruleset(redact, guards=[guard]), text="0123456789", kind="tool_result")
    assert found.verdict.name == "redact"
    assert [(each.start, each.end, each.text) for each in found.edits] == [(0, 2, "[redacted:key]")]


def test_redaction_takes_out_what_every_guard_found_and_not_only_the_worst() -> None:
    redact = clause(guards=(spec("a"), spec("b")), action=(Band(at=75, do="redact"),))
    guards = [Scripted([hit(95, (0, 2)), hit(80, (4, 6))]), Scripted([hit(75, (8, 9))])]
    found = judged(ruleset(redact, guards=guards), text="0123456789", kind="tool_result")
    assert [(each.start, each.end) for each in found.edits] == [(0, 2), (4, 6), (8, 9)]


def test_a_stronger_verdict_keeps_the_edits_for_when_a_person_lets_the_step_pass() -> None:
    redact = clause("one", action=(Band(at=75, do="redact"),))
    hold = clause("two", action=(Band(at=75, do="hold"),))
    rules = ruleset(redact, hold, guards=[Scripted([hit(80, (0, 2))]), Scripted([hit(80)])])
    found = judged(rules, text="0123456789", kind="tool_result")
    assert (found.verdict.name, len(found.edits)) == ("hold", 1)


def test_nothing_is_edited_out_of_force() -> None:
    redact = clause(action=(Band(at=75, do="redact"),))
    for rules in (
        ruleset(redact, guards=[Scripted([hit(80, (0, 1))])], settings=Settings(enforce=False)),
        ruleset(msgspec.structs.replace(redact, mode="shadow"), guards=[Scripted([hit(80, (0, 1))])]),
    ):
        assert judged(rules).edits == ()
        assert judged(rules).verdict.shadow == "redact"


def test_a_redaction_with_nothing_to_redact_follows_on_error() -> None:
    redact = clause(action=(Band(at=75, do="redact"),))
    found = judged(ruleset(redact, guards=[Scripted([hit(80)])]))
    assert found.verdict.name == "hold"
    assert found.findings[-1].state == "error"


@pytest.mark.parametrize(("unseen", "expected"), [("flag", "flag"), ("reject", "reject")])
def test_a_step_nobody_can_read_follows_unseen(unseen: Any, expected: str) -> None:
    guard = Scripted()
    rules = ruleset(clause(), guards=[guard], settings=Settings(enforce=True, unseen=unseen))
    found = judged(rules, text="", unread="image")
    assert found.verdict.name == expected
    assert [each.skipped for each in found.coverage] == ["unread:image"]
    assert guard.asked == 0


def test_the_readable_part_of_a_step_is_judged_although_another_is_not() -> None:
    guard = Scripted([hit(80)])
    found = judged(ruleset(clause(), guards=[guard]), text="some text", unread="image")
    assert found.verdict.name == "reject"
    assert [each.state for each in found.findings] == ["error", "violation"]


def test_a_step_nobody_can_read_and_no_clause_is_about_stays_unjudged() -> None:
    rules = ruleset(clause(), guards=[Scripted()], settings=Settings(enforce=True, unseen="reject"))
    assert judged(rules, kind="reasoning", text="", unread="encrypted") == Judgement()


def needed(*clauses: Clause, guards: Sequence[Scripted], kind: Any = "model_text", enforce: bool = True) -> Need:
    return ruleset(*clauses, guards=guards, settings=Settings(enforce=enforce)).needs(kind, "response")


def test_the_relay_is_idle_where_no_clause_looks_and_only_watched_where_none_acts() -> None:
    assert needed(clause(), guards=[Scripted()], kind="reasoning") == Need(hold="idle")
    assert needed(clause(), guards=[Scripted()], enforce=False) == Need(hold="observe")
    assert needed(clause(mode="shadow"), guards=[Scripted()]) == Need(hold="observe")
    flags = clause(action=(Band(at=1, do="flag"),), on_error="flag")
    assert needed(flags, guards=[Scripted()]) == Need(hold="observe")


def test_text_is_held_back_by_the_widest_window_of_the_clauses_that_act() -> None:
    flags = clause("flags", action=(Band(at=1, do="flag"),), on_error="allow")
    two = [clause("one"), clause("two"), flags]
    assert needed(*two, guards=[Scripted(window=8), Scripted(window=90), Scripted(window=None)]) == Need(
        hold="window", window=90
    )


def test_a_guard_without_a_window_and_every_call_are_held_whole() -> None:
    assert needed(clause(), guards=[Scripted(window=None)]) == Need(hold="whole")
    assert needed(clause(), guards=[Scripted(window=8)], kind="tool_call") == Need(hold="whole")
    assert needed(clause(when="step.size > 9"), guards=[Scripted(window=8)]) == Need(hold="whole")
    assert ruleset(clause(), guards=[Scripted()]).needs("model_text", "request") == Need(hold="whole")


def test_a_clause_that_acts_only_when_it_fails_still_holds() -> None:
    failing = clause(action=(Band(at=1, do="flag"),), on_error="reject")
    assert needed(failing, guards=[Scripted(window=8)]) == Need(hold="window", window=8)


def test_revisions_are_named_by_content() -> None:
    one = ruleset(clause(), guards=[Scripted()])
    same = ruleset(clause(), guards=[Scripted()])
    other = ruleset(clause(text="Never."), guards=[Scripted()])
    assert one.revision == same.revision != other.revision
    assert one.rules[0].revision != other.rules[0].revision


scores = st.lists(st.integers(0, 100), max_size=4)


@given(scores, scores)
def test_another_finding_never_weakens_the_verdict(found: list[int], more: list[int]) -> None:
    bands = (Band(at=90, do="terminate"), Band(at=75, do="reject"), Band(at=50, do="hold"), Band(at=20, do="flag"))

    def strength(values: list[int]) -> int:
        made = ruleset(clause(action=bands), guards=[Scripted([hit(value) for value in values])])
        return STRENGTH[judged(made).verdict.name]

    assert strength(found + more) >= strength(found)
    assert strength(found + more) == max(strength(found), strength(more))


@given(st.text(), st.sampled_from(["tool_call", "tool_result", "user_input", "model_text"]), st.none() | st.text())
def test_no_step_makes_judging_raise(text: str, kind: Any, tool: str | None) -> None:
    redact = clause(action=(Band(at=50, do="redact"),), guards=(spec("a"),), when="step.size >= 0")
    rules = ruleset(redact, clause("other", when="has(args.x)", tools=ToolSelector(names=("a*",))))
    step = Part(kind=kind, text=text, tool=tool)
    found = rules.judge(Scene(step=step), clock=Ticking())
    assert (found.verdict.name == "allow") is (not found.findings)
