"""MCP messages are read as they are: nothing raises, nothing a model reads is left out, edits touch nothing else."""

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mcp.definitions import defined, without_tools
from gateway.mcp.events import Block, Blocks, TooLong
from gateway.wire import jsonrpc, mcp
from gateway.wire.dialects import dialects
from gateway.wire.edits import PartEdit, Replacement, edited
from gateway.wire.jsons import decode_whole

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECRET = "bluebird-1234"


def answer(result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def told(raw: bytes) -> str:
    return "\n".join(part.text for part in mcp.reply_parts(decode_whole(raw)))


WORDS = {
    "a text": {"content": [{"type": "text", "text": SECRET}]},
    "a structure": {"content": [], "structuredContent": {"name": SECRET}},
    "a resource within": {"content": [{"type": "resource", "resource": {"uri": "x://y", "text": SECRET}}]},
    "a link": {"content": [{"type": "resource_link", "uri": "x://y", "name": "n", "description": SECRET}]},
    "an unknown block": {"content": [{"type": "hologram", "words": SECRET}]},
    "contents": {"contents": [{"uri": "x://y", "text": SECRET}]},
    "a prompt": {"messages": [{"role": "user", "content": {"type": "text", "text": SECRET}}]},
    "a prompt of blocks": {"messages": [{"role": "user", "content": [{"type": "text", "text": SECRET}]}]},
    "a tool": {"tools": [{"name": "t", "description": SECRET}]},
    "a schema": {"tools": [{"name": "t", "inputSchema": {"properties": {"a": {"description": SECRET}}}}]},
    "a list of resources": {"resources": [{"uri": "x://y", "description": SECRET}]},
    "a list of templates": {"resourceTemplates": [{"uriTemplate": SECRET}]},
    "a list of prompts": {"prompts": [{"name": SECRET}]},
    "instructions": {"instructions": SECRET, "capabilities": {}},
    "an old result": {"toolResult": {"said": SECRET}},
}


@pytest.mark.parametrize("result", WORDS.values(), ids=WORDS)
def test_whatever_a_model_may_come_to_read_is_read(result: dict[str, Any]) -> None:
    assert SECRET in told(answer(result))


@pytest.mark.parametrize("result", WORDS.values(), ids=WORDS)
def test_it_is_changed_where_it_stands_and_nowhere_else(result: dict[str, Any]) -> None:
    raw = answer(result)
    parts = mcp.reply_parts(decode_whole(raw))
    edits = []
    for part in parts:
        at = part.text.encode().find(SECRET.encode())
        if at >= 0:
            edits.append(PartEdit(pointer=part.pointer, ranges=(Replacement(at, at + len(SECRET), "***"),)))
    assert edited(raw, mcp.reply_parts, edits) == raw.replace(SECRET.encode(), b"***")


@pytest.mark.parametrize("error", [SECRET, {"message": SECRET}, {"code": 1, "message": "m", "data": {"d": SECRET}}])
def test_the_words_of_an_error_are_read(error: Any) -> None:
    raw = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    if isinstance(error, dict):
        assert SECRET in told(raw)


@given(json_values)
def test_any_json_at_all_has_parts_or_none(value: Any) -> None:
    for whole in (value, {"result": value}, {"error": value}, {"method": "tools/call", "params": value}):
        list(mcp.request_parts(whole))
        mcp.reply_of(whole)
        defined("server", whole)


@given(st.binary(max_size=60))
def test_any_bytes_at_all_are_a_message_or_malformed(raw: bytes) -> None:
    with suppress(jsonrpc.Malformed):
        assert jsonrpc.read(raw).raw is raw


@given(st.binary(max_size=60))
def test_a_reader_of_replies_never_raises(raw: bytes) -> None:
    for stream in (True, False):
        reader = dialects().mcp.reply_reader("other", stream=stream)
        reader.feed(raw, 0)
        reader.close(0)


ids = st.integers() | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False)


