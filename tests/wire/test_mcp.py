"""MCP messages are read as they are: nothing raises, nothing a model reads is left out, edits touch nothing else."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mcp.definitions import defined, without_tools
from gateway.mcp.events import has_id, place_of
from gateway.wire import jsonrpc, mcp
from gateway.wire.dialects import dialects
from gateway.wire.edits import PartEdit, Replacement, edited
from gateway.wire.frames import Frames
from gateway.wire.jsonrpc import Malformed, Message, read
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


WORDS: dict[str, Any] = {
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
    "a text in the place of blocks": {"content": SECRET},
    "one block in the place of many": {"content": {"type": "text", "text": SECRET}},
    "a list in the place of a text": {"content": [{"type": "text", "text": [SECRET]}]},
    "words of a picture": {"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png", "text": SECRET}]},
    "words of a sound": {"content": [{"type": "audio", "data": "aGk=", "mimeType": "audio/wav", "text": SECRET}]},
    "words beside a resource": {"content": [{"type": "resource", "resource": {"uri": "x://y"}, "text": SECRET}]},
    "a text in the place of a resource": {"content": [{"type": "resource", "resource": SECRET}]},
    "one of the contents": {"contents": {"uri": "x://y", "text": SECRET}},
    "a text in the place of contents": {"contents": SECRET},
    "one message in the place of many": {"messages": {"role": "user", "content": SECRET}},
    "a message without content": {"messages": [{"role": "user", "text": SECRET}]},
    "tools by name": {"tools": {"t": {"description": SECRET}}},
    "one resource": {"resources": {"uri": SECRET}},
    "instructions in a list": {"instructions": [SECRET]},
    "a text in the place of a result": SECRET,
    "a list in the place of a result": [{"type": "text", "text": SECRET}],
}


@pytest.mark.parametrize("result", WORDS.values(), ids=WORDS)
def test_whatever_a_model_may_come_to_read_is_read(result: Any) -> None:
    assert SECRET in told(answer(result))


@pytest.mark.parametrize("result", [words for name, words in WORDS.items() if name != "words of a sound"])
def test_it_is_changed_where_it_stands_and_nowhere_else(result: Any) -> None:
    raw = answer(result)
    parts = mcp.reply_parts(decode_whole(raw))
    edits: list[PartEdit] = []
    for part in parts:
        at = part.text.encode().find(SECRET.encode())
        if at >= 0:
            edits.append(PartEdit(pointer=part.pointer, ranges=(Replacement(at, at + len(SECRET), "***"),)))
    assert edited(raw, mcp.reply_parts, edits) == raw.replace(SECRET.encode(), b"***")


@pytest.mark.parametrize(
    "error",
    [
        SECRET,
        {"message": SECRET},
        {"code": 1, "message": "m", "data": {"d": SECRET}},
        {"code": SECRET, "message": "m"},
        {"code": 1, "message": "m", "details": SECRET},
    ],
)
def test_the_words_of_an_error_are_read(error: Any) -> None:
    raw = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
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


CALL = '"method":"tools/call","params":'
OTHERWISE = [
    '"method":"ping","Method":"tools/call","params":{"name":"launch"}',
    CALL + '{"name":"read","arguments":{}},"Params":{"name":"launch"}',
    CALL + '{"name":"read","Name":"launch","arguments":{}}',
    CALL + '{"Name":"launch","arguments":{}}',
    CALL + '{"name":"read","arguments":{},"ARGUMENTS":{"at":"noon"}}',
    '"method":"resources/read","params":{"uri":"a://b","Uri":"file:///etc/passwd"}',
    '"result":{"content":[]},"Result":{"content":[{"type":"text","text":"x"}]}',
    '"result":{"content":[],"Content":[{"type":"text","text":"x"}]}',
    '"result":{"content":[],"structuredcontent":{"x":1}}',
    '"result":{"content":[{"type":"text","text":"a","Text":"b"}]}',
    '"result":{"content":[{"type":"resource","resource":{"uri":"a"},"re\u017fource":{"text":"b"}}]}',
    '"result":{"messages":[{"role":"user","content":{"type":"text","Text":"b"}}]}',
    '"result":{"tools":[{"name":"a","Name":"b"}]}',
    '"error":{"code":1,"message":"a","Message":"b"}',
    '"method":"notifications/message","Result":{"content":[]}',
]


@pytest.mark.parametrize("said", OTHERWISE)
def test_a_name_in_other_letters_is_no_message_since_some_readers_take_it_for_the_real_one(said: str) -> None:
    raw = ('{"jsonrpc":"2.0","id":1,' + said + "}").encode()
    with pytest.raises(Malformed, match="in other letters"):
        read(raw)


def test_names_that_are_a_tools_own_may_be_written_in_any_letters() -> None:
    own = '{"Name":1,"name":2,"CONTENT":3,"Text":4}'
    for said in (
        f'{CALL}{{"name":"read","arguments":{own},"_meta":{own}}}',
        '"method":"house/own","params":' + own,
        f'"result":{{"content":[],"structuredContent":{own},"_meta":{own}}}',
        f'"result":{{"tools":[{{"name":"a","inputSchema":{own}}}]}}',
    ):
        raw = ('{"jsonrpc":"2.0","id":1,' + said + "}").encode()
        assert read(raw).raw is raw


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


ASKED = read(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
ASKED_BY_NAME = read(b'{"jsonrpc":"2.0","id":"a/b","method":"ping"}')


@pytest.mark.parametrize(
    ("data", "asked", "place"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', ASKED, "answer"),
        (b'{"jsonrpc":"2.0","id":1,"error":{}}', ASKED, "answer"),
        (b'{"jsonrpc":"2.0","id":2,"result":{}}', ASKED, "another"),
        (b'{"jsonrpc":"2.0","id":"1","result":{}}', ASKED, "another"),
        (b'{"jsonrpc":"2.0","id":1.0,"result":{}}', ASKED, "answer"),
        (b'{"jsonrpc":"2.0","id":"a\\/b","result":{}}', ASKED_BY_NAME, "answer"),
        (b'{"jsonrpc":"2.0","id":null,"error":{}}', ASKED, "answer"),
        (b'{"jsonrpc":"2.0","id":2,"result":{}}', None, "answer"),
        (b'{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}', ASKED, "aside"),
        (b'{"jsonrpc":"2.0","method":"notifications/progress"}', ASKED, "aside"),
    ],
)
def test_an_event_is_the_answer_another_messages_or_said_aside(data: bytes, asked: Message | None, place: str) -> None:
    assert place_of(data, asked) == place


def test_an_event_that_is_no_message_has_no_place() -> None:
    with pytest.raises(Malformed):
        place_of(b"{", ASKED)


@pytest.mark.parametrize(
    ("raw", "resumable"),
    [(b"id: 7\ndata: x\n\n", True), (b"data: x\r\nid:8\r\n\r\n", True), (b"id:\ndata: x\n\n", False)],
)
def test_what_follows_an_event_with_an_id_can_be_asked_for_again(raw: bytes, resumable: bool) -> None:  # noqa: FBT001 - a table
    (frame,) = Frames(1000).feed(raw)
    assert has_id(frame) is resumable
