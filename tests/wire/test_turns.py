"""Whole turns: ended, merged, put together from a stream, and answered in the caller's place."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from corpus_words import exchanges, sse
from hypothesis import given
from hypothesis import strategies as st
from odd_json import written
from sdks import Accumulate, accumulators, billed, calls, ending, texts
from streams import DIALECTS, NAMES, NOTICE, read, streamed

from gateway.wire.enforcing import Enforcing, enforcing
from gateway.wire.gate import Refused, Substituted
from gateway.wire.responses_turns import redirected
from gateway.wire.turns import Unanswerable

EXCHANGES = exchanges()
WIRES = pytest.mark.parametrize("wire", NAMES)
EVERY = pytest.mark.parametrize("name", EXCHANGES)
TURN = [
    ("thinking", "Hmm."),
    ("text", "I'll look."),
    ("call", "call_1", "read_file", '{"path":"a"}'),
    ("call", "call_2", "send_money", '{"to": "eve"}'),
]
REJECTED = {"anthropic": "/content/3", "chat": "/choices/0/message/tool_calls/1", "responses": "/output/3"}


@pytest.fixture(scope="module")
def sdks() -> Iterator[dict[str, Accumulate]]:
    with accumulators() as (_, documents):
        yield documents


def acting(wire: str) -> Enforcing:
    found = enforcing(getattr(DIALECTS, wire))
    assert found is not None
    return found


def document(wire: str, turn: Any = TURN, **facts: Any) -> bytes:
    return acting(wire).turns.assemble(streamed(wire, turn, **facts))


def test_a_wire_that_is_not_read_has_no_ways_to_act() -> None:
    assert enforcing(DIALECTS.raw) is None


@EVERY
def test_a_stream_put_together_reads_as_the_stream_does(name: str) -> None:
    wire = EXCHANGES[name]["dialect"]
    stream = sse(wire, EXCHANGES[name]["events"])
    reply = read(wire, stream)
    if reply.error_type is not None:
        with pytest.raises(Unanswerable):
            acting(wire).turns.assemble(stream)
        return
    reader = getattr(DIALECTS, wire).reply_reader("chat", stream=False)
    reader.feed(acting(wire).turns.assemble(stream), 1)
    whole = reader.close(1)
    same = {"{}" if not part.text and part.kind == "tool_call" else part.text.replace(" ", "") for part in reply.parts}
    assert {part.text.replace(" ", "") for part in whole.parts} == same
    assert [part.pointer for part in whole.parts] == [part.pointer for part in reply.parts]
    assert (whole.usage, whole.finish_reasons, whole.response_id) == (
        reply.usage,
        reply.finish_reasons,
        reply.response_id,
    )


@WIRES
def test_half_a_stream_is_not_put_together(wire: str) -> None:
    stream = streamed(wire, TURN)
    with pytest.raises(Unanswerable):
        acting(wire).turns.assemble(stream[: len(stream) // 2])


@WIRES
@pytest.mark.parametrize("refused", [False, True])
def test_a_document_ends_without_its_calls(sdks: dict[str, Accumulate], wire: str, *, refused: bool) -> None:
    end = Refused(NOTICE) if refused else Substituted(NOTICE)
    body = acting(wire).turns.end(document(wire), end, [REJECTED[wire]])
    made = sdks[wire](body)
    assert calls(wire, made) == []
    assert b"send_money" not in body
    assert billed(wire, made) == (100, 10)
    stops = {
        "anthropic": ("end_turn", "refusal"),
        "chat": ("stop", "content_filter"),
        "responses": ("completed", "failed"),
    }
    assert ending(wire, made) == stops[wire][refused]
    said = texts(wire, made)
    assert said[0].startswith("I'll look.")
    if not (refused and wire == "responses"):
        assert said[-1].endswith(NOTICE)
    else:
        assert made["error"] == {"code": "invalid_prompt", "message": NOTICE}


@WIRES
def test_rejected_text_goes_too(sdks: dict[str, Accumulate], wire: str) -> None:
    where = {"anthropic": "/content/1", "chat": "/choices/0/message/content", "responses": "/output/1/content/0"}[wire]
    made = sdks[wire](acting(wire).turns.end(document(wire), Substituted(NOTICE), [where]))
    assert texts(wire, made) == [NOTICE]
    assert calls(wire, made) == []


def test_a_choice_without_anything_rejected_is_left_alone() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}
    choices = [
        {"index": at, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "stop"}
        for at in (0, 1)
    ]
    body = json.dumps({"choices": choices}).encode()
    ended = json.loads(acting("chat").turns.end(body, Substituted("no"), ["/choices/1/message/tool_calls/0"]))
    assert ended["choices"] == [choices[0], {**choices[1], "message": {"role": "assistant", "content": "no"}}]


@WIRES
def test_two_documents_become_one_reply(sdks: dict[str, Accumulate], wire: str) -> None:
    second = document(wire, [("text", "Then not."), ("call", "call_9", "list_files", "{}")], number=2, tokens=7)
    body = acting(wire).turns.merge(document(wire), second)
    made = sdks[wire](body)
    assert calls(wire, made) == ["list_files"]
    assert "".join(texts(wire, made)).replace("\n", "") == "I'll look.Then not."
    assert billed(wire, made) == (300, 17)
    assert made["id"].endswith("_1") or made["id"] == "chatcmpl-1"


def request(wire: str, **more: Any) -> dict[str, Any]:
    key = "input" if wire == "responses" else "messages"
    return {"model": "m", key: [{"role": "user", "content": "Go\u00e9."}], "stream": True, "tools": [], **more}


@WIRES
@given(seed=st.integers(0, 1 << 30))
def test_asking_again_appends_the_turn_and_a_result_for_every_call(wire: str, seed: int) -> None:
    body = written(request(wire, metadata={"user_id": "messages"}), random.Random(seed)).encode()
    spoken = getattr(DIALECTS, wire)
    view = spoken.read_request(body, "chat")
    again = acting(wire).turns.answer(body, view, document(wire), NOTICE)
    seen = spoken.read_request(again, "chat")
    assert seen.messages[: len(view.messages)] == view.messages
    added = len(again) - len(body)
    at = next(at for at, pair in enumerate(zip(body, again, strict=False)) if pair[0] != pair[1])
    assert again.startswith(body[:at])
    assert again[at + added :] == body[at:]
    parts = [part for message in seen.messages[1:] for part in spoken.parts(again, seen, message.cut)]
    proposed = [part for part in parts if part.kind == "tool_call"]
    results = [part for part in parts if part.kind == "tool_result"]
    assert [(part.tool, part.call_id) for part in proposed] == [("read_file", "call_1"), ("send_money", "call_2")]
    assert [(part.text, part.call_id) for part in results] == [(NOTICE, "call_1"), (NOTICE, "call_2")]
    assert seen.stream
    assert [part.text for part in parts if part.kind in ("model_text", "reasoning")] == ["Hmm.", "I'll look."]


@pytest.mark.parametrize(
    "body",
    [
        '{"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]}',
        '{"messages":[{"role":"user","content":"a"}],"m\\u0065ssages":[{"role":"user","content":"b"}]}',
        '{"messages":[]}',
        '{"messages":null}',
    ],
)
def test_a_conversation_whose_end_is_not_known_is_not_gone_on_with(body: str) -> None:
    view = DIALECTS.anthropic.read_request(body.encode(), "chat")
    with pytest.raises(Unanswerable):
        acting("anthropic").turns.answer(body.encode(), view, document("anthropic"), NOTICE)


def test_a_look_alike_of_the_conversation_is_not_gone_on_with() -> None:
    message = '[{"role":"user","content":"a"}]'
    body = '{"metadata":{"messages":' + message + '},"messages":' + message + "}"
    view = DIALECTS.anthropic.read_request(body.encode(), "chat")
    again = json.loads(acting("anthropic").turns.answer(body.encode(), view, document("anthropic"), NOTICE))
    assert len(again["metadata"]["messages"]) == 1
    assert len(again["messages"]) == 3


def test_a_thinking_block_goes_back_with_its_signature_byte_for_byte() -> None:
    thinking = '{ "type":"thinking", "thinking":"\\u0048m \\/", "signature":"EqQ\\u0042" }'
    call = '{"type":"tool_use","id":"t1","name":"n","input":{"b":1.50,"a":12345678901234567890123}}'
    reply = f'{{"content":[{thinking},{{"type":"text","text":""}}, {call}],"stop_reason":"tool_use"}}'.encode()
    body = json.dumps(request("anthropic")).encode()
    view = DIALECTS.anthropic.read_request(body, "chat")
    again = acting("anthropic").turns.answer(body, view, reply, NOTICE).decode()
    assert f'"content":[{thinking},{call}]' in again
    assert json.loads(again)["messages"][-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": NOTICE, "is_error": True}
    ]


def test_a_streamed_thinking_block_goes_back_with_its_signature() -> None:
    body = json.dumps(request("anthropic")).encode()
    view = DIALECTS.anthropic.read_request(body, "chat")
    again = json.loads(acting("anthropic").turns.answer(body, view, document("anthropic"), NOTICE))
    assert again["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Hmm.", "signature": "EqQB"}


def ask_again(reply: bytes, **more: Any) -> dict[str, Any]:
    body = json.dumps({**request("responses"), **more}).encode()
    view = DIALECTS.responses.read_request(body, "chat")
    value: dict[str, Any] = json.loads(acting("responses").turns.answer(body, view, reply, NOTICE))
    return value


def kinds(value: dict[str, Any]) -> list[str]:
    return [item.get("type", "user") for item in value["input"]]


OUTPUTS = ["function_call_output", "function_call_output"]


def test_a_bare_string_becomes_the_first_message() -> None:
    again = ask_again(document("responses"), input='He said "go"')
    assert again["input"][0] == {"role": "user", "content": 'He said "go"'}
    assert kinds(again)[-2:] == OUTPUTS


def test_a_chain_is_gone_on_from_where_it_was() -> None:
    again = ask_again(document("responses"), previous_response_id="resp_0")
    assert again["previous_response_id"] == "resp_0"
    assert kinds(again) == ["user", "reasoning", "message", "function_call", "function_call", *OUTPUTS]


def test_a_conversation_that_the_provider_keeps_is_sent_the_results_alone() -> None:
    assert kinds(ask_again(document("responses"), conversation={"id": "conv_1"})) == OUTPUTS


def test_reasoning_that_nobody_stored_is_left_out() -> None:
    again = ask_again(document("responses"), store=False)
    assert kinds(again) == ["user", "message", "function_call", "function_call", *OUTPUTS]


@pytest.mark.parametrize(
    ("item", "result"),
    [
        ({"type": "custom_tool_call", "input": "x"}, {"type": "custom_tool_call_output", "output": NOTICE}),
        ({"type": "apply_patch_call"}, {"type": "apply_patch_call_output", "status": "failed", "output": NOTICE}),
        (
            {"type": "shell_call", "action": {}},
            {
                "type": "shell_call_output",
                "output": [{"stdout": "", "stderr": NOTICE, "outcome": {"type": "exit", "exit_code": 1}}],
            },
        ),
    ],
)
def test_calls_of_other_kinds_get_results_of_theirs(item: dict[str, Any], result: dict[str, Any]) -> None:
    reply = json.dumps({"output": [{**item, "call_id": "c1", "name": "n"}]}).encode()
    assert ask_again(reply)["input"][-1] == {**result, "call_id": "c1"}


def test_an_approval_asked_for_is_denied() -> None:
    reply = json.dumps({"output": [{"type": "mcp_approval_request", "id": "mcpr_1", "name": "n"}]}).encode()
    assert ask_again(reply)["input"][-1] == {
        "type": "mcp_approval_response",
        "approval_request_id": "mcpr_1",
        "approve": False,
        "reason": NOTICE,
    }


@pytest.mark.parametrize(
    ("wire", "reply", "more"),
    [
        ("responses", {"output": [{"type": "computer_call", "call_id": "c", "action": {}}]}, {}),
        ("responses", {"output": []}, {}),
        ("anthropic", {"content": [{"type": "text", "text": "Hi"}]}, {}),
        ("anthropic", {"content": [{"type": "tool_use", "name": "n", "input": {}}]}, {}),
        ("chat", {"choices": [{"index": 0, "message": {"content": "Hi"}}]}, {}),
        ("chat", {"choices": [{"index": 0, "message": {"tool_calls": [{"id": "c"}]}}]}, {"n": 2}),
    ],
)
def test_what_cannot_be_answered_says_so(wire: str, reply: dict[str, Any], more: dict[str, Any]) -> None:
    body = json.dumps({**request(wire), **more}).encode()
    view = getattr(DIALECTS, wire).read_request(body, "chat")
    with pytest.raises(Unanswerable):
        acting(wire).turns.answer(body, view, json.dumps(reply).encode(), NOTICE)


def test_an_old_function_call_is_answered_in_its_own_way() -> None:
    reply = {"choices": [{"index": 0, "message": {"content": None, "function_call": {"name": "f", "arguments": "{}"}}}]}
    body = json.dumps(request("chat")).encode()
    view = DIALECTS.chat.read_request(body, "chat")
    again = json.loads(acting("chat").turns.answer(body, view, json.dumps(reply).encode(), NOTICE))
    assert again["messages"][1:] == [
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": NOTICE},
    ]


def test_a_chain_under_the_id_the_client_knows_goes_on_from_the_one_that_holds_the_history() -> None:
    body = b'{"previous_response_id" : "resp_1", "input":[]}'
    view = DIALECTS.responses.read_request(body, "chat")
    assert redirected(body, view, {"resp_1": "resp_2"}) == body.replace(b"resp_1", b"resp_2")
    assert redirected(body, view, {"resp_7": "resp_2"}) == body
