"""A stream that breaks off anywhere, ended by us, raises in the providers' own Python SDKs."""

import json
from collections.abc import Callable, Iterator

import anthropic
import httpx2
import openai
import pytest

from gateway.wire.dialects import dialects
from gateway.wire.interface import Dialect

DIALECTS = dialects()
MESSAGE = "the provider's stream broke off"


def named(events: list[dict[str, object]]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


ANTHROPIC = named(
    [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 3, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": 'Grüße, "Ω" \\ \U0001f600'},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 9, "server_tool_use": {"web_search_requests": 1.5}},
        },
    ]
)
# Raw UTF-8 on the wire too, so that cuts fall inside characters.
ANTHROPIC += 'event: content_block_delta\ndata: {"type":"x","a":[1,true,null,{"b":"é😀"}]}\n\n'.encode()

CHAT = b"".join(
    f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()
    for chunk in (
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Grüße 😀"}, "finish_reason": None}],
        },
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt",
            "choices": [{"index": 0, "delta": {"content": '\\"quoted\\"'}, "logprobs": None, "finish_reason": None}],
        },
    )
)

RESPONSES = named(
    [
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {
                "id": "resp_1",
                "object": "response",
                "created_at": 1,
                "status": "in_progress",
                "model": "gpt",
                "output": [],
            },
        },
        {
            "type": "response.output_item.added",
            "sequence_number": 1,
            "output_index": 0,
            "item": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []},
        },
        {
            "type": "response.output_text.delta",
            "sequence_number": 2,
            "output_index": 0,
            "content_index": 0,
            "item_id": "msg_1",
            "delta": "Grüße",
            "logprobs": [],
        },
    ]
)


class Provider:
    """What the SDKs' transport answers; clients are slow to build, so each is built once."""

    stream = b""

    def answer(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=self.stream)


@pytest.fixture(scope="module")
def readers() -> Iterator[dict[str, Callable[[bytes], None]]]:
    provider = Provider()
    with (
        httpx2.Client(transport=httpx2.MockTransport(provider.answer)) as http,
        anthropic.Anthropic(api_key="k", base_url="http://p", http_client=http, max_retries=0) as messages,
        openai.OpenAI(api_key="k", base_url="http://p/v1", http_client=http, max_retries=0) as other,
    ):

        def read_messages(stream: bytes) -> None:
            provider.stream = stream
            asked = messages.messages.create(
                model="claude", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=True
            )
            assert list(asked) is not None

        def read_chat(stream: bytes) -> None:
            provider.stream = stream
            asked = other.chat.completions.create(model="g", messages=[{"role": "user", "content": "hi"}], stream=True)
            assert list(asked) is not None

        def read_responses(stream: bytes) -> None:
            provider.stream = stream
            assert list(other.responses.create(model="g", input="hi", stream=True)) is not None

        yield {"anthropic": read_messages, "chat": read_chat, "responses": read_responses}


def ended(dialect: Dialect, stream: bytes) -> bytes:
    reader = dialect.reply_reader("chat", stream=True)
    reader.feed(stream, 1)
    assert not reader.complete
    return stream + reader.terminal_error(MESSAGE, "01EXCHANGE")


def cuts(stream: bytes, step: int = 1) -> Iterator[bytes]:
    return (stream[:end] for end in range(1, len(stream) + 1, step))


CASES: list[tuple[str, bytes, type[Exception]]] = [
    ("anthropic", ANTHROPIC, anthropic.APIStatusError),
    ("chat", CHAT, openai.APIError),
    ("responses", RESPONSES, openai.APIError),
]
Readers = dict[str, Callable[[bytes], None]]


@pytest.mark.parametrize(("newline", "step"), [(b"\n", 1), (b"\r\n", 5)])
@pytest.mark.parametrize(("name", "stream", "error"), CASES)
def test_a_stream_cut_anywhere_raises_our_message(
    readers: Readers, name: str, stream: bytes, error: type[Exception], newline: bytes, step: int
) -> None:
    for cut in cuts(stream.replace(b"\n", newline), step):
        with pytest.raises(error) as raised:
            readers[name](ended(getattr(DIALECTS, name), cut))
        assert MESSAGE in str(raised.value), cut[-60:]


@pytest.mark.parametrize(("name", "stream", "error"), CASES)
def test_the_same_streams_without_our_ending_return_in_silence(
    readers: Readers, name: str, stream: bytes, error: type[Exception]
) -> None:
    readers[name](stream)


@pytest.mark.parametrize(
    ("name", "cut", "raised"),
    [
        ("chat", CHAT + b"data: [DO", json.JSONDecodeError),
        ("anthropic", ANTHROPIC + b"event: content_block_delta\ndata: [1", anthropic.APIStatusError),
        ("responses", RESPONSES + b"data: garb", json.JSONDecodeError),
        ("anthropic", b"data: {" + b'"a":"' + b"x" * 70_000, anthropic.APIStatusError),
    ],
)
def test_what_cannot_be_closed_still_raises(readers: Readers, name: str, cut: bytes, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        readers[name](ended(getattr(DIALECTS, name), cut))


def test_a_client_that_skips_what_it_cannot_read_still_meets_the_error() -> None:
    for name, stream, _ in CASES:
        tail = ended(getattr(DIALECTS, name), stream[:-40])
        last = tail.rstrip(b"\n").rpartition(b"\ndata: ")[2]
        assert MESSAGE in json.loads(last)["error"]["message"]


def test_a_failed_response_continues_the_sequence_and_parses_in_the_sdk() -> None:
    tail = ended(DIALECTS.responses, RESPONSES)[len(RESPONSES) :]
    event = json.loads(tail.partition(b"data: ")[2])
    assert event["sequence_number"] == 3
    parsed = openai.types.responses.ResponseFailedEvent.model_validate(event)
    assert (parsed.response.id, parsed.response.status, parsed.response.model) == ("resp_1", "failed", "gpt")
    assert parsed.response.error is not None
    assert parsed.response.error.code == "server_error"


def test_a_json_reply_gets_no_ending() -> None:
    for dialect in (DIALECTS.anthropic, DIALECTS.chat, DIALECTS.responses, DIALECTS.raw):
        assert dialect.reply_reader("chat", stream=False).terminal_error("m", "x") == b""
