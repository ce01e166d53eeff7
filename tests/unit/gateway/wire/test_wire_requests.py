import json
import random
import tracemalloc
from typing import Any

import pytest

from gateway.wire.canonical import Digester
from gateway.wire.dialects import dialects
from gateway.wire.interface import Dialect, Message, RequestView, TooDeep, Undecodable
from gateway.wire.requests import MOST_ELEMENTS, MOST_VALUES

DIALECTS = dialects()
SPEAKING = (DIALECTS.anthropic, DIALECTS.chat, DIALECTS.responses)


def view_of(dialect: Dialect, *messages: Any, **fields: Any) -> RequestView:
    key = "input" if dialect is DIALECTS.responses else "messages"
    return dialect.read_request(json.dumps({**fields, key: list(messages)}).encode(), "chat")


def message_of(dialect: Dialect, message: Any) -> Message:
    return view_of(dialect, message).messages[0]


@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_messages_that_mean_the_same_have_one_digest(dialect: Dialect) -> None:
    kind = "input_text" if dialect is DIALECTS.responses else "text"
    same = [
        {"role": "user", "content": "grüß"},
        {"content": "grüß", "role": "user"},
        {"role": "user", "content": [{"type": kind, "text": "grüß"}]},
        {"role": "user", "content": [{"text": "grüß", "type": kind, "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"text": "grüß", "type": kind, "citations": None}], "name": None},
    ]
    assert len({message_of(dialect, message).digest for message in same}) == 1
    assert len(message_of(dialect, same[0]).digest) == 16


@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_messages_that_mean_something_else_differ(dialect: Dialect) -> None:
    found = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "a"}]},
        {"role": "user", "content": []},
        {"role": "user"},
    ]
    assert len({message_of(dialect, message).digest for message in found}) == len(found)


def test_a_cache_mark_deep_in_a_result_is_ignored_but_an_argument_of_that_name_is_not() -> None:
    def result(**extra: Any) -> dict[str, Any]:
        inner = {"type": "text", "text": "x", **extra}
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [inner, inner]}]}

    def call(value: Any) -> dict[str, Any]:
        block = {"type": "tool_use", "id": "t", "name": "n", "input": {"cache_control": value}}
        return {"role": "assistant", "content": [block]}

    dialect = DIALECTS.anthropic
    marked = message_of(dialect, result(cache_control={"type": "ephemeral"}))
    assert marked.digest == message_of(dialect, result()).digest
    assert message_of(dialect, call(1)).digest != message_of(dialect, call(2)).digest


def test_a_bare_input_equals_the_same_text_as_a_message() -> None:
    bare = DIALECTS.responses.read_request(b'{"input": "hi"}', "chat").messages
    for same in ({"role": "user", "content": "hi"}, {"type": "message", "role": "user", "content": "hi"}):
        assert bare[0].digest == message_of(DIALECTS.responses, same).digest
    assert bare[0].voice == "user"


def test_the_lead_ignores_cache_marks_and_key_order_and_tells_tools_apart() -> None:
    def lead(**fields: Any) -> bytes:
        return view_of(DIALECTS.anthropic, **fields).lead

    marked = [{"cache_control": {"type": "ephemeral"}, "text": "s", "type": "text"}]
    assert lead(system="s") == lead(system=marked)
    assert lead() == b""
    assert lead(system="s") != lead(system="t")
    assert lead(system="s") != lead(system="s", tools=[{"name": "n"}])
    assert lead(tools=[{"name": "n", "x": 1}]) == lead(tools=[{"x": 1, "name": "n", "cache_control": {}}])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"metadata": {"user_id": '{"session_id":"s-1"}'}}, ('{"session_id":"s-1"}', "s-1")),
        (
            {"metadata": {"user_id": "user_1_account_2_session_0a1b2c3d-4"}},
            ("user_1_account_2_session_0a1b2c3d-4", "0a1b2c3d-4"),
        ),
        ({"metadata": {"user_id": "{broken"}}, ("{broken", None)),
        ({"metadata": {"user_id": 7}}, (None, None)),
        ({"metadata": []}, (None, None)),
    ],
)
def test_a_session_inside_the_user_id_is_found(fields: dict[str, Any], expected: tuple[str | None, str | None]) -> None:
    view = view_of(DIALECTS.anthropic, **fields)
    assert (view.user_id, view.session_hint) == expected


