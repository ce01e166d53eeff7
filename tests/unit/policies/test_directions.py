"""Whether a change can only be stricter. What is said to tighten never judges any step more mildly."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.digests import digest
from policies.directions import direction
from policies.evaluate import Ruleset, Settings
from policies.guards.external import ExternalSpec
from policies.guards.pattern import PatternRule, PatternSpec
from policies.guards.schema import SchemaSpec
from policies.guards.sequence import CountRule, SequenceSpec
from policies.limits import ArgumentLimit
from policies.parameters import EditRefused, apply, clauses
from policies.tools import ToolSelector
from policies.trail import Scene
from policies.vocabulary.bands import Band
from policies.vocabulary.revisions import (
    AddClause,
    AddGuard,
    AddLine,
    DeleteClause,
    DeleteGuard,
    DescribeTool,
    Edit,
    Line,
    MergeGuards,
    Parameters,
    ReplaceGuard,
    SetBands,
    SetMode,
    SetTools,
    TagTool,
)
from policies.vocabulary.steps import Part
from policies.vocabulary.verdicts import STRENGTH
from tests.unit.policies.revised import clause, parameters

START = parameters(clause(), clause("two", more='tools = { names = ["send", "post"] }'))
FIRST = clauses(START)["p/rule"].guards[0]
OTHER = PatternSpec(rules=(PatternRule(id="w", pattern="wo+rse"),))


def said(*edits: Edit, start: Parameters = START) -> str:
    return direction(start, edits)


def rule(**fields: object) -> PatternSpec:
    return PatternSpec(rules=(msgspec.structs.replace(FIRST.rules[0], **fields),))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("edit", "way"),
    [
        (SetBands(clause="p/rule", action=(Band(at=60, do="reject"),)), "tightens"),
        (SetBands(clause="p/rule", action=(Band(at=75, do="terminate"),)), "tightens"),
        (SetBands(clause="p/rule", action=(Band(at=75, do="reject"), Band(at=30, do="flag"))), "tightens"),
        (SetBands(clause="p/rule", action=(Band(at=80, do="reject"),)), "loosens"),
        (SetBands(clause="p/rule", action=(Band(at=75, do="hold"),)), "loosens"),
        (SetBands(clause="p/rule", action=(Band(at=50, do="judge", otherwise="reject"),)), "loosens"),
        (SetTools(clause="p/two", tools=None), "tightens"),
        (SetTools(clause="p/two", tools=ToolSelector(names=("send", "post", "put"))), "tightens"),
        (SetTools(clause="p/two", tools=ToolSelector(names=("post", "send"))), "neutral"),
        (SetTools(clause="p/two", tools=ToolSelector(names=("send",))), "loosens"),
        (SetTools(clause="p/rule", tools=ToolSelector(names=("*",))), "loosens"),
        (SetMode(clause="p/rule", mode="shadow"), "loosens"),
        (AddGuard(clause="p/rule", guard=OTHER), "tightens"),
        (AddGuard(clause="p/rule", guard=ExternalSpec(url="https://judge.example/v1")), "loosens"),
        (DeleteClause(clause="p/rule"), "loosens"),
        (ReplaceGuard(clause="p/rule", was=digest(FIRST), guard=rule(score=90)), "tightens"),
        (ReplaceGuard(clause="p/rule", was=digest(FIRST), guard=rule(pattern="ba+d")), "loosens"),
        (AddLine(line=Line(id="a", text="Be brief.")), "loosens"),
        (DescribeTool(tool="send", description="Sends."), "loosens"),
        (TagTool(tool="send", tags=("outbound",)), "loosens"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_edit_goes_its_way(edit: Edit, way: str) -> None:
    assert said(edit) == way


def test_one_edit_that_loosens_makes_the_whole_loosen() -> None:
    assert said(AddGuard(clause="p/rule", guard=OTHER), SetMode(clause="p/two", mode="shadow")) == "loosens"


def test_a_pattern_guard_is_covered_by_one_with_all_its_rules() -> None:
    start = apply(START, [AddGuard(clause="p/rule", guard=OTHER)])
    both = PatternSpec(rules=(*FIRST.rules, *OTHER.rules))  # type: ignore[union-attr]
    were = (digest(FIRST), digest(OTHER))
    assert said(MergeGuards(clause="p/rule", were=were, guard=both), start=start) == "tightens"
    assert said(DeleteGuard(clause="p/rule", was=digest(OTHER)), start=start) == "loosens"
    allowed = msgspec.structs.replace(both.rules[0], allow=("zzz",))
    less = PatternSpec(rules=(allowed, *OTHER.rules))
    assert said(MergeGuards(clause="p/rule", were=were, guard=less), start=start) == "loosens"


def acting(action: str, *, on_error: str = "reject") -> Parameters:
    """One clause with these bands."""
    text = clause().replace('action = [{ at = 75, do = "reject" }]', f"action = [{action}]")
    return parameters(text.replace('on_error = "reject"', f'on_error = "{on_error}"'))


def test_a_higher_score_may_take_a_step_from_a_judge_who_could_have_ended_the_session() -> None:
    bands = ('{ at = 75, do = "judge", else = "hold" }', '{ at = 85, do = "reject" }', '{ at = 95, do = "terminate" }')
    start = acting(", ".join(bands))
    assert said(ReplaceGuard(clause="p/rule", was=digest(FIRST), guard=rule(score=90)), start=start) == "loosens"
    assert said(AddGuard(clause="p/rule", guard=OTHER), start=start) == "loosens"


@pytest.mark.parametrize(("on_error", "way"), [("allow", "loosens"), ("reject", "tightens")])
def test_what_is_to_be_redacted_may_have_no_range_and_then_fails(on_error: str, way: str) -> None:
    start = acting('{ at = 75, do = "flag" }', on_error=on_error)
    assert said(SetBands(clause="p/rule", action=(Band(at=75, do="redact"),)), start=start) == way


@pytest.mark.parametrize("changed", [{"flags": ("dot_all",)}, {"max_match": 2}], ids=str)
def test_a_pattern_guard_that_reads_otherwise_covers_none(changed: dict[str, object]) -> None:
    guard = msgspec.structs.replace(rule(score=90), **changed)
    assert said(ReplaceGuard(clause="p/rule", was=digest(FIRST), guard=guard)) == "loosens"


def test_limits_and_counts_are_compared() -> None:
    few = SequenceSpec(count=CountRule(max=3))
    limit = ArgumentLimit(tool="send", pointer="/n", max=5)
    start = apply(START, [AddGuard(clause="p/rule", guard=few), AddGuard(clause="p/rule", guard=SchemaSpec())])

    def replaced(was: object, now: object) -> str:
        return said(ReplaceGuard(clause="p/rule", was=digest(was), guard=now), start=start)  # type: ignore[arg-type]

    assert replaced(few, SequenceSpec(count=CountRule(max=2))) == "tightens"
    assert replaced(few, SequenceSpec(count=CountRule(max=4))) == "loosens"
    assert replaced(SchemaSpec(), SchemaSpec(limits=(limit,))) == "tightens"


def test_a_new_clause_can_only_add() -> None:
    other = msgspec.structs.replace(clauses(START)["p/rule"], id="other")
    assert said(AddClause(policy="p", clause=other)) == "tightens"
    shadow = msgspec.structs.replace(other, mode="shadow")
    assert said(AddClause(policy="p", clause=shadow)) == "neutral"


ACTIONS = st.sampled_from(["flag", "hold", "reject", "terminate"])
BANDS = st.lists(st.builds(Band, at=st.integers(0, 100), do=ACTIONS), min_size=1, max_size=3, unique_by=lambda b: b.at)
SPECS = st.builds(
    lambda word, score: PatternSpec(rules=(PatternRule(id="r", pattern=word, score=score),)),
    st.sampled_from(["bad", "worse", "x+"]),
    st.integers(0, 100),
)
SOME: st.SearchStrategy[Edit] = st.one_of(
    st.builds(lambda bands: SetBands(clause="p/rule", action=tuple(bands)), BANDS),
    st.builds(lambda spec: AddGuard(clause="p/rule", guard=spec), SPECS),
    st.builds(lambda spec: ReplaceGuard(clause="p/rule", was=digest(FIRST), guard=spec), SPECS),
    st.builds(
        lambda names: SetTools(clause="p/two", tools=ToolSelector(names=tuple(names)) if names else None),
        st.lists(st.sampled_from(["send", "post", "put"]), max_size=3, unique=True),
    ),
    st.builds(lambda mode: SetMode(clause="p/two", mode=mode), st.sampled_from(["shadow", "enforce"])),
)


@given(st.lists(SOME, min_size=1, max_size=3), st.sampled_from(["send", "put"]), st.text("badworsex ", max_size=12))
def test_what_is_said_to_tighten_judges_no_step_more_mildly(edits: list[Edit], tool: str, text: str) -> None:
    try:
        changed, way = apply(START, edits), said(*edits)
    except EditRefused:
        return
    before, after = (strength(each, tool, text) for each in (START, changed))
    if way == "tightens":
        assert after >= before
    if way == "neutral":
        assert after == before


def strength(parameters: Parameters, tool: str, text: str) -> int:
    ruleset = Ruleset.compile(parameters.policies, settings=Settings(enforce=True))
    step = Part(kind="tool_call", tool=tool, text=text)
    return STRENGTH[ruleset.judge(Scene(step=step), clock=lambda: 0).verdict.name]
