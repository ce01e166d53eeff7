"""Static analysis of a set of policies."""

from collections.abc import Collection, Mapping

import pytest

from policies.analysis import analyse
from policies.loader import Loaded, load
from policies.mistakes import Mistake

BASE = {
    "text": '"No."',
    "severity": '"high"',
    "steps": '["tool_call"]',
    "guards": """[{ kind = "pattern", rules = [{ id = "bad", pattern = "bad" }] }]""",
    "action": '[{ at = 75, do = "reject" }]',
    "reason": '"action_not_allowed"',
    "on_error": '"reject"',
}
EXAMPLES = """
[[clause.example]]
expect = "violation"
steps = [{ kind = "KIND", TOOL text = "bad" }]
[[clause.example]]
expect = "ok"
steps = [{ kind = "KIND", TOOL text = "good" }]
"""


def clause(name: str = "rule", **settings: str) -> str:
    written = {"id": f'"{name}"'} | BASE | settings
    kind = written["steps"].split('"')[1]
    examples = EXAMPLES.replace("KIND", kind).replace("TOOL", 'tool = "t",' if kind == "tool_call" else "")
    return "\n[[clause]]\n" + "\n".join(f"{key} = {value}" for key, value in written.items()) + examples


def policy(*clauses: str, name: str = "p") -> Loaded:
    return load(f'[policy]\nid = "{name}"\ndescription = ""\n' + "".join(clauses), f"{name}.toml")


def found(*clauses: str, tools: Mapping[str, Collection[str]] | None = None) -> list[Mistake]:
    mistakes = list(analyse([policy(*clauses)], tools or {}))
    assert all(each.remedy for each in mistakes)
    return mistakes


def said(*clauses: str, tools: Mapping[str, Collection[str]] | None = None) -> str:
    (mistake,) = found(*clauses, tools=tools)
    return f"{mistake.severity} {mistake.line} {mistake.message}"


HOLDS = '[{ at = 75, do = "hold" }]'


def test_a_sound_set_says_nothing() -> None:
    tools = {"send": ["outbound"], "read": ["read"]}
    assert found(clause(action=HOLDS, tools='{ tags = ["outbound"] }'), tools=tools) == []


def test_a_critical_clause_should_be_protected_and_never_pass_what_it_failed_to_judge() -> None:
    assert said(clause(severity='"critical"')) == "warning 8 clause `rule`: is critical and not protected"
    careless = clause(severity='"critical"', protected="true", on_error='"allow"')
    assert said(careless) == "error 13 clause `rule`: is critical, and lets pass what it failed to judge"
    assert found(clause(severity='"critical"', protected="true")) == []


def test_a_condition_that_is_always_false_or_always_true_is_found() -> None:
    never = "error 14 clause `rule`: never applies: its condition is false for every step"
    assert said(clause(when='"1 > 2"')) == never
    assert said(clause(when="\"step.kind == 'model_text'\"")) == never
    assert "true for every step" in said(clause(when="\"step.kind == 'tool_call'\""))
    assert found(clause(when='"step.server_side"')) == []
    assert found(clause(when="\"step.tool == 'x'\"")) == []


def test_bands_no_guard_can_reach_are_found() -> None:
    bands = '[{ at = 90, do = "reject" }, { at = 75, do = "hold" }]'
    assert said(clause(action=bands)) == "warning 11 clause `rule`: no score of its guards falls into the band at 90"
    high = '[{ at = 80, do = "reject" }]'
    message = "error 11 clause `rule`: never acts: its guards score at most 75, below its lowest band at 80"
    assert said(clause(action=high)) == message


def test_a_selector_that_no_tool_carries_is_found() -> None:
    money = clause(tools='{ tags = ["money"] }', action=HOLDS)
    assert "applies to no tool: none carries money" in said(money, tools={"read": ["read"]})
    assert found(money, tools={"pay": ["money"]}) == []
    assert found(clause(tools='{ tags = ["write"] }')) == []
    assert found(clause(tools='{ tags = ["money"], names = ["pay"] }')) == []