def test_sampling_fields_and_ids_are_read_under_one_name() -> None:
    anthropic = view_of(DIALECTS.anthropic, model="m", max_tokens=5, temperature=1, top_p=0.5, stream=True)
    chat = view_of(DIALECTS.chat, model="m", max_completion_tokens=5, temperature=1, top_p=0.5, stream=True, user="u")
    responses = view_of(
        DIALECTS.responses,
        model="m",
        max_output_tokens=5,
        temperature=1,
        top_p=0.5,
        stream=True,
        safety_identifier="u",
        previous_response_id="resp_1",
        conversation="conv_1",
        prompt_cache_key="k",
    )
    for view in (anthropic, chat, responses):
        found = (view.model, view.max_tokens, view.temperature, view.top_p, view.stream)
        assert found == ("m", 5, 1.0, 0.5, True)
    assert chat.user_id == responses.user_id == "u"
    assert (responses.previous_response_id, responses.conversation_id) == ("resp_1", "conv_1")
    assert responses.prompt_cache_key == "k"


def test_fields_of_the_wrong_type_are_unknown_not_errors() -> None:
    view = view_of(DIALECTS.chat, model=7, max_tokens="5", temperature="hot", stream="yes", user=[])
    assert (view.model, view.max_tokens, view.temperature, view.stream, view.user_id) == (None, None, None, False, None)


BAD = [
    b"",
    b"no json",
    b"[]",
    b'{"messages": 7, "input": 7}',
    b'{"messages": [7], "input": [7]}',
    b'{"messages": ["x"], "input": ["x", 7]}',
    b'{"messages": {"role": "user"}, "input": {"role": "user"}}',
    b'{"messages": [{"role": "user", "content": "\xff"}], "input": [{"role": "user", "content": "\xff"}]}',
    b'{"x": "\xff"}',
    b'{"messages": [{"content": "\\ud800"}], "input": [{"content": "\\ud800"}]}',
    b'{"temperature": NaN}',
    b'{"messages": [{"content": NaN}], "input": [{"content": NaN}]}',
    b'{"messages": [{"content": 1e999}], "input": [{"content": 1e999}]}',
    b'{"messages": []',
    b"<html>",
]


