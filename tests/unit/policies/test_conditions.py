"""Conditions in CEL."""

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.conditions import ARGUMENT_BYTES, FACTS, BadCondition, Condition, Moment, Untold
from policies.trail import Scene, Trail
from policies.vocabulary.steps import Part

BEFORE = (
    Part(kind="user_input", text="hi"),
    Part(kind="tool_call", tool="search"),
    Part(kind="tool_call", tool="search"),
    Part(kind="tool_result", tool="search"),
)


def moment(args: Any = None, *, tags: frozenset[str] = frozenset({"money"}), **fields: Any) -> Moment:
    text = args if isinstance(args, str) else json.dumps(args or {})
    step = Part(**{"kind": "tool_call", "tool": "pay", "text": text} | fields)
    return Moment(Scene(step=step, trail=Trail(parts=BEFORE, tags={"pay": tags})), app="shop", tool=step.tool)


def holds(source: str, args: Any = None, **fields: Any) -> bool:
    return Condition(source).holds(moment(args, **fields))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('step.kind == "tool_call"', True),
        ('step.kind in ["tool_result"]', False),
        ('step.tool == "pay" && step.server_side', False),
        ("step.size > 3", True),
        ('"money" in tool.tags && !("outbound" in tool.tags)', True),
        ('tool.tags.exists(t, t == "money")', True),
        ("args.amount > 100", True),
        ("args.amount > 100.5", True),
        ("args.lines.all(x, x.price < 10)", True),
        ("has(args.missing) && args.missing > 1", False),
        ('args.to.matches("^[a-z]+@example[.]com$")', True),
        ("size(args.lines) == 2", True),
        ('session.calls["search"] == 2', True),
        ('"pay" in session.calls', False),
        ("session.steps == 4", True),
        ('app.name == "shop" // and nothing else', True),
        ('"args.nothing" == "step.nothing"', False),
    ],
)
def test_facts_mean_what_the_documentation_says(source: str, *, expected: bool) -> None:
    args = {"amount": 120, "to": "ann@example.com", "lines": [{"price": 1}, {"price": 2}]}
    assert holds(source, args) is expected


def test_every_fact_can_be_asked_for() -> None:
    source = " && ".join(f"type({fact}) != 'nothing'" for fact in FACTS)
    assert Condition(source).facts == set(FACTS)
    assert holds(source) is True


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "no CEL"),
        ("args.amount >", "column"),
        ("prov.x == 1", "no fact `prov`"),
        ("step.knd == 'x'", "no fact `step.knd`"),
        ("step == 1", "no fact `step`"),
        ("step['kind'] == 'x'", "no fact `step`"),
        ("upper(step.tool) == 'X'", "no function `upper`"),
        ("args.x.trim() == 'X'", "no function `trim`"),
        ("args.a.map(x, x).size() > 0", "`map`"),
        ("args.a.filter(x, x > 0).size() > 0", "`filter`"),
        ("args.a.exists(x, x.exists(y, y))", "inside a macro"),
        ("args.a.exists(x, x in args.b)", "`args` inside"),
        ("args.a.exists(step, true)", "cannot name an item"),
        ("args.a.matches(args.b)", "written out"),
        ("matches(args.a, 'x')", "written out"),
        ("has(args.a) && args.a.matches('(?=x)')", "no regular expression"),
        ('args.a.matches(r"[")', "no regular expression"),
        ("true || " * 400 + "true", "longer than"),
        ("(" * 500 + "true" + ")" * 500, "no CEL"),
    ],
)
def test_what_is_unknown_or_could_become_slow_is_refused_with_a_remedy(source: str, said: str) -> None:
    with pytest.raises(BadCondition, match=said) as caught:
        Condition(source)
    assert caught.value.remedy()


@pytest.mark.parametrize(
    ("source", "args"),
    [
        ("args.amount > 100", {}),
        ("args.amount > 100", {"amount": "many"}),
        ("args.amount", {"amount": 3}),
        ("args.a / args.b == 1", {"a": 1, "b": 0}),
        ("args.x == 'a'", '{"x": "\ud800"}'),
        ("has(args.x)", "no JSON"),
        ("has(args.x)", "[1]"),
        ("has(args.x)", "[" * 100_000),
        ("has(args.x)", '{"x":' * 500 + "1" + "}" * 500),
        ("has(args.x)", {"x": "y" * ARGUMENT_BYTES}),
    ],
)
def test_a_step_that_says_nothing_of_what_is_asked_cannot_be_told(source: str, args: Any) -> None:
    with pytest.raises(Untold):
        holds(source, args)


def test_arguments_are_not_read_for_conditions_that_do_not_ask() -> None:
    assert holds('step.tool == "pay"', "no JSON") is True


def test_steps_that_are_no_calls_have_no_arguments() -> None:
    assert holds("has(args.x)", "free text", kind="tool_result") is False


@given(st.text(max_size=60))
def test_no_source_raises_anything_but_bad_condition(source: str) -> None:
    with contextlib.suppress(BadCondition):
        Condition(source)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_argument_raises_anything_but_untold(value: Any) -> None:
    for source in ("args.x > 1", "size(args.x) > 0", "args.x.exists(y, y == 1)", "args.x == null"):
        with contextlib.suppress(Untold):
            holds(source, json.dumps({"x": value}))


def test_a_condition_costs_less_than_a_tenth_of_a_millisecond() -> None:
    condition = Condition('step.kind == "tool_call" && "money" in tool.tags && args.amount > 100')
    asked = [moment({"amount": 120}) for _ in range(200)]
    started = time.process_time()
    assert all(condition.holds(each) for each in asked)
    assert time.process_time() - started < 200 * 0.0001 * 3  # three times: a busy machine is no failure


def test_the_longest_list_a_condition_is_shown_stays_cheap() -> None:
    longest = moment({"a": [1] * 20_000})
    condition = Condition("args.a.exists(x, x > 1)")
    started = time.process_time()
    assert condition.holds(longest) is False
    assert time.process_time() - started < 0.5


def test_the_cel_package_has_one_door_and_is_imported_when_a_condition_is() -> None:
    sources = Path(__file__).parents[3] / "policies"
    doors = [
        path.name
        for path in sources.rglob("*.py")
        if re.search(r"^\s*(import|from) cel\b", path.read_text(), re.MULTILINE)
    ]
    assert doors == ["conditions.py"]
    program = (
        "import sys, policies.loader, policies.conditions as c; assert 'cel' not in sys.modules;"
        "c.Condition('true'); assert 'cel' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=sources.parent)
