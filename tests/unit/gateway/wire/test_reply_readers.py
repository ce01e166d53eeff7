import json
from typing import Any

import pytest

from gateway.wire import replies
from gateway.wire.dialects import dialects
from gateway.wire.fingerprint import fingerprint, fingerprints, offered, text_digest
from gateway.wire.interface import Dialect, Reply
from policies.vocabulary.steps import Part

DIALECTS = dialects()
SPEAKING = (DIALECTS.anthropic, DIALECTS.chat, DIALECTS.responses)


def chunk(delta: Any, finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode() + b"\n\n"


def chat(*chunks: bytes) -> tuple[Reply, bool]:
    reader = DIALECTS.chat.reply_reader("chat", stream=True)
    for at, piece in enumerate(chunks):
        reader.feed(piece, at)
    complete = reader.complete
    return reader.close(len(chunks)), complete


def test_a_chat_stream_without_done_is_complete_once_every_choice_has_finished() -> None:
    assert chat(chunk({"content": "a"}), chunk({}, "stop"))[1]
    assert not chat(chunk({"content": "a"}), chunk({}, "stop"), chunk({"content": "b"}, index=1))[1]
    assert not chat(chunk({"content": "a"}), chunk({}, "stop"), b'data: {"id"')[1]
    assert chat(chunk({"content": "a"}), b"data: [DONE]")[1]
    assert not chat()[1]


def test_calls_without_an_index_are_told_apart_by_id() -> None:
    def call(call_id: str | None, arguments: str) -> dict[str, Any]:
        return {"tool_calls": [{"id": call_id, "function": {"name": "f" if call_id else None, "arguments": arguments}}]}

    reply, _ = chat(chunk(call("a", "{")), chunk(call(None, "}")), chunk(call("b", "{}"), "tool_calls"))
    assert [(part.call_id, part.text) for part in reply.parts] == [("a", "{}"), ("b", "{}")]


def test_content_that_comes_after_its_finish_reason_is_kept() -> None:
    reply, _ = chat(chunk({"content": "a"}, "stop"), chunk({"content": "b"}))
    assert [part.text for part in reply.parts] == ["a", "b"]


@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"id": "x"', b"[" * 5000])
def test_what_is_no_whole_document_is_no_complete_reply(dialect: Dialect, body: bytes) -> None:
    reader = dialect.reply_reader("chat", stream=False)
    reader.feed(body, 1)
    assert not reader.complete
    assert reader.close(2) == Reply()


def test_a_json_reply_may_be_asked_for_before_it_is_whole() -> None:
    reader = DIALECTS.anthropic.reply_reader("chat", stream=False)
    reader.feed(b'{"id": "m', 1)
    assert not reader.complete
    reader.feed(b'sg_1"}', 2)
    assert reader.complete
    assert reader.close(3).response_id == "msg_1"


def test_a_stream_cut_off_keeps_what_was_said_and_marks_its_usage() -> None:
    reader = DIALECTS.anthropic.reply_reader("chat", stream=True)
    for event in (
        {"type": "message_start", "message": {"id": "i", "usage": {"input_tokens": 5, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "n"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a'}},
    ):
        reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n", 1)
    reply = reader.close(9)
    assert not reply.complete
    assert [(part.kind, part.text, part.ended_ns) for part in reply.parts] == [("tool_call", '{"a', 9)]
    assert (reply.usage.input_tokens, reply.usage.estimated) == (5, True)


def test_counts_the_provider_did_not_give_stay_unknown() -> None:
    for dialect in SPEAKING:
        reader = dialect.reply_reader("chat", stream=False)
        reader.feed(b'{"id":"x","usage":{"output_tokens":"many","prompt_tokens":-1}}', 1)
        usage = reader.close(2).usage
        assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (None, None, False)


def test_an_embedding_reply_has_its_usage_and_no_parts() -> None:
    reader = DIALECTS.chat.reply_reader("embeddings", stream=False)
    reader.feed(b'{"object":"list","model":"e","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}', 1)
    reply = reader.close(2)
    assert (reply.complete, reply.model, reply.usage.input_tokens, reply.parts) == (True, "e", 8, ())


def test_a_terminal_event_too_large_to_read_still_ends_the_stream() -> None:
    reader = DIALECTS.responses.reply_reader("chat", stream=True)
    reader.feed(b'event: response.completed\ndata: {"type":"response.completed","x":"' + b"A" * (9 << 20), 1)
    reader.feed(b'"}\n\n', 2)
    assert reader.complete


def test_a_raw_reply_is_never_called_truncated() -> None:
    reader = DIALECTS.raw.reply_reader("other", stream=True)
    assert list(reader.feed(b"anything", 1)) == []
    assert reader.complete
    assert reader.close(2).complete


def turn(*parts: tuple[str, str], **fields: Any) -> bytes:
    return fingerprint(Part(kind=kind, text=text, **fields) for kind, text in parts)  # pyright: ignore[reportArgumentType]


def test_a_fingerprint_survives_what_clients_do_to_history() -> None:
    said = turn(("model_text", "Hello there,\n"), ("model_text", "world."))
    assert said == turn(("reasoning", "hm"), ("model_text", " Hello there,world. "))
    assert turn(("tool_call", '{"a": 1, "b": "ü"}'), tool="t") == turn(("tool_call", '{"b":"\\u00fc","a":1}'), tool="t")
    assert turn(("tool_call", ""), tool="t") == turn(("tool_call", "{}"), tool="t")
    assert said == turn(("model_text", "Hello there, world."), pointer="/choices/0/message/content")


def test_each_choice_of_a_reply_has_the_fingerprint_of_the_turn_it_would_become() -> None:
    told = [Part(kind="model_text", text=text, pointer=f"/choices/{at}/message/content") for at, text in CHOICES]
    assert fingerprints(told) == (turn(("model_text", "Yes, no.")), turn(("model_text", "Maybe.")))
    assert fingerprints([Part(kind="model_text", text="Yes.", pointer="/content/0")]) == (turn(("model_text", "Yes.")),)
    assert fingerprints([]) == ()


CHOICES = ((0, "Yes,"), (12, "Maybe."), (0, " no."), (1, "Maybe."))


def test_a_fingerprint_tells_turns_apart() -> None:
    turns = [
        turn(("model_text", "a")),
        turn(("model_text", "b")),
        turn(("tool_call", "{}"), tool="t", call_id="1"),
        turn(("tool_call", "{}"), tool="t", call_id="2"),
        turn(("tool_call", "{}"), tool="u", call_id="1"),
        turn(("tool_call", '{"a":1}'), tool="t", call_id="1"),
        turn(("tool_call", "not json"), tool="t", call_id="1"),
        turn(),
    ]
    assert len(set(turns)) == len(turns)
    assert {len(found) for found in turns} == {16}


def test_long_strings_in_arguments_are_offered_in_order_and_short_ones_are_not() -> None:
    long, deep = "Review the parser for bugs, please.", "Then write a test for each of them."
    call = Part(kind="tool_call", text=json.dumps({"prompt": f" {long}\n", "n": 1, "x": ["short", {"y": deep}]}))
    custom = Part(kind="tool_call", text="*** Begin Patch of some file")
    other = Part(kind="model_text", text=json.dumps({"prompt": long}))
    assert offered([call, custom, other]) == (text_digest(long), text_digest(deep), text_digest(custom.text))


def test_what_a_provider_answers_is_the_models_whatever_role_it_claims() -> None:
    reader = DIALECTS.anthropic.reply_reader("chat", stream=False)
    reader.feed(b'{"role": "user", "content": [{"type": "text", "text": "Hi."}]}', 1)
    assert [part.kind for part in reader.close(2).parts] == ["model_text"]


def test_what_outgrows_what_is_kept_of_a_stream_is_not_taken_for_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "LARGEST_REPLY", 10)
    whole, _ = chat(chunk({"content": "01234"}), chunk({"content": "56789"}), chunk({}, "stop"))
    assert [part.unread for part in whole.parts] == [None]
    cut, _ = chat(chunk({"content": "01234"}), chunk({"content": "567890"}), chunk({}, "stop"))
    assert [part.unread for part in cut.parts] == [replies.TOO_LARGE]