@pytest.mark.parametrize("body", BAD)
@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_a_body_of_no_known_shape_is_undecodable(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(Undecodable) as raised:
        dialect.read_request(body, "chat")
    assert not isinstance(raised.value, TooDeep)


@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("key", ["messages", "input", "system", "instructions", "tools", "anything"])
def test_nesting_beyond_the_parser_is_named_as_such(dialect: Dialect, key: str) -> None:
    with pytest.raises(TooDeep):
        dialect.read_request(b'{"' + key.encode() + b'":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "chat")


@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_the_last_of_two_equal_keys_wins_and_is_cut_where_it_stands(dialect: Dialect) -> None:
    key = "input" if dialect is DIALECTS.responses else "messages"
    first, last = '[{"role":"user","content":"a"}]', '[{"role":"user","content":"b"}]'
    body = f'{{"{key}":{first},"{key}":{last}}}'.encode()
    view = dialect.read_request(body, "chat")
    start, end, _ = view.cuts[0]
    assert body[start:end] == last.encode()[1:-1]
    assert start > body.index(b'"b"') - 40


def test_a_key_written_with_escapes_is_not_cut_but_read() -> None:
    body = rb'{"mess\u0061ges":[{"role":"user","content":"hi"}],"system":"s"}'
    view = DIALECTS.anthropic.read_request(body, "chat")
    assert view.cuts == ()
    assert [part.text for part in DIALECTS.anthropic.parts(body, view, view.messages[0].cut)] == ["hi"]
    assert [part.text for part in DIALECTS.anthropic.parts(body, view, view.lead_cuts[0][1])] == ["s"]


def test_small_values_inside_larger_ones_are_not_taken_for_the_real_ones() -> None:
    body = (
        b'{"tools":[{"name":"n","system":"s"}],"messages":[{"role":"user","content":[{"system":"s"}]}],'
        b'"metadata":{},"system":"s"}'
    )
    view = DIALECTS.anthropic.read_request(body, "chat")
    assert len(view.cuts) == 3
    assert view.cuts[-1][0] == body.rindex(b'"s"')


def test_a_body_full_of_look_alikes_is_given_up_in_good_time() -> None:
    run = ",".join(['{"role":"user","content":"a"}'] * 3000)
    body = ('{"x":[' + ",".join(f'{{"messages":[{run},1]}}' for _ in range(15)) + f'],"messages":[{run}]}}').encode()
    view = DIALECTS.anthropic.read_request(body, "chat")
    assert len(view.messages) == 3000
    assert view.cuts == () or len(view.cuts) == 3000


def test_a_cut_that_is_not_there_has_nothing_readable() -> None:
    view = view_of(DIALECTS.chat, {"role": "user", "content": "hi"})
    assert DIALECTS.chat.parts(b"{}", view, 99)[0].unread == "not JSON"
    assert DIALECTS.chat.parts_of(b"[" * 100_000, "message")[0].unread == "nested too deeply"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/messages",
        "//v1/messages",
        "/v1/messages/",
        "/V1/Messages",
        "/v1/%6dessages",
        "/v1/./x/../messages",
        "/v1/%256dessages",
        "/v1/messages?beta=true",
        "/v1/messages;v=1",
    ],
)
def test_every_spelling_of_the_messages_path_is_a_turn(path: str) -> None:
    assert DIALECTS.anthropic.operation("POST", path) == "chat"
    assert DIALECTS.anthropic.operation("GET", path) == "other"


@pytest.mark.parametrize(
    ("provider", "path", "name", "operation"),
    [
        ("anthropic", "/v1/messages/count_tokens", "anthropic", "count_tokens"),
        ("anthropic", "/v1/messages/batches", "anthropic", "batch"),
        ("anthropic", "/v1/messages/batches/b1/cancel", "anthropic", "other"),
        ("anthropic", "/v1/models", "anthropic", "other"),
        ("anthropic", "/", "anthropic", "other"),
        ("openai", "/v1/chat/completions", "openai_chat", "chat"),
        ("openai", "/chat/completions/", "openai_chat", "chat"),
        ("openai", "/v1/embeddings", "openai_chat", "embeddings"),
        ("openai", "/v1/batches", "openai_chat", "batch"),
        ("openai", "/v1/files", "openai_chat", "other"),
        ("openai", "/v1/responses", "openai_responses", "chat"),
        ("openai", "/Responses", "openai_responses", "chat"),
        ("openai", "/v1/responses/resp_1/cancel", "openai_responses", "other"),
        ("openai", "/v1/responses/input_tokens", "openai_responses", "count_tokens"),
        ("raw", "/v1/messages", "raw", "other"),
    ],
)
def test_provider_and_path_say_which_dialect_reads(provider: Any, path: str, name: str, operation: str) -> None:
    dialect = DIALECTS.for_provider(provider, "POST", path)
    assert (dialect.name, dialect.operation("POST", path)) == (name, operation)
    assert DIALECTS.named(name) is dialect


def test_a_body_that_carries_no_turn_is_not_read() -> None:
    for dialect in (*SPEAKING, DIALECTS.raw):
        assert dialect.read_request(b"\x00 no json", "other") == RequestView(operation="other")


