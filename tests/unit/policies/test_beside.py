"""Two versions of an app's parameters on the same sessions: where they part, and where others decide anyway."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.beside import Beside, Difference
from policies.loader import load
from policies.parameters import apply
from policies.replay import Replay
from policies.vocabulary.bands import Band
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import Parameters, SetBands, TagTool
from policies.vocabulary.steps import Part
from policies.vocabulary.verdicts import STRENGTH

RULES = """
[policy]
id = "house"
description = "What holds in these tests."

[[clause]]
id = "no-launch"
text = "Nothing is launched at night."
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "pattern", rules = [
    { id = "dark", pattern = "midnight", score = 95 }, { id = "bright", pattern = "noon", score = 60 },
] }]
action = [{ at = 90, do = "reject" }, { at = 50, do = "flag" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "midnight" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "dawn" } }]

[[clause]]
id = "no-payment"
text = "Nothing is paid."
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "pattern", rules = [{ id = "pay", pattern = "gold", score = 95 }] }]
action = [{ at = 90, do = "reject" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "gold" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "dawn" } }]
"""

START = Parameters(app="shop", policies=(load(RULES, "rules.toml").policy,))
STRICTER = apply(START, (SetBands(clause="house/no-launch", action=(Band(at=50, do="reject"),)),))
WORDS = ("dawn", "noon", "midnight", "gold", "noon for gold")


def beside(before: Parameters, after: Parameters) -> Beside:
    return Beside(before, after, configured={}, rest=lambda: None)


def calls(*texts: str) -> tuple[Part, ...]:
    return tuple(Part(kind="tool_call", text=text, tool="launch") for text in texts)


def test_only_a_step_that_nothing_else_stops_is_a_difference() -> None:
    found = list(beside(START, STRICTER).differences(calls("dawn", "noon", "midnight", "gold", "noon for gold")))
    assert found == [Difference(at=1, was="flag", would="reject")]
    (back,) = beside(STRICTER, START).differences(calls("noon"))
    assert (back.stricter, back.was, back.would) == (False, "reject", "flag")


def test_versions_that_tag_tools_otherwise_are_compared_clause_by_clause() -> None:
    tagged = apply(START, (TagTool(tool="launch", tags=("money",)),))
    assert list(beside(START, tagged).differences(calls(*WORDS))) == []


@given(st.lists(st.sampled_from(WORDS), max_size=8))
def test_the_first_difference_is_where_a_replay_of_the_whole_parts(texts: list[str]) -> None:
    steps = calls(*texts)
    whole = Episode(episode_id="e", app="shop", group="e", principal="k", at_ns=0, steps=steps)
    (was,), (would,) = (Replay([whole]).judge(each) for each in (START, STRICTER))
    found = list(beside(START, STRICTER).differences(steps))
    if found and was.stopped is not None:
        found = [each for each in found if each.at < was.stopped]
    assert [each.at for each in found][:1] == ([would.stopped] if would.stopped != was.stopped else [])
    assert all((STRENGTH[each.was] < STRENGTH["redact"]) == each.stricter for each in found)


@pytest.mark.parametrize("kind", ["user_input", "tool_result"])
def test_steps_that_no_clause_is_about_cost_nothing(kind: str) -> None:
    step = msgspec.structs.replace(calls("noon")[0], kind=kind)
    assert list(beside(START, STRICTER).differences([step])) == []