def test_recover_without_calls_has_no_meaning() -> None:
    assert "`recover` has no meaning" in said(clause(steps='["model_text"]', recover='"refused"'))


@pytest.mark.parametrize(
    "narrow",
    [
        {},
        {"tools": '{ names = ["t"] }'},
        {"when": "\"step.tool == 't'\""},
        {"action": HOLDS},
        {"on_error": '"flag"'},
    ],
)
def test_a_clause_that_another_always_outdoes_is_shadowed_in_either_order(narrow: dict[str, str]) -> None:
    assert "`b`: never decides: `p/a`" in said(clause("a"), clause("b", **narrow))
    shadowed = said(clause("b", **narrow), clause("a"))
    assert ("`b`: never decides: `p/a`" in shadowed) or (not narrow and "`a`: never decides" in shadowed)


def test_a_policy_may_harden_another_but_need_not_repeat_it() -> None:
    soft, hard = policy(clause(action=HOLDS), name="soft"), policy(clause(), name="hard")
    assert analyse([soft, hard], {}) == analyse([hard, soft], {}) == ()
    (mistake,) = analyse([soft, policy(clause("again", action=HOLDS), name="other")], {})
    assert "`again`: never decides: `soft/rule`" in mistake.message


@pytest.mark.parametrize(
    "other",
    [
        {"steps": '["tool_call", "model_text"]'},
        {"guards": '[{ kind = "pattern", rules = [{ id = "other", pattern = "bad" }] }]'},
        {"mode": '"shadow"'},
        {"on_error": '"terminate"'},
        {"action": '[{ at = 75, do = "terminate" }]'},
    ],
)
def test_a_clause_that_sometimes_decides_is_not_shadowed(other: dict[str, str]) -> None:
    wide = {"action": HOLDS} if "action" not in other else {}
    both = (clause("a", **wide, tools='{ names = ["t"] }'), clause("b", **(other | {"tools": '{ names = ["t"] }'})))
    assert not any("`b`: never decides" in each.message for each in found(*both))


def test_clauses_that_answer_one_finding_in_ways_that_exclude_each_other_contradict() -> None:
    passes_on = clause("a", action='[{ at = 50, do = "redact" }]')
    stops = clause("b", action='[{ at = 75, do = "reject" }]')
    message = "contradicts `p/a`: for the same finding one says reject, the other redact"
    assert message in said(passes_on, stops)
    elsewhere = clause("b", tools='{ names = ["x"] }')
    assert found(passes_on, elsewhere) == []


def test_clauses_that_recover_one_rejection_differently_contradict() -> None:
    one = clause("a", action='[{ at = 75, do = "reject" }, { at = 50, do = "flag" }]', on_error='"flag"')
    other = clause("b", recover='"refused"')
    assert "a rejected call is refused here and answered there" in said(one, other)


def test_tools_without_tags_and_sinks_nobody_watches_are_found() -> None:
    tools = {"misc": [], "pay": ["money", "irreversible"], "read": ["read"]}
    messages = [each.message for each in found(clause(), tools=tools)]
    assert messages == [
        "tool `misc` has no tags, so it counts as write",
        "tool `pay` is money and irreversible, and no clause in force says where its calls may go",
    ]
    held = clause(action=HOLDS, tools='{ tags = ["money"] }')
    assert [each.message for each in found(held, tools=tools)] == messages[:1]
    shadow = clause(action=HOLDS, tools='{ tags = ["money"] }', mode='"shadow"')
    assert [each.message for each in found(shadow, tools=tools)] == messages


def test_two_policies_cannot_have_one_id() -> None:
    (mistake,) = analyse([policy(clause()), policy(clause(guards=BASE["guards"].replace("bad", "b2")))], {})
    assert (mistake.severity, mistake.line) == ("error", 2)
    assert "already defined in p.toml" in mistake.message
