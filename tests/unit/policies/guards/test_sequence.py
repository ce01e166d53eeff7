"""The `sequence` guard."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.guards.interface import BadGuard
from policies.guards.sequence import SequenceGuard, SequenceSpec
from policies.trail import Scene, Trail
from policies.vocabulary.steps import Part

SECOND = 1_000_000_000
TAGS = {
    "fetch": frozenset({"read", "outbound"}),
    "get_customer": frozenset({"read", "auth"}),
    "send_mail": frozenset({"outbound"}),
    "pay": frozenset({"money"}),
}


def guard(**rules: Any) -> SequenceGuard:
    return SequenceGuard(msgspec.convert({"kind": "sequence", **rules}, SequenceSpec))


def call(tool: str, text: str = "{}", call_id: str | None = None) -> Part:
    return Part(kind="tool_call", tool=tool, text=text, call_id=call_id)


def result(text: str = "ok", call_id: str | None = None, tool: str | None = None) -> Part:
    return Part(kind="tool_result", text=text, call_id=call_id, tool=tool)


def labels(built: SequenceGuard, step: Part, *parts: Part, **trail: Any) -> list[tuple[int, str]]:
    scene = Scene(step=step, trail=Trail(parts=parts, tags=TAGS, **trail))
    return [(hit.score, hit.evidence[0].label) for hit in built.examine(scene)]


def test_the_call_beyond_the_count_is_a_violation() -> None:
    built = guard(count={"max": 2, "tools": {"names": ["pay"]}})
    assert labels(built, call("pay"), call("pay")) == []
    assert labels(built, call("pay"), call("pay"), call("other"), call("pay")) == [(75, "too_many_calls")]
    assert labels(built, call("pay"), *[call("pay")] * 4) == [(90, "too_many_calls")]
    assert labels(built, call("other"), *[call("pay")] * 4) == []


def test_tools_that_are_not_named_count_together() -> None:
    assert labels(guard(count={"max": 2}), call("a"), call("b"), call("c")) == [(75, "too_many_calls")]


def test_tags_name_tools_and_an_untagged_tool_writes() -> None:
    built = guard(count={"max": 0, "tools": {"tags": ["money", "write"]}})
    assert labels(built, call("pay")) == [(90, "too_many_calls")]
    assert labels(built, call("unknown")) == [(90, "too_many_calls")]
    assert labels(built, call("fetch")) == []


def test_a_rate_is_counted_over_any_span_of_its_seconds() -> None:
    built = guard(rate={"max": 2, "seconds": 10})
    parts = (call("a"), call("a"), result())
    assert labels(built, call("a"), *parts, times=(0, 5 * SECOND, 6 * SECOND, 9 * SECOND)) == [(75, "too_fast")]
    assert labels(built, call("a"), *parts, times=(0, 5 * SECOND, 6 * SECOND, 11 * SECOND)) == []


def test_the_judged_calls_own_time_is_taken_where_it_has_one() -> None:
    built = guard(rate={"max": 1, "seconds": 10})
    late = msgspec.structs.replace(call("a"), ended_ns=100 * SECOND)
    assert labels(built, late, call("a"), times=(SECOND,)) == []
    assert labels(built, call("a"), call("a"), times=(SECOND,)) == [(75, "too_fast")]


def test_without_times_a_rate_is_unsure_and_only_where_there_are_enough_calls() -> None:
    built = guard(rate={"max": 2, "seconds": 10})
    assert labels(built, call("a"), call("a"), call("a")) == [(50, "rate_unknown")]
    assert labels(built, call("a"), call("a")) == []


def test_the_same_call_over_and_over_is_a_loop_whatever_the_order_of_its_keys() -> None:
    built = guard(loop={"repeats": 3})
    first, second = call("find", '{"a":1,"b":2}'), call("find", '{ "b": 2, "a": 1 }')
    assert labels(built, first, first, result(), second, result()) == [(75, "repeated_call")]
    assert labels(built, first, first, result(), call("find", '{"a":2,"b":2}'), result()) == []
    assert labels(built, first, *[first, result()] * 5) == [(90, "repeated_call")]


def test_who_waits_for_something_is_in_no_loop_unless_that_is_asked_for() -> None:
    parts = (call("poll", call_id="1"), result("10%", "1"), call("poll", call_id="2"), result("60%", "2"))
    assert labels(guard(loop={"repeats": 3}), call("poll"), *parts) == []
    assert labels(guard(loop={"repeats": 3, "changing": True}), call("poll"), *parts) == [(75, "repeated_call")]


def test_a_loop_is_counted_back_from_its_newest_result() -> None:
    parts = (call("poll"), result("a"), call("poll"), result("b"), call("poll"), result("b"))
    assert labels(guard(loop={"repeats": 3}), call("poll"), *parts) == [(75, "repeated_call")]
    assert labels(guard(loop={"repeats": 4}), call("poll"), *parts) == []


def test_calls_outside_the_window_do_not_count() -> None:
    others = [part for at in range(10) for part in (call("b", json.dumps(at)), result())]
    assert labels(guard(loop={"repeats": 3, "within": 5}), call("a"), call("a"), call("a"), *others) == []
    assert labels(guard(loop={"repeats": 3, "within": 13}), call("a"), call("a"), call("a"), *others) == [
        (75, "repeated_call")
    ]


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_round_of_calls_that_comes_around_is_a_loop(length: int) -> None:
    built = guard(loop={"repeats": 5, "within": 5})
    turn = [part for at in range(length) for part in (call(f"tool{at}"), result(str(at)))]
    *before, own, _ = turn * 5
    assert labels(built, own, *before) == [(75, "repeated_round")]
    assert labels(built, call("other"), *before) == []
    assert labels(built, own, *before[2:]) == []


def test_a_round_with_changing_results_is_a_loop_only_where_asked() -> None:
    parts = [part for at in range(3) for part in (call("a"), result(str(at)), call("b"), result("same"))][:-2]
    assert labels(guard(loop={"repeats": 3, "within": 3}), call("b"), *parts) == []
    assert labels(guard(loop={"repeats": 3, "within": 3, "changing": True}), call("b"), *parts) == [
        (75, "repeated_round")
    ]


def test_a_tool_may_need_another_before_it() -> None:
    built = guard(without={"tools": {"names": ["refund"]}, "earlier": {"names": ["get_*"]}})
    assert labels(built, call("refund"), call("find")) == [(75, "called_first")]
    assert labels(built, call("refund"), call("get_order")) == []
    assert labels(built, call("find")) == []
    assert labels(built, call("refund"), call("find"), partial=True) == [(50, "order_unknown")]


def test_a_tool_may_end_the_use_of_another() -> None:
    built = guard(after={"tools": {"tags": ["outbound"]}, "earlier": {"tags": ["auth"]}})
    assert labels(built, call("send_mail"), call("get_customer")) == [(75, "called_after")]
    assert labels(built, call("send_mail"), call("fetch")) == []
    assert labels(built, call("pay"), call("get_customer")) == []


@pytest.mark.parametrize(
    "untrusted",
    [
        (call("fetch", call_id="1"), result("page", "1")),
        (call("fetch"), result("page")),
        (result("page", tool="fetch"),),
        (Part(kind="retrieval", text="page"),),
    ],
)
def test_untrusted_input_and_private_data_close_the_way_out(untrusted: tuple[Part, ...]) -> None:
    built = guard(rule_of_two={})
    private = (call("get_customer"), result("SSN"))
    assert labels(built, call("send_mail"), *untrusted, *private) == [(75, "rule_of_two")]
    assert labels(built, call("send_mail"), *private, *untrusted) == [(75, "rule_of_two")]
    assert labels(built, call("send_mail"), *untrusted) == []
    assert labels(built, call("send_mail"), *private) == []
    assert labels(built, call("pay"), *untrusted, *private) == []


def test_ids_that_are_given_anew_each_turn_tell_no_result_of_another_call() -> None:
    again = (call("fetch", call_id="call_0"), result("a page", "call_0"), call("get_customer", call_id="call_0"))
    assert labels(guard(rule_of_two={}), call("send_mail"), *again) == [(75, "rule_of_two")]
    built = guard(loop={"repeats": 2, "within": 4})
    waiting = (call("a", call_id="0"), result("1", "0"), call("a", call_id="0"), result("2", "0"))
    assert labels(built, call("a"), *waiting) == labels(
        built, call("a"), call("a"), result("1"), call("a"), result("2")
    )


def test_the_two_others_are_named_as_evidence() -> None:
    parts = (Part(kind="user_input"), Part(kind="retrieval"), call("get_customer"))
    (hit,) = guard(rule_of_two={}).examine(Scene(step=call("send_mail"), trail=Trail(parts=parts, tags=TAGS)))
    assert [each.source for each in hit.evidence] == [1, 2]


def test_own_names_stand_for_tags() -> None:
    rule = {"untrusted": {"names": ["read_*"]}, "private": {"names": ["open"]}, "outbound": {"names": ["post"]}}
    parts = (call("read_page"), result("x"), call("open"))
    assert labels(guard(rule_of_two=rule), call("post"), *parts) == [(75, "rule_of_two")]


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"without": {"tools": {}, "earlier": {"names": ["a"]}}},
        {"after": {"tools": {"names": ["a"]}, "earlier": {}}},
        {"rule_of_two": {"outbound": {}}},
        {"loop": {"repeats": 5, "within": 3}},
    ],
)
def test_a_rule_that_says_nothing_is_a_bad_guard(rules: dict[str, Any]) -> None:
    with pytest.raises(BadGuard):
        guard(**rules)


ALL = guard(
    count={"max": 2},
    rate={"max": 2, "seconds": 1},
    loop={"repeats": 2, "within": 4},
    without={"tools": {"names": ["a"]}, "earlier": {"names": ["b"]}},
    after={"tools": {"names": ["b"]}, "earlier": {"names": ["a"]}},
    rule_of_two={"private": {"names": ["a"]}, "outbound": {"names": ["b"]}},
)
PARTS = st.builds(
    Part,
    kind=st.sampled_from(["tool_call", "tool_result", "retrieval", "user_input", "model_text"]),
    tool=st.sampled_from([None, "a", "b", "fetch"]),
    text=st.sampled_from(["", "{}", "{", '{"a":1}', "\ud800", "[" * 3000]),
    call_id=st.sampled_from([None, "1", "2"]),
)


@given(st.lists(PARTS, max_size=12), PARTS, st.lists(st.integers(0, 10 * SECOND), max_size=14), st.booleans())
def test_any_scene_is_examined_without_failing(parts: list[Part], step: Part, times: list[int], partial: Any) -> None:
    trail = Trail(parts=tuple(parts), times=tuple(times), partial=partial, tags=TAGS)
    for hit in ALL.examine(Scene(step=step, trail=trail)):
        assert all(each.source is None or 0 <= each.source < len(parts) for each in hit.evidence)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=10), st.integers(0, 10))
def test_words_between_calls_change_nothing(tools: list[str], at: int) -> None:
    parts = [call(tool) for tool in tools]
    talk = Part(kind="model_text", text="thinking")
    assert labels(ALL, call("a"), *parts) == labels(ALL, call("a"), *parts[:at], talk, *parts[at:])
