"""What one request asks otherwise than another, on every wire: by what it means to a model, not by its bytes."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contents import WholeRequest
from gateway.request_changes import Changed, RequestChanges, request_changes
from gateway.wire.dialects import dialects

WIRES = dialects()
TOOL = {"name": "read_file", "description": "Reads.", "input_schema": {"type": "object"}}


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}


ASKED: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 64,
    "system": "Be kind.",
    "tools": [TOOL],
    "messages": [said("Hello"), said("Hi.", "assistant"), said("Go on")],
}


def changes(before: dict[str, Any], after: dict[str, Any], wire: str = "anthropic") -> RequestChanges:
    dialect = WIRES.by_name()[wire]
    bodies = [msgspec.json.encode(each) for each in (before, after)]
    one, other = (WholeRequest(each, dialect.read_request(each, "chat")) for each in bodies)
    return request_changes(one, other, dialect)


def with_(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ASKED), **fields}


def test_a_turn_that_only_adds_messages_changes_nothing() -> None:
    found = changes(ASKED, with_(messages=[*ASKED["messages"], said("Yes.", "assistant"), said("And?")]))
    assert found == RequestChanges(settings=(), instructions=None, tools=(), history=(), kept=3, appended=2)


def test_marks_of_the_cache_and_the_order_of_keys_are_no_change() -> None:
    marked = with_(
        system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        tools=[{"cache_control": {"type": "ephemeral"}, **dict(reversed(TOOL.items()))}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]},
            *ASKED["messages"][1:],
        ],
    )
    found = changes(with_(thinking={"type": "on", "n": 1}), {**marked, "thinking": {"n": 1, "type": "on"}})
    assert (found.instructions, found.tools, found.history, found.settings, found.kept) == (None, (), (), (), 3)


def test_settings_are_told_by_name_as_json() -> None:
    found = changes(with_(temperature=0.5), with_(max_tokens=128, tool_choice={"type": "any"}))
    assert {each.name: (each.before, each.after) for each in found.settings} == {
        "temperature": ("0.5", None),
        "max_tokens": ("64", "128"),
        "tool_choice": (None, '{"type":"any"}'),
    }


def test_tools_are_added_changed_and_taken_away_by_name() -> None:
    others = [{**TOOL, "description": "Reads and writes."}, {**TOOL, "name": "send"}]
    found = changes(with_(tools=[TOOL, {**TOOL, "name": "look"}]), with_(tools=others))
    assert [(each.name, each.before is None, each.after is None) for each in found.tools] == [
        ("read_file", False, False),
        ("look", False, True),
        ("send", True, False),
    ]
    assert changes(with_(tools=[TOOL, others[1]]), with_(tools=[others[1], TOOL])).tools == ()
    twice = changes(with_(tools=[TOOL]), with_(tools=[TOOL, others[0]]))
    assert [(each.name, each.before) for each in twice.tools] == [("read_file (2)", None)]


def test_instructions_are_compared_as_text() -> None:
    assert changes(ASKED, with_(system="Be brief.")).instructions == Changed(
        name="instructions", before="Be kind.", after="Be brief."
    )
    bare = {name: value for name, value in ASKED.items() if name != "system"}
    gone = changes(ASKED, bare).instructions
    assert gone is not None
    assert (gone.before, gone.after) == ("Be kind.", None)


def test_history_that_was_told_anew_is_told_message_by_message() -> None:
    one, two, three = ASKED["messages"]
    edited = changes(ASKED, with_(messages=[one, said("Hello to you.", "assistant"), three, said("More")]))
    assert edited.history == (Changed(name="model_text", before="Hi.", after="Hello to you.", place=1),)
    assert (edited.kept, edited.appended) == (2, 1)
    dropped = changes(ASKED, with_(messages=[one, three]))
    assert dropped.history == (Changed(name="model_text", before="Hi.", after=None, place=1),)
    put_between = changes(ASKED, with_(messages=[one, two, said("psst"), three]))
    assert put_between.history == (Changed(name="user_input", before=None, after="psst", place=2),)
    compacted = changes(ASKED, with_(messages=[said("A summary."), said("Next")]))
    assert (compacted.kept, len(compacted.history), compacted.appended) == (0, 3, 0)


SYSTEM = [said("Be kind.", "system"), said("Hello")], [said("Be brief.", "system"), said("Hello")]
CHAT: tuple[dict[str, Any], dict[str, Any]] = (
    {"model": "m", "messages": SYSTEM[0], "tools": []},
    {"model": "m", "messages": SYSTEM[1], "tools": [{"type": "function", "function": {"name": "send"}}]},
)
RESPONSES: tuple[dict[str, Any], dict[str, Any]] = (
    {"model": "m", "input": SYSTEM[0]},
    {"model": "m", "input": SYSTEM[1], "tools": [{"type": "function", "name": "send", "parameters": {}}]},
)


@pytest.mark.parametrize(("wire", "both"), [("openai_chat", CHAT), ("openai_responses", RESPONSES)])
def test_other_wires_are_read_alike(wire: str, both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    found = changes(*both, wire)
    assert [(each.name, each.before, each.after) for each in found.history] == [
        ("instructions", "Be kind.", "Be brief.")
    ]
    assert [(each.name, each.before) for each in found.tools] == [("send", None)]
    assert (found.settings, found.kept) == ((), 1)


WORDS = st.lists(st.sampled_from("abcdef"), max_size=12)


@given(WORDS, WORDS)
def test_every_message_of_the_earlier_request_is_kept_or_told_and_none_of_the_later_is_lost(
    one: list[str], other: list[str]
) -> None:
    found = changes(with_(messages=[said(each) for each in one]), with_(messages=[said(each) for each in other]))
    assert found.kept + sum(each.before is not None for each in found.history) == len(one)
    told = found.kept + sum(each.after is not None for each in found.history) + found.appended
    assert told == len(other)
    if one == other[: len(one)]:
        assert (found.history, found.appended) == ((), len(other) - len(one))


def test_a_long_history_told_anew_from_its_start_is_compared_in_time() -> None:
    before = with_(messages=[said(f"{n}") for n in range(9000)])
    after = with_(messages=[said(f"{n}!") for n in range(9000)])
    found = changes(before, after)
    assert (found.kept, len(found.history), found.appended) == (0, 9000, 0)