@given(ids)
def test_an_id_comes_back_as_the_very_text_it_was(token: Any) -> None:
    spelled = json.dumps(token).encode()
    with suppress(jsonrpc.Malformed):  # a lone surrogate, or too long to be an id
        message = jsonrpc.read(b'{"id": %b, "jsonrpc": "2.0", "method": "ping"}' % spelled)
        refused = jsonrpc.error(message.id_token, -1, "no")
        assert refused.startswith(b'{"jsonrpc":"2.0","id":' + spelled + b",")


def test_an_act_is_a_call_with_its_arguments() -> None:
    raw = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"b":2, "a":1}}}'
    (part,) = dialects().mcp.parts(raw, dialects().mcp.read_request(raw, "other"), 0)
    assert (part.kind, part.tool, part.text, part.pointer) == (
        "tool_call",
        "add",
        '{"b":2,"a":1}',
        "/params/arguments",
    )
    read = b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"https://evil.example/?q=1"}}'
    (part,) = mcp.request_parts(decode_whole(read))
    assert (part.kind, part.tool) == ("tool_call", "resources/read")
    assert "evil.example" in part.text


def test_tools_are_taken_out_of_a_list_and_no_other_byte() -> None:
    raw = b'{"id":1, "result" : {"tools": [ {"name":"a"}, {"name": "b", "x": 1.0}, {"name":"c"} ], "nextCursor":"n"}}'
    assert without_tools(raw, {"a", "c"}) == (
        b'{"id":1, "result" : {"tools": [{"name": "b", "x": 1.0}], "nextCursor":"n"}}'
    )
    assert without_tools(raw, {"z"}) is raw
    assert b'"tools": []' in without_tools(raw, {"a", "b", "c"})


def test_a_fingerprint_is_of_what_a_tool_is_and_not_of_how_it_is_spelled() -> None:
    def of(**tool: Any) -> bytes:
        return defined("server", {"result": {"tools": [tool]}})[0].fingerprint

    one = of(name="a", description="d", inputSchema={"x": 1, "y": 2})
    assert one == of(inputSchema={"y": 2, "x": 1}, description="d", name="a", _meta={"k": 1})
    assert one != of(name="a", description="e", inputSchema={"x": 1, "y": 2})
    assert one != of(name="a", description="d", inputSchema={"x": 1, "y": 3})
    assert one != of(name="a", description="d", inputSchema={"x": 1, "y": 2}, outputSchema={})


STREAM = (
    b': hello\n\nid: 1\ndata:\n\nevent: message\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
    b"data: two\r\rretry: 5\n\ndata: three\n\n"
)
DATA = [b"", b"", b'{"a":\n1}', b"two", b"", b"three"]


@given(st.lists(st.integers(0, len(STREAM))))
def test_where_the_network_cuts_events_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    blocks = Blocks(1000)
    found = [block for at, end in pairwise(edges) for block in blocks.feed(STREAM[at:end])]
    assert [block.data for block in found if block.raw.strip()] == DATA
    assert b"".join(block.raw for block in found) + blocks.rest == STREAM
    assert [block.has_id for block in found if block.raw.strip()] == [False, True, False, False, False, False]


@given(st.integers(1, 40))
def test_an_event_that_is_too_long_is_not_read(limit: int) -> None:
    blocks = Blocks(limit)
    assert blocks.feed(b"x" * limit) == []
    with pytest.raises(TooLong):
        blocks.feed(b"x")
    with pytest.raises(TooLong):
        Blocks(limit).feed(b"x" * limit + b"\n\n")


def test_the_data_of_an_event_changes_and_its_other_lines_do_not() -> None:
    block = Block(b"event: message\r\nid: 7\r\ndata: a\r\ndata: b\r\n\r\n", b"a\nb", has_id=True)
    assert block.with_data(b"c") == b"event: message\nid: 7\ndata: c\n\n"
