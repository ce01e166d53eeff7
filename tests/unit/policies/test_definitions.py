"""Tool definitions are read from every wire."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.parts import tool_definitions
from policies.definitions import Form, entries, offered, read
from policies.trail import Trail
from policies.vocabulary.steps import Part

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
WIRES: list[tuple[dict[str, Any], Form, Any]] = [
    ({"name": "find", "input_schema": SCHEMA, "description": "d"}, "function", SCHEMA),
    ({"type": "custom", "name": "find", "input_schema": SCHEMA, "description": "d"}, "function", SCHEMA),
    ({"type": "bash_20250124", "name": "bash"}, "provider", None),
    ({"type": "function", "function": {"name": "find", "parameters": SCHEMA, "description": "d"}}, "function", SCHEMA),
    ({"type": "function", "function": {"name": "find"}}, "function", None),
    ({"type": "custom", "custom": {"name": "patch", "description": "d"}}, "freeform", None),
    ({"name": "find", "parameters": SCHEMA, "description": "d"}, "function", SCHEMA),
    (
        {"type": "function", "name": "find", "parameters": SCHEMA, "description": "d", "strict": True},
        "function",
        SCHEMA,
    ),
    ({"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}}, "freeform", None),
    ({"type": "web_search_preview"}, "provider", None),
    ({"type": "mcp", "server_label": "docs"}, "provider", None),
    ({"name": "find", "inputSchema": SCHEMA}, "function", SCHEMA),
]


@pytest.mark.parametrize(("tool", "form", "schema"), WIRES, ids=lambda each: str(each)[:40])
def test_each_wire_is_understood(tool: dict[str, Any], form: Form, schema: Any) -> None:
    found = read(json.dumps(tool))
    assert found is not None
    assert (found.form, found.schema) == (form, schema)


def test_how_a_definition_is_sent_does_not_change_what_it_is() -> None:
    plain = read('{"name":"a","input_schema":{"type":"object","title":"t"},"description":"d"}')
    sent = read(
        '{"description":"d","cache_control":{"type":"ephemeral"},"input_schema":{"title":"t","type":"object"},"name":"a"}'
    )
    assert plain == sent


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "{}", '"a"', "[" * 100_000])
def test_what_is_no_definition_is_none(text: str) -> None:
    assert read(text) is None


@given(
    st.text()
    | st.dictionaries(st.sampled_from(["type", "name", "function", "tools"]), st.none() | st.text()).map(json.dumps)
)
def test_any_text_is_read_without_failing(text: str) -> None:
    read(text)
    offered(Trail(parts=(Part(kind="tool_definitions", text=text), Part(kind="tool_definitions", text=text, tool="a"))))


def listed(*names: str) -> tuple[Part, ...]:
    return tuple(tool_definitions([{"name": name, "input_schema": SCHEMA} for name in names]))


TALK = Part(kind="user_input", text="go on")


def test_a_new_list_replaces_the_one_before() -> None:
    trail = Trail(parts=(*listed("a", "b"), TALK, Part(kind="instructions"), *listed("a", "c"), TALK))
    offer = offered(trail)
    assert set(offer.tools) == {"a", "c"}
    assert offer.withdrawn == {"b"}
    assert offer.tools["a"][0] == 4


def test_what_messages_add_is_added_and_what_they_remove_is_gone() -> None:
    added = Part(
        kind="tool_definitions", tool="c", text='{"type":"tool_addition","tool":{"name":"c"}}', pointer="/content/0"
    )
    removed = Part(
        kind="tool_definitions", tool="a", text='{"type":"tool_removal","tool":{"name":"a"}}', pointer="/content/1"
    )
    offer = offered(Trail(parts=(*listed("a", "b"), TALK, added, removed)))
    assert set(offer.tools) == {"b", "c"}
    assert offer.withdrawn == {"a"}


def test_a_servers_list_names_its_tools_with_the_server() -> None:
    listing = {
        "type": "mcp_tool_listing",
        "server_name": "docs",
        "tools": [{"name": "find", "input_schema": SCHEMA}, 3],
    }
    part = Part(kind="tool_definitions", text=json.dumps(listing), pointer="/content/0")
    assert [name for name, _ in entries(part)] == ["docs.find"]
    assert set(offered(Trail(parts=(*listed("a"), TALK, part))).tools) == {"a", "docs.find"}
