"""Edits applied to what is in force."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.digests import digest
from policies.guards.pattern import PatternRule, PatternSpec
from policies.parameters import EditRefused, apply, check, clauses, expired, protected
from policies.tools import ToolSelector
from policies.vocabulary.bands import Band
from policies.vocabulary.revisions import (
    AddClause,
    AddGuard,
    AddLine,
    DeleteClause,
    DeleteGuard,
    DeleteLine,
    DescribeTool,
    Edit,
    Line,
    MergeGuards,
    Proposal,
    ReplaceGuard,
    ReplaceLine,
    Revision,
    SetBands,
    SetMode,
    SetTools,
    TagTool,
)
from tests.unit.policies.revised import clause, parameters

REJECT = (Band(at=60, do="reject"),)


def pattern(name: str, text: str | None = None, score: int = 80) -> PatternSpec:
    return PatternSpec(rules=(PatternRule(id=name, pattern=text or name, score=score),))


def refusal(*edits: Edit, start: object = None) -> str:
    with pytest.raises(EditRefused) as refused:
        apply(start or parameters(), edits)  # type: ignore[arg-type]
    assert refused.value.remedy()
    return refused.value.why


FIRST = digest(clauses(parameters())["p/rule"].guards[0])
EDITS: tuple[Edit, ...] = (
    AddGuard(clause="p/rule", guard=pattern("worse")),
    ReplaceGuard(clause="p/rule", was=FIRST, guard=pattern("bad", "ba+d")),
    SetBands(clause="p/rule", action=REJECT),
    SetTools(clause="p/rule", tools=ToolSelector(names=("send",))),
    SetMode(clause="p/rule", mode="shadow"),
    AddLine(line=Line(id="a", text="Ask before you delete.")),
    AddLine(line=Line(id="b", text="Names of towns are fine."), clause="p/rule"),
    DescribeTool(tool="send", description="Sends one message."),
    TagTool(tool="send", tags=("outbound",)),
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__)
def test_an_edit_gives_other_content_and_leaves_the_old_as_it_was(edit: Edit) -> None:
    start = parameters()
    name = start.digest
    changed = apply(start, [edit])
    assert changed.digest != name == start.digest


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__)
def test_an_edit_is_read_as_it_was_written(edit: Edit) -> None:
    assert msgspec.json.decode(msgspec.json.encode(edit), type=Edit) == edit


def test_what_is_added_can_be_taken_out_again() -> None:
    start = parameters()
    added = apply(start, [AddGuard(clause="p/rule", guard=pattern("worse")), *EDITS[5:7]])
    out = [
        DeleteGuard(clause="p/rule", was=digest(pattern("worse"))),
        DeleteLine(line="a"),
        DeleteLine(line="b", clause="p/rule"),
    ]
    assert apply(added, out) == start


def test_guards_of_a_clause_are_merged_in_the_place_of_the_first() -> None:
    start = apply(parameters(), [AddGuard(clause="p/rule", guard=pattern("worse"))])
    both = PatternSpec(rules=(*clauses(start)["p/rule"].guards[0].rules, *pattern("worse").rules))  # type: ignore[union-attr]
    merged = apply(start, [MergeGuards(clause="p/rule", were=(FIRST, digest(pattern("worse"))), guard=both)])
    assert clauses(merged)["p/rule"].guards == (both,)


def test_a_line_is_said_otherwise_under_its_own_id() -> None:
    start = apply(parameters(), [AddLine(line=Line(id="a", text="One."))])
    assert apply(start, [ReplaceLine(line=Line(id="a", text="Two."))]).instructions == (Line(id="a", text="Two."),)
    assert refusal(ReplaceLine(line=Line(id="b", text="Two.")), start=start) == "unknown_target"


TOUCHING: tuple[Edit, ...] = (
    DeleteClause(clause="p/rule"),
    DeleteGuard(clause="p/rule", was=FIRST),
    *[edit for edit in EDITS if getattr(edit, "clause", None)],
)


@pytest.mark.parametrize("edit", TOUCHING, ids=lambda edit: type(edit).__name__)
def test_nothing_touches_a_protected_clause(edit: Edit) -> None:
    assert refusal(edit, start=parameters(clause(protected=True))) == "protected"


@given(st.lists(st.sampled_from([*EDITS, *TOUCHING]), max_size=12))
def test_a_protected_clause_is_the_same_to_the_byte_whatever_comes(edits: list[Edit]) -> None:
    now = start = parameters(clause(), clause("law", protected=True))
    for edit in edits:
        try:
            now = apply(now, [edit])
        except EditRefused:
            continue
    assert protected(now) == protected(start)
    assert list(protected(now)) == ["p/law"]


@pytest.mark.parametrize(
    "law",
    [(), (clause("law"),), (clause("law", at=76, protected=True),)],
    ids=["it is gone", "it is protected no more", "it acts later"],
)
def test_nothing_comes_in_the_place_of_a_protected_clause_however_it_came_about(law: tuple[str, ...]) -> None:
    """No edit says so: parameters that were in force once, say, or that another release made."""
    before = parameters(clause(), clause("law", protected=True))
    with pytest.raises(EditRefused) as refused:
        check(before, parameters(clause(), *law))
    assert refused.value.why == "protected"


def test_what_does_not_load_or_breaks_an_example_is_refused_with_its_reason() -> None:
    assert refusal(AddGuard(clause="p/rule", guard=pattern("x", "(("))) == "not_loading"
    assert refusal(AddGuard(clause="p/rule", guard=pattern("x", "good"))) == "breaks_examples"
    assert refusal(SetBands(clause="p/rule", action=(Band(at=90, do="reject"),))) == "breaks_examples"
    assert refusal(DeleteGuard(clause="p/rule", was=FIRST)) == "not_loading"
    assert refusal(SetBands(clause="p/other", action=REJECT)) == "unknown_target"
    assert refusal(ReplaceGuard(clause="p/rule", was="0" * 32, guard=pattern("x"))) == "unknown_target"
    assert refusal(SetMode(clause="p/rule", mode="enforce")) == "changes_nothing"


def test_a_clause_comes_whole_or_not_at_all() -> None:
    other = msgspec.structs.replace(clauses(parameters())["p/rule"], id="other")
    assert "p/other" in clauses(apply(parameters(), [AddClause(policy="p", clause=other)]))
    assert refusal(AddClause(policy="q", clause=other)) == "unknown_target"
    assert refusal(AddClause(policy="p", clause=msgspec.structs.replace(other, example=()))) == "not_loading"


def test_edits_are_applied_all_or_none() -> None:
    start = parameters()
    assert refusal(EDITS[2], DeleteClause(clause="p/none"), start=start) == "unknown_target"
    assert start == parameters()


def test_what_was_given_until_a_moment_goes_by_itself() -> None:
    guard = pattern("worse")
    start = apply(
        parameters(),
        [
            AddGuard(clause="p/rule", guard=guard, expires_ns=50),
            AddLine(line=Line(id="a", text="Soon gone.", expires_ns=70)),
            AddLine(line=Line(id="b", text="Stays.")),
        ],
    )
    assert expired(start, 49) == ()
    assert expired(start, 60) == (DeleteGuard(clause="p/rule", was=digest(guard)),)
    late = apply(start, expired(start, 70))
    assert (late.expiries, late.instructions) == ((), (Line(id="b", text="Stays."),))
    assert expired(late, 1 << 62) == ()


def test_revisions_and_proposals_are_named_by_what_they_hold() -> None:
    one = Revision(app="shop", parent=None, parameters="x", author="human:anna")
    assert one.digest == Revision(app="shop", parent=None, parameters="x", author="human:anna").digest
    assert one.digest != msgspec.structs.replace(one, parent=one.digest).digest
    first = Proposal(app="shop", parent="x", author="optimizer:a", edits=EDITS[:1])
    again = Proposal(app="shop", parent="y", author="optimizer:b", edits=EDITS[:1], why="otherwise")
    assert first.digest == again.digest  # the same change, whoever suggests it, whenever


def test_only_what_guards_do_is_shown_by_a_replay() -> None:
    made = [Proposal(app="shop", parent="x", author="o", edits=(edit,)) for edit in EDITS]
    assert [proposal.exact for proposal in made] == [True] * 5 + [False] * 3 + [True]
