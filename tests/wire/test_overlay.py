"""Overlays: what is added stands where instructions are read, and nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.dialects import dialects
from gateway.wire.interface import Dialect
from gateway.wire.overlay import LARGEST_READ, Overlay, Unplaced, overlaid

WIRES = dialects()
BY_NAME = {"anthropic": WIRES.anthropic, "chat": WIRES.chat, "responses": WIRES.responses}
LINES = Overlay(lines=("Look first.", 'Say "no"\nwhere it is due.'))

texts = st.text(max_size=30) | st.sampled_from(
    ['"system":', '"instructions": null', '{"role":"system"}', "\\", "\ud7ff"]
)
blocks = st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), max_size=3)
spaces = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\n")])
every_wire = pytest.mark.parametrize("name", BY_NAME)


def put(dialect: Dialect, body: bytes, lines: Overlay = LINES) -> bytes:
    return overlaid(dialect, body, dialect.read_request(body, "chat"), lines)


def request_of(name: str, own: Any, said: str, more: dict[str, Any]) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": said}]
    if name == "chat":
        first = [] if own is None else [{"role": "system", "content": own}]
        return {**more, "model": "m", "messages": [*first, *messages]}
    key = "system" if name == "anthropic" else "instructions"
    lead = {} if own is None else {key: own}
    return {"model": "m", **lead, "input" if name == "responses" else "messages": messages, **more}


@every_wire
@given(own=st.none() | texts, said=texts, more=st.dictionaries(st.sampled_from(["x", "y"]), texts), space=spaces)
def test_a_text_grows_behind_and_every_other_value_stays(
    name: str, own: str | None, said: str, more: dict[str, Any], space: tuple[str, str]
) -> None:
    document = request_of(name, own, said, more)
    body = json.dumps(document, separators=space).encode()
    after = put(BY_NAME[name], body)
    read = json.loads(after)
    wanted = request_of(name, f"{own}\n\n{LINES.text}" if own else LINES.text, said, more)
    assert read == wanted
    assert put(BY_NAME[name], body) == after
    grown = len(after) - len(body)
    assert any(after[:at] + after[at + grown :] == body for at in range(len(body) + 1))


@pytest.mark.parametrize("name", ["anthropic", "chat"])
@given(own=blocks, said=texts)
def test_blocks_stay_and_one_more_comes_behind_them(name: str, own: list[Any], said: str) -> None:
    document = request_of(name, own, said, {})
    after = json.loads(put(BY_NAME[name], json.dumps(document).encode()))
    assert after == request_of(name, [*own, {"type": "text", "text": LINES.text}], said, {})


BLOCKS: list[Any] = [{"type": "text", "text": "Own."}, {"type": "text", "text": "Too."}]


@pytest.mark.parametrize("own", [None, "", "Own.", BLOCKS])
def test_a_long_body_with_tools_is_not_read_value_by_value(own: Any) -> None:
    """Where one of this length would have to be, its lines are left out: see the next test."""
    schema = {"type": "object", "properties": {"system": {"type": "string"}, "instructions": {"type": "string"}}}
    more = {"tools": [{"name": "configure", "input_schema": schema}], "x": list(range(LARGEST_READ))}
    after = json.loads(put(WIRES.anthropic, json.dumps(request_of("anthropic", own, "hi", more)).encode()))
    said: Any = f"{own}\n\n{LINES.text}" if own else LINES.text
    said = [*BLOCKS, {"type": "text", "text": LINES.text}] if own == BLOCKS else said
    assert after == request_of("anthropic", said, "hi", more)


def test_a_long_body_whose_instructions_nobody_cut_out_goes_on_as_it_came() -> None:
    body = json.dumps({"system": None, "messages": [], "x": list(range(LARGEST_READ))}).encode()
    with pytest.raises(Unplaced) as unplaced:
        put(WIRES.anthropic, body)
    assert unplaced.value.why == "too_large_to_place"


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("anthropic", b'{"system": 7, "messages": []}', "instructions_of_another_shape"),
        ("responses", b'{"prompt": {"id": "p"}, "input": "hi"}', "stored_prompt"),
        ("responses", b'{"instructions": ["a"], "input": "hi"}', "instructions_of_another_shape"),
        ("chat", b'{"messages": []}', "messages_not_found"),
        ("chat", b'{"messages": [{"role": "system"}]}', "instructions_of_another_shape"),
    ],
)
def test_where_lines_have_no_place_none_is_guessed(name: str, body: bytes, why: str) -> None:
    with pytest.raises(Unplaced) as unplaced:
        put(BY_NAME[name], body)
    assert unplaced.value.why == why


@pytest.mark.parametrize("name", ["anthropic", "responses"])
def test_null_is_no_instruction_and_its_key_is_not_written_twice(name: str) -> None:
    key = "system" if name == "anthropic" else "instructions"
    body = json.dumps({key: None, "messages": [], "input": "hi"}).encode()
    assert json.loads(put(BY_NAME[name], body), object_pairs_hook=list).count((key, LINES.text)) == 1


def test_tools_of_an_app_are_described_and_those_of_a_provider_are_not() -> None:
    notes = Overlay(tools={"pay": "Pays.", "bash": "No.", "new": "N."})
    tools = [
        {"name": "pay", "input_schema": {}, "description": "old", "cache_control": {"type": "ephemeral"}},
        {"type": "bash_20250124", "name": "bash"},
        {"name": "new", "input_schema": {"name": "pay"}},
        {"name": "other", "description": "kept"},
    ]
    body = json.dumps({"model": "m", "messages": [], "tools": tools}).encode()
    after = json.loads(put(WIRES.anthropic, body, notes))["tools"]
    assert [each.get("description") for each in after] == ["Pays.", None, "N.", "kept"]
    assert after[0]["cache_control"] == {"type": "ephemeral"}


def test_an_overlay_of_nothing_is_nothing() -> None:
    assert not Overlay()
    assert put(WIRES.chat, b'{"messages": []}', Overlay()) == b'{"messages": []}'
