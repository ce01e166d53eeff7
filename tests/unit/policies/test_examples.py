"""Examples of clauses."""

import json

from policies.examples import outcomes, run_examples, scene_of, tags_of, threshold
from policies.loader import Loaded, load

HEAD = """[policy]
id = "p"
description = ""
"""
CLAUSE = """
[[clause]]
id = "rule"
text = "No."
severity = "high"
steps = ["tool_call", "tool_result", "tool_definitions"]
tools = { tags = ["outbound"], names = ["upload"] }
guards = [{ kind = "pattern", rules = [{ id = "bad", pattern = "bad" }, { id = "odd", pattern = "odd", score = 30 }] }]
action = [{ at = 75, do = "reject" }, { at = 20, do = "flag" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "shadow"
"""


def loaded(*examples: str, clause: str = CLAUSE) -> Loaded:
    return load(HEAD + clause + "".join(f"[[clause.example]]\n{example}\n" for example in examples), "p.toml")


def ran(*examples: str, clause: str = CLAUSE) -> list[str]:
    file = loaded(*examples, clause=clause)
    return [outcome.message for outcome in outcomes(file.policy, file.policy.clause[0])]


def call(text: str, expect: str, more: str = "") -> str:
    return f'expect = "{expect}"\nsteps = [{{ kind = "tool_call", tool = "send", args = {{ x = "{text}" }}{more} }}]'


def test_a_violation_reaches_the_lowest_band_that_acts_and_a_passing_example_none() -> None:
    assert ran(call("bad", "violation"), call("good", "ok"), call("odd", "ok")) == ["", "", ""]


def test_an_example_that_turns_out_otherwise_says_how() -> None:
    assert ran(call("odd", "violation"), call("bad", "ok"), call("good", "violation")) == [
        "should be a violation, but scores 30, below 75",
        "should pass, but scores 75, which reaches the band at 75",
        "should be a violation, but scores nothing, below 75",
    ]


def test_of_a_clause_that_only_flags_the_lowest_band_counts() -> None:
    flags = CLAUSE.replace('"reject" }', '"flag" }')
    assert threshold(loaded(clause=flags).policy.clause[0]) == 20
    assert ran(call("odd", "violation"), clause=flags) == [""]


def test_a_wrong_example_is_a_mistake_with_its_line() -> None:
    file = loaded(call("good", "violation"))
    (mistake,) = run_examples(file)
    assert (mistake.place, mistake.line) == ("p.toml", 16)
    assert mistake.message == "clause `rule`: example 1 should be a violation, but scores nothing, below 75"


def test_an_example_on_which_a_guard_or_condition_fails_has_not_passed() -> None:
    asks = CLAUSE.replace('mode = "shadow"', 'mode = "shadow"\nwhen = "args.amount > 3"')
    assert ran(call("good", "ok"), clause=asks)[0].startswith("could not be judged: when")
    assert ran(call("bad", "violation"), clause=asks)[0].startswith("could not be judged: when")


def test_a_clause_whose_condition_is_false_passes() -> None:
    asks = CLAUSE.replace('mode = "shadow"', 'mode = "shadow"\nwhen = "args.x != \'bad\'"')
    assert ran(call("bad", "ok"), clause=asks) == [""]


def test_the_judged_tool_counts_as_selected_unless_the_example_gives_tags() -> None:
    assert ran(call("bad", "violation"), call("bad", "ok", ', tags = ["read"]')) == ["", ""]
    names = CLAUSE.replace('tags = ["outbound"], ', "")
    assert ran(call("bad", "ok"), call("bad", "violation").replace("send", "upload"), clause=names) == ["", ""]


def test_tags_of_tools_before_the_judged_one_are_those_the_example_gives() -> None:
    steps = """expect = "ok"
steps = [
  { kind = "tool_call", tool = "read", tags = ["read"] }, { kind = "tool_result", text = "x" },
  { kind = "tool_call", tool = "send" } ]"""
    file = loaded(steps.replace("\n  ", "").replace(" ]", "]"))
    clause = file.policy.clause[0]
    assert tags_of(clause.example[0], clause) == {"read": frozenset({"read"}), "send": frozenset({"outbound"})}


def test_steps_become_parts_with_ids_that_join_results_to_calls() -> None:
    steps = """expect = "ok"
steps = [
{ kind = "tool_call", tool = "a", args = { n = 1 } }, { kind = "tool_call", tool = "b", call_id = "mine" },
{ kind = "tool_call", tool = "a", text = "{" }, { kind = "tool_result", tool = "a", text = "first" },
{ kind = "tool_result", call_id = "mine" }, { kind = "tool_result", text = "second" },
{ kind = "tool_result", tool = "unasked" }, { kind = "tool_call", tool = "send" } ]"""
    scene = scene_of(loaded(steps).policy.clause[0].example[0])
    told = [(part.text, part.tool, part.call_id) for part in (*scene.trail.parts, scene.step)]
    assert told == [
        ('{"n":1}', "a", "call_0"),
        ("", "b", "mine"),
        ("{", "a", "call_2"),
        ("first", "a", "call_0"),
        ("", "b", "mine"),
        ("second", "a", "call_2"),
        ("", "unasked", "call_6"),
        ("", "send", "call_7"),
    ]
    assert scene.trail.times == tuple(at * 1_000_000_000 for at in range(7))


def test_a_tool_definition_is_written_as_on_the_wire() -> None:
    steps = """expect = "ok"
steps = [{ kind = "tool_definitions", tool = "send", text = "Sends.", schema = { type = "object" } }]"""
    scene = scene_of(loaded(steps).policy.clause[0].example[0])
    assert json.loads(scene.step.text) == {
        "name": "send",
        "description": "Sends.",
        "input_schema": {"type": "object"},
    }
