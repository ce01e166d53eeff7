"""Whatever a lenient client could take for a text or a call is judged, or the reply does not pass as it came."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from corpus_words import exchanges, sse
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import DIALECTS, NAMES, Driven, read, streamed

from gateway.wire.blocks import Judgement, Window
from gateway.wire.edits import PartEdit, Replacement
from gateway.wire.enforcing import Enforcing, enforcing
from gateway.wire.gate import Needs, Substituted

EXCHANGES = exchanges()
WORD = "heronry"
"""What must not leave."""

LOOKS = {
    "whole": Needs(text="whole", reasoning="whole", tool_call="whole", server_side="whole"),
    "window": Needs(text=Window(32), reasoning=Window(32), tool_call="whole", server_side="whole"),
}
_BLOCK = "text thinking partial_json input content citations"
_MESSAGE = "content text thinking refusal reasoning reasoning_content tool_calls function_call audio annotations"
_CALL = "function custom arguments input text"
_ITEM = "content summary arguments input code output outputs results text"
UNDER: Final = {
    "anthropic": {
        "document": "content message completion text",
        "event": "content message delta content_block text thinking partial_json completion",
        "message": "content text",
        "content": _BLOCK,
        "content_block": _BLOCK,
        "delta": f"{_BLOCK} citation",
        "citations": "cited_text text",
        "citation": "cited_text text",
    },
    "chat": {
        "document": "choices message delta content text output_text",
        "event": "choices message delta content text output_text",
        "choices": f"message delta {_MESSAGE}",
        "message": _MESSAGE,
        "delta": _MESSAGE,
        "content": "text refusal thinking",
        "tool_calls": _CALL,
        "function_call": _CALL,
        "function": "arguments input text",
        "custom": "arguments input text",
        "audio": "transcript text",
        "annotations": "text title",
    },
    "responses": {
        "document": "output output_text choices",
        "event": "response item part delta text refusal transcript arguments input code annotation",
        "response": "output output_text",
        "output": _ITEM,
        "item": _ITEM,
        "part": "text refusal transcript annotations",
        "content": "text refusal transcript annotations",
        "summary": "text",
        "annotations": "text title",
        "annotation": "text title",
        "outputs": "logs",
        "results": "text filename",
    },
}
"""Where the most lenient of clients look: by a name, the names below it; what has none below it says something."""


def acting(name: str) -> Enforcing:
    found = enforcing(getattr(DIALECTS, name))
    assert found is not None
    return found


def said(name: str, value: Any, under: str, *, deep: bool = False) -> Iterator[str]:
    """All that the most lenient of readers could show of what stands under a name. `deep`: below another text."""
    if isinstance(value, str):
        if deep or under in ("content", "delta", "output") or under not in UNDER[name]:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from said(name, item, under, deep=deep)
    elif isinstance(value, dict):
        below = UNDER[name].get(under, "text value").split()
        for key, inner in value.items():
            if key.isdecimal() or key == "value":
                yield from said(name, inner, under, deep=deep)
            elif key.casefold() in below:
                yield from said(name, inner, key.casefold(), deep=under not in UNDER[name])


def shown(name: str, value: Any, what: str) -> str:
    """What a lenient client shows of a document, or of an event."""
    return " ".join(said(name, value, what)).casefold() if isinstance(value, dict) else ""


def rejecting(judgement: Judgement) -> Substituted | None:
    return Substituted("No.") if WORD in f"{judgement.part.tool} {judgement.part.text}" else None


def delivered_stream(name: str, wire: bytes, look: str) -> bytes:
    return Driven(name, LOOKS[look]).feed([wire], rejecting).wire


def delivered_document(name: str, body: bytes) -> bytes:
    """What the caller gets of a document that no clause lets say the word."""
    reader = getattr(DIALECTS, name).reply_reader("chat", stream=False)
    reader.feed(body, 0)
    reply = reader.close(0)
    acts = acting(name)
    if not reply.complete or acts.doubt_of_reply(body) is not None:
        return b""
    guilty = [part.pointer for part in reply.parts if WORD in f"{part.tool} {part.text}"]
    return acts.turns.end(body, Substituted("No."), guilty) if guilty else body


# ------------------------------------------------------------------------------------------------ odd writers

WRAPPED: Final[list[Callable[[str], Any]]] = [
    lambda text: text,
    lambda text: {"value": text},
    lambda text: {"text": text},
    lambda text: {"type": "text", "text": text},
    lambda text: {"type": "text", "text": {"value": text}},
    lambda text: [text],
    lambda text: [{"text": text}],
    lambda text: [{"type": "text", "text": text}],
    lambda text: [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}],
    lambda text: [{"type": "refusal", "text": text}],
    lambda text: [[text]],
    lambda text: {"0": text},
]


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, value
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from nodes(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], change)
    return copy


def renamed(fields: Any, at: int, respell: Callable[[str], str]) -> Any:
    if not isinstance(fields, dict) or not fields:
        return fields
    chosen = list(fields)[at % len(fields)]
    return {respell(key) if key == chosen else key: inner for key, inner in fields.items()}


def numbered(value: Any) -> Any:
    return {str(at): inner for at, inner in enumerate(value)} if isinstance(value, list) else value


CHANGES: Final[list[Callable[[Any, int, str], Any]]] = [
    lambda value, at, _: WRAPPED[at % len(WRAPPED)](WORD) if isinstance(value, str) else value,
    lambda value, at, name: {**value, name: WRAPPED[at % len(WRAPPED)](WORD)} if isinstance(value, dict) else value,
    lambda value, at, _: [*value, WRAPPED[at % len(WRAPPED)](WORD)] if isinstance(value, list) else value,
    lambda value, at, _: renamed(value, at, str.title),
    lambda value, at, _: renamed(value, at, str.upper),
    lambda value, at, _: renamed(value, at, lambda key: key.replace("s", "\N{LATIN SMALL LETTER LONG S}")),
    lambda value, _, __: numbered(value),
    lambda value, _, __: [value] if isinstance(value, dict) else value,
    lambda value, _, name: {name: value},
    lambda value, _, __: (
        {key: inner for key, inner in value.items() if key != "type"} if isinstance(value, dict) else value
    ),
]
changes = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(CHANGES),
        st.integers(0, 30),
        st.sampled_from(
            sorted({name for names in UNDER.values() for below in names.values() for name in below.split()})
        ),
    ),
    min_size=1,
    max_size=3,
)


def odd(value: Any, made: list[Any]) -> Any:
    for which, change, at, name in made:
        found = list(nodes(value))
        path, _ = found[which % len(found)]
        value = put(value, path, lambda here, change=change, at=at, name=name: change(here, at, name))
    return value


@settings(max_examples=300)
@given(st.sampled_from(sorted(EXCHANGES)), changes)
def test_nothing_readable_is_left_out_of_a_document(name: str, made: list[Any]) -> None:
    wire = EXCHANGES[name]["dialect"]
    got = delivered_document(wire, json.dumps(odd(EXCHANGES[name]["reply"], made)).encode())
    assert WORD not in shown(wire, json.loads(got) if got else None, "document")


@settings(max_examples=400)
@given(
    st.sampled_from(sorted(EXCHANGES)),
    st.integers(0, 200),
    changes,
    st.sampled_from(sorted(LOOKS)),
    st.sampled_from([None, "", "message", "content_block_delta", "response.output_text.delta", "ping"]),
)
def test_nothing_readable_is_left_out_of_a_stream(
    name: str, which: int, made: list[Any], look: str, called: str | None
) -> None:
    wire, events = EXCHANGES[name]["dialect"], list(EXCHANGES[name]["events"])
    at = which % len(events)
    if isinstance(events[at], str):
        return
    own = None if wire == "chat" else events[at]["type"]
    events[at] = odd(events[at], made)
    stream = _written(wire, events, at, own if called is None else called)
    for line in delivered_stream(wire, stream, look).split(b"\n"):
        assert WORD not in shown(wire, _read(line), "event")


def _written(wire: str, events: list[Any], at: int, name: str | None) -> bytes:
    """A stream, one of whose events is odd, and may be called otherwise than it should, or nothing."""
    head = f"event: {name}\n".encode() if name else b""
    event = head + b"data: " + json.dumps(events[at]).encode() + b"\n\n"
    return sse(wire, events[:at]) + event + sse(wire, events[at + 1 :])


def _read(line: bytes) -> Any:
    data = line.removeprefix(b"data:").strip()
    return json.loads(data) if line.startswith(b"data:") and data and data != b"[DONE]" else None


# ------------------------------------------------------------------------------------------------ by example

TEXT: Final = "It is fine."
GUILTY: Final = json.dumps(WORD).encode()


def document(name: str) -> dict[str, Any]:
    return {
        "anthropic": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": TEXT}]},
        "chat": {"choices": [{"index": 0, "message": {"content": TEXT, "refusal": None}, "finish_reason": "stop"}]},
        "responses": {
            "status": "completed",
            "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": TEXT}]}],
        },
    }[name]


def word_first(name: str, raw: bytes) -> bytes:
    """The same with its text given twice, the word first."""
    field = b'"content": ' if name == "chat" else b'"delta": ' if b'"delta": "' in raw else b'"text": '
    clean = field + json.dumps(TEXT).encode()
    assert clean in raw
    return raw.replace(clean, field + GUILTY + b", " + clean)


WIRES = pytest.mark.parametrize("name", NAMES)


@WIRES
def test_a_name_given_twice_passes_in_no_reply(name: str) -> None:
    whole = json.dumps(document(name)).encode()
    assert delivered_document(name, whole) == whole
    assert delivered_document(name, word_first(name, whole)) == b""
    stream = streamed(name, [("text", TEXT)])
    assert delivered_stream(name, stream, "window") == stream
    assert WORD.encode() not in delivered_stream(name, word_first(name, stream), "window")


@WIRES
@pytest.mark.parametrize("look", LOOKS)
def test_a_name_in_other_letters_passes_in_no_reply(name: str, look: str) -> None:
    field = "content" if name == "chat" else "text"
    stray = b'"%s": %s, "%s"' % (field.title().encode(), GUILTY, field.encode())
    whole = json.dumps(document(name)).encode()
    assert delivered_document(name, whole.replace(b'"%s"' % field.encode(), stray)) == b""
    field = "delta" if name == "responses" else field
    stream = streamed(name, [("text", TEXT)])
    odd_stream = stream.replace(
        b'"%s": "It' % field.encode(), b'"%s": %s, "%s": "It' % (field.title().encode(), GUILTY, field.encode())
    )
    assert odd_stream != stream
    assert WORD.encode() not in delivered_stream(name, odd_stream, look)


REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "anthropic": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]},
    "chat": {"model": "m", "messages": [{"role": "user", "content": TEXT}]},
    "responses": {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": TEXT}]}]},
}


@WIRES
@pytest.mark.parametrize(
    "respell", [str.title, str.upper, lambda key: key.replace("s", "\N{LATIN SMALL LETTER LONG S}")]
)
def test_a_name_in_other_letters_is_doubted_in_a_request_wherever_it_is_read(
    name: str, respell: Callable[[str], str]
) -> None:
    plain = REQUESTS[name]
    acts = acting(name)
    assert acts.doubt_of_request(json.dumps(plain).encode()) is None
    for path, value in nodes(plain):
        for at, key in enumerate(value if isinstance(value, dict) else ()):
            spelled = put(plain, path, lambda here, at=at: renamed(here, at, respell))
            doubt = acts.doubt_of_request(json.dumps(spelled).encode())
            assert (doubt is None) == (respell(key) == key), (path, key)


@WIRES
def test_names_of_arguments_and_schemas_are_the_tools_own(name: str) -> None:
    schema = {"type": "object", "properties": {"Content": {"type": "string"}, "Text": {"type": "string"}}}
    tool = {
        "anthropic": {"name": "write", "input_schema": schema},
        "chat": {"type": "function", "function": {"name": "write", "parameters": schema}},
        "responses": {"type": "function", "name": "write", "parameters": schema},
    }[name]
    body = {**REQUESTS[name], "tools": [tool], "metadata": {"Model": "x"}}
    assert acting(name).doubt_of_request(json.dumps(body).encode()) is None


def _anthropic_event(kind: str | None, value: dict[str, Any]) -> bytes:
    head = f"event: {kind}\n".encode() if kind else b""
    return head + b"data: " + json.dumps(value).encode() + b"\n\n"


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", ["content_block_delta", "message", "later_event", None])
def test_an_event_that_only_its_name_tells_is_read_as_what_it_is_called(kind: str | None, look: str) -> None:
    delta = {"index": 0, "delta": {"type": "text_delta", "text": WORD}}
    begun, mark, rest = streamed("anthropic", [("text", "Well, ")]).partition(b"event: content_block_stop")
    stream = begun + _anthropic_event(kind, delta) + mark + rest
    assert WORD.encode() not in delivered_stream("anthropic", stream, look)
    clean = {"index": 0, "delta": {"type": "text_delta", "text": "then."}}
    stream = begun + _anthropic_event(kind, clean) + mark + rest
    assert delivered_stream("anthropic", stream, look) == stream


@pytest.mark.parametrize("name", ["anthropic", "responses"])
def test_an_event_of_two_kinds_does_not_pass(name: str) -> None:
    stream = streamed(name, [("text", "Well, ", WORD)])
    kind = b"content_block_delta" if name == "anthropic" else b"response.output_text.delta"
    odd_stream = stream.replace(b'"type": "' + kind, b'"type": "later')
    assert WORD.encode() not in delivered_stream(name, odd_stream, "window")


@pytest.mark.parametrize("content", [{"text": WORD}, [{"type": "thinking", "thinking": [{"text": WORD}]}]])
def test_chat_content_that_is_no_text_is_judged_as_what_it_is(content: Any) -> None:
    stream = sse("chat", [{"choices": [{"index": 0, "delta": {"content": content}}]}, "[DONE]"])
    driven = Driven("chat", LOOKS["window"]).feed([stream])
    assert [(WORD in one.part.text, one.part.unread) for one in driven.judged] == [(True, "not a text")]
    assert driven.wire == stream
    assert WORD.encode() not in delivered_stream("chat", stream, "window")


def test_a_call_whose_name_comes_in_pieces_does_not_pass() -> None:
    pieces = [{"index": 0, "id": "c", "function": {"name": name, "arguments": ""}} for name in ("lau", "nch")]
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]} for piece in pieces]
    driven = Driven("chat", LOOKS["whole"]).feed([sse("chat", [*chunks, "[DONE]"])])
    assert b"nch" not in driven.wire


@WIRES
@pytest.mark.parametrize("look", LOOKS)
def test_what_comes_behind_the_end_of_a_text_does_not_pass(name: str, look: str) -> None:
    first, second = streamed(name, [("text", "Well.")]), streamed(name, [("text", WORD)])
    end = {"anthropic": b"event: message_delta", "chat": b"data: [DONE]", "responses": b"event: response.completed"}[
        name
    ]
    delta = {"anthropic": b"content_block_delta", "chat": WORD.encode(), "responses": b"output_text.delta"}[name]
    late = next(event for event in second.split(b"\n\n") if delta in event and WORD.encode() in event)
    stream = first.replace(end, late + b"\n\n" + end)
    assert WORD.encode() not in Driven(name, LOOKS[look]).feed([stream]).wire


def redacting(judgement: Judgement) -> list[Replacement]:
    raw, word = judgement.part.text.encode(), WORD.encode()
    return [Replacement(raw.index(word), raw.index(word) + len(word), "[gone]")] if word in raw else []


QUOTES: Final[dict[str, dict[str, Any]]] = {
    "anthropic": {"type": "char_location", "cited_text": f"A {WORD} by the lake.", "document_index": 0},
    "chat": {"type": "url_citation", "url_citation": {"title": f"A {WORD}", "url": "https://x.example"}},
    "responses": {"type": "url_citation", "title": f"A {WORD}", "url": "https://x.example"},
}


def quoting(name: str) -> tuple[dict[str, Any], bytes]:
    """A document and a stream that quote the word."""
    quote, whole = QUOTES[name], document(name)
    stream = streamed(name, [("text", TEXT)])
    if name == "anthropic":
        whole["content"][0]["citations"] = [quote]
        event = {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": quote}}
        mark = b"event: content_block_stop"
        return whole, stream.replace(mark, sse(name, [event]) + mark)
    if name == "chat":
        whole["choices"][0]["message"]["annotations"] = [quote]
        event = {"id": "c", "choices": [{"index": 0, "delta": {"annotations": [quote]}, "finish_reason": None}]}
        head, _, tail = stream.partition(b"\n\n")
        return whole, head + b"\n\n" + sse(name, [event]) + tail
    whole["output"][0]["content"][0]["annotations"] = [quote]
    event = {
        "type": "response.output_text.annotation.added",
        "output_index": 0,
        "content_index": 0,
        "annotation_index": 0,
        "annotation": quote,
    }
    mark = b"event: response.output_text.done"
    stream = stream.replace(b'"annotations": []', b'"annotations": [' + json.dumps(quote).encode() + b"]")
    return whole, stream.replace(mark, sse(name, [event]) + mark)


@WIRES
@pytest.mark.parametrize("look", LOOKS)
def test_what_a_text_quotes_is_judged_and_changed_with_it(name: str, look: str) -> None:
    whole, stream = quoting(name)
    body = json.dumps(whole).encode()
    reader = getattr(DIALECTS, name).reply_reader("chat", stream=False)
    reader.feed(body, 0)
    (part,) = [part for part in reader.close(0).parts if WORD in part.text]
    start = part.text.encode().index(WORD.encode())
    edit = PartEdit(pointer=part.pointer, ranges=(Replacement(start, start + len(WORD), "[gone]"),))
    assert acting(name).edit_reply(body, [edit]) == body.replace(WORD.encode(), b"[gone]")
    assert delivered_document(name, body).count(WORD.encode()) == 0
    driven = Driven(name, LOOKS[look]).feed([stream], redacting)
    assert json.loads(b"[" + b",".join(_data(driven.wire)) + b"]") == json.loads(
        b"[" + b",".join(_data(stream.replace(WORD.encode(), b"[gone]"))) + b"]"
    )
    assert WORD.encode() not in delivered_stream(name, stream, look)


def _data(wire: bytes) -> list[bytes]:
    lines = [line.removeprefix(b"data: ") for line in wire.split(b"\n") if line.startswith(b"data: ")]
    return [line for line in lines if line != b"[DONE]"]


BROUGHT: Final[list[dict[str, Any]]] = [
    {"type": "mcp_call", "name": "fetch", "server_label": "m", "arguments": "{}", "output": f"The {WORD}."},
    {
        "type": "code_interpreter_call",
        "code": "print(1)",
        "outputs": [{"type": "logs", "logs": "one"}, {"type": "logs", "logs": f"The {WORD}."}],
    },
    {
        "type": "file_search_call",
        "queries": ["birds"],
        "results": [{"filename": "a.txt", "text": "one"}, {"filename": "b.txt", "text": f"The {WORD}."}],
    },
    {"type": "web_search_call", "action": {"query": "birds"}, "results": f"The {WORD}."},
]


@pytest.mark.parametrize("item", BROUGHT, ids=lambda item: item["type"])
@pytest.mark.parametrize("from_the_beginning", [True, False])
def test_what_a_providers_tool_brought_is_changed_and_its_call_stays(
    item: dict[str, Any], *, from_the_beginning: bool
) -> None:
    item = {"id": "i_1", "status": "completed", **item}
    empty = dict.fromkeys(("output", "outputs", "results"))
    begun = item if from_the_beginning else {**item, **{key: None for key in empty if key in item}}
    events = [
        {"type": "response.created", "response": {"id": "r", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
    ]
    stream = sse("responses", [{**event, "sequence_number": at} for at, event in enumerate(events)])
    driven = Driven("responses", LOOKS["window"]).feed([stream], redacting)
    assert driven.wire == stream.replace(WORD.encode(), b"[gone]")
    assert WORD.encode() not in delivered_stream("responses", stream, "window")


def summed(*pieces: str) -> bytes:
    """A stream as Perplexity writes it: in every chunk the message as far as it has come, beside the delta."""
    chunks: list[Any] = []
    for at, piece in enumerate(pieces):
        message = {"role": "assistant", "content": "".join(pieces[: at + 1])}
        finish = "stop" if at + 1 == len(pieces) else None
        delta = {"role": "assistant", "content": piece}
        chunks.append(
            {"id": "c", "choices": [{"index": 0, "finish_reason": finish, "message": message, "delta": delta}]}
        )
    return sse("chat", [*chunks, "[DONE]"])


@pytest.mark.parametrize("look", LOOKS)
def test_a_sum_beside_the_deltas_is_held_and_changed_with_them(look: str) -> None:
    stream = summed("It is", " fine", ".")
    assert delivered_stream("chat", stream, look) == stream
    guilty = summed("The her", "onry", " is", " far.")
    wire = Driven("chat", LOOKS[look]).feed([guilty], redacting).wire
    assert WORD.encode() not in wire
    choices = [event["choices"][0] for event in map(json.loads, _data(wire))]
    assert "".join(choice["delta"]["content"] for choice in choices) == "The [gone] is far."
    assert choices[-1]["message"]["content"] == "The [gone] is far."
    assert b"heron" not in delivered_stream("chat", guilty, look)
    assert b"far" not in delivered_stream("chat", stream.replace(b'"It is fine"', b'"It is far"'), look)


def test_a_document_with_an_empty_delta_beside_its_message_is_read() -> None:
    whole = document("chat")
    whole["choices"][0]["delta"] = {"role": "assistant", "content": ""}
    assert delivered_document("chat", json.dumps(whole).encode()) == json.dumps(whole).encode()
    whole["choices"][0]["delta"]["content"] = WORD
    assert delivered_document("chat", json.dumps(whole).encode()) == b""


STRAYS: Final = {
    "a text": {"text": WORD},
    "a value": {"value": WORD},
    "a piece": {"type": "text", "text": WORD},
    "a call": {"type": "function_call", "call_id": "c", "name": "launch", "arguments": json.dumps({"at": WORD})},
}


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS)
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    "kind", ["completed", "failed", "incomplete", "cancelled", "output_item.added", "output_item.done"]
)
def test_what_is_no_message_and_stands_under_the_index_of_one_is_judged(
    kind: str, look: str, stray: dict[str, Any]
) -> None:
    *events, _ = EXCHANGES["responses-failed"]["events"]
    event: dict[str, Any] = {"type": f"response.{kind}", "sequence_number": len(events)}
    if kind.startswith("output_item"):
        event |= {"output_index": 0, "item": stray}
    else:
        event["response"] = {"id": "resp_1", "status": kind, "error": None, "output": [stray]}
    assert GUILTY.strip(b'"') not in delivered_stream("responses", sse("responses", [*events, event]), look)


@pytest.mark.parametrize("look", LOOKS)
def test_a_custom_call_is_read_beside_a_function_that_says_nothing(look: str) -> None:
    call = {"index": 0, "id": "c", "type": "custom", "function": {}, "custom": {"name": "look", "input": WORD}}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]
    end = [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]
    stream = sse("chat", [{**head, "choices": choices}, {**head, "choices": end}, "[DONE]"])
    assert WORD.encode() not in delivered_stream("chat", stream, look)
    (read_call,) = read("chat", stream).parts
    assert (read_call.tool, read_call.text) == ("look", WORD)


@pytest.mark.parametrize("beside", ["Greet.", WORD])
def test_reasoning_under_two_names_is_one_text_or_does_not_pass(beside: str) -> None:
    message = {"role": "assistant", "content": "Hello!", "reasoning_content": beside, "reasoning": WORD}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({"id": "x", "object": "chat.completion", "choices": choices}).encode()
    assert WORD.encode() not in delivered_document("chat", body)