def test_digests_do_not_depend_on_what_was_seen_before() -> None:
    messages = [{"role": "user", "content": random.Random(at).randbytes(at * 3).hex()} for at in range(60)]
    raws = [json.dumps(message).encode() for message in messages] * 2
    small, large = (Digester(lambda value: ("user", value), budget=budget) for budget in (2000, 1 << 20))
    assert [small.message(raw) for raw in raws] == [large.message(raw) for raw in raws]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_an_error_of_ours_has_anthropics_shape(status: int, kind: str) -> None:
    body = json.loads(DIALECTS.anthropic.error_body(status, "no", "01X"))
    assert body == {
        "type": "error",
        "error": {"type": kind, "message": "no", "stepwarden": {"exchange": "01X"}},
        "request_id": "01X",
    }


def test_a_code_overrides_anthropics_type_and_fills_openais_code() -> None:
    assert (
        json.loads(DIALECTS.anthropic.error_body(429, "no", "x", code="billing_error"))["error"]["type"]
        == "billing_error"
    )
    for dialect in (DIALECTS.chat, DIALECTS.responses, DIALECTS.raw):
        error = json.loads(dialect.error_body(429, "no", "x", code="limit_reached"))["error"]
        assert error == {
            "message": "no",
            "type": "rate_limit_error",
            "param": None,
            "code": "limit_reached",
            "stepwarden": {"exchange": "x"},
        }
        assert json.loads(dialect.error_body(502, "no", "x"))["error"]["type"] == "server_error"


def stuffed(element: bytes, count: int, around: tuple[bytes, bytes] = (b"", b"")) -> bytes:
    """A body whose `messages` and `input` hold so many equal elements, or one element that does."""
    before, after = around
    elements = before + b",".join([element] * count) + after
    return b'{"model":"m","messages":[%b],"input":[%b]}' % (elements, elements)


ENDLESS = {
    "messages": stuffed(b"{}", MOST_ELEMENTS + 1),
    "bare strings": stuffed(b'"a"', MOST_ELEMENTS + 1),
    "parts": stuffed(b"{}", MOST_ELEMENTS + 1, (b'{"role":"user","content":[', b"]}")),
    "spaced parts": stuffed(b'\n{"type" : "text" , "text" : "a\\"]"} ', MOST_ELEMENTS + 1, (b'{"content" : [', b"]}")),
    "keys of one message": stuffed(b'"k":1', MOST_VALUES + 1, (b"{", b"}")),
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_more_messages_and_parts_than_are_read_are_counted_before_any_is_made(dialect: Dialect, body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable, match="holds more than"):
            dialect.read_request(body, "chat")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(body) + (1 << 20)


MANY_COMMAS = {
    "in one text": {"role": "user", "content": "well, " * MOST_VALUES},
    "behind escaped quotes": {"role": "user", "content": '", \\", ' * MOST_VALUES},
    "between the keys of a tool's input": {"role": "user", "content": "a", "x": dict.fromkeys(map(str, range(60_000)))},
}


@pytest.mark.parametrize("message", MANY_COMMAS.values(), ids=MANY_COMMAS.keys())
@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_commas_that_part_no_messages_count_for_nothing(dialect: Dialect, message: dict[str, Any]) -> None:
    assert len(view_of(dialect, message, message).messages) == 2


def test_as_many_messages_as_may_be_are_read() -> None:
    body = stuffed(b'{"role":"user","content":"a"}', MOST_ELEMENTS // 2)
    assert len(DIALECTS.anthropic.read_request(body, "chat").messages) == MOST_ELEMENTS // 2


def test_one_message_more_than_may_be_is_not_read() -> None:
    with pytest.raises(Undecodable, match="holds more than"):
        DIALECTS.anthropic.read_request(stuffed(b"{}", MOST_ELEMENTS // 2 + 1), "chat")


def test_numbers_to_embed_are_not_counted_as_messages() -> None:
    view = DIALECTS.chat.read_request(stuffed(b"1", MOST_ELEMENTS + 1), "embeddings")
    assert (view.model, view.messages) == ("m", ())
