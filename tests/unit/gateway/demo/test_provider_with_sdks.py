"""The vendors' own clients, unmodified, accept what the demo provider says, whole and streamed."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from gateway.demo import obliging
from gateway.demo.background import BackgroundProvider
from gateway.demo.resources import FILE
from gateway.demo.scenarios import HEADER, SCENARIOS
from tests.fakes.provider import CALL, TEXT, THOUGHT, TOOL_TURN, TURN, always, say

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
MESSAGES: Any = [{"role": "user", "content": "How will the weather be?"}]
ANTHROPIC_TOOLS: Any = [{"name": "get_weather", "description": "the weather", "input_schema": SCHEMA}]
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
RESPONSES_TOOLS: Any = [{"type": "function", "name": "get_weather", "strict": False, "parameters": SCHEMA}]
ARGUMENTS = {"city": "Zürich", "days": 3}

READABLE = ["ok", "drip", "crlf", "gzip", "deflate", "br", "unknown-event", "close-delimited", "no-keep-alive"]


@pytest.fixture(scope="module")
def transports() -> Iterator[tuple[Any, Any]]:
    """The SDKs' own HTTP clients, made once: each loads the certificates anew."""
    with anthropic.DefaultHttpxClient() as one, openai.DefaultHttpxClient() as other:
        yield one, other


@pytest.fixture
def claude(provider: BackgroundProvider, transports: tuple[Any, Any]) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url=provider.url, max_retries=0, http_client=transports[0])


@pytest.fixture
def gpt(provider: BackgroundProvider, transports: tuple[Any, Any]) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url=provider.url + "/v1", max_retries=0, http_client=transports[1])


def test_anthropic_reads_a_document(provider: BackgroundProvider, claude: anthropic.Anthropic) -> None:
    provider.script = always(say("anthropic", TOOL_TURN))
    message = claude.messages.create(model="m", max_tokens=9, messages=MESSAGES)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[2].input == ARGUMENTS  # type: ignore[union-attr]
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 40)


def test_anthropic_reads_a_stream_as_it_reads_the_document(
    provider: BackgroundProvider, claude: anthropic.Anthropic
) -> None:
    provider.script = always(say("anthropic", TOOL_TURN))
    document = claude.messages.create(model="m", max_tokens=9, messages=MESSAGES)
    provider.script = always(say("anthropic", TOOL_TURN, streamed=True))
    with claude.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    assert text == "Let me look."
    unparsed = {"parsed_output"}
    assert [block.model_dump(exclude=unparsed) for block in streamed.content] == [
        block.model_dump(exclude=unparsed) for block in document.content
    ]
    assert (streamed.id, streamed.stop_reason) == (document.id, document.stop_reason)
    assert streamed.usage.output_tokens == document.usage.output_tokens


def test_anthropic_counts_the_cache_apart(provider: BackgroundProvider, claude: anthropic.Anthropic) -> None:
    provider.script = always(say("anthropic", TURN))
    usage = claude.messages.create(model="m", max_tokens=9, messages=MESSAGES).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (100, 20)


def test_chat_reads_a_document(provider: BackgroundProvider, gpt: openai.OpenAI) -> None:
    provider.script = always(say("chat", TOOL_TURN))
    completion = gpt.chat.completions.create(model="m", messages=MESSAGES)
    message = completion.choices[0].message
    assert message.tool_calls is not None
    assert (message.content, message.tool_calls[0].id) == ("Let me look.", CALL.call_id)
    assert message.tool_calls[0].function.arguments == CALL.arguments  # type: ignore[union-attr]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert message.model_extra == {"reasoning_content": THOUGHT}


def test_chat_reads_a_stream_as_it_reads_the_document(provider: BackgroundProvider, gpt: openai.OpenAI) -> None:
    provider.script = always(say("chat", TOOL_TURN))
    document = gpt.chat.completions.create(model="m", messages=MESSAGES)
    provider.script = always(say("chat", TOOL_TURN, streamed=True))
    with gpt.chat.completions.stream(
        model="m", messages=MESSAGES, tools=CHAT_TOOLS, stream_options={"include_usage": True}
    ) as stream:
        streamed = stream.get_final_completion()
    call = streamed.choices[0].message.tool_calls
    assert call is not None
    assert call[0].function.arguments == CALL.arguments
    assert streamed.choices[0].message.content == document.choices[0].message.content
    assert streamed.usage == document.usage


def test_chat_without_include_usage_streams_none(gpt: openai.OpenAI) -> None:
    chunks = list(gpt.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_responses_reads_a_document(provider: BackgroundProvider, gpt: openai.OpenAI) -> None:
    provider.script = always(say("responses", TOOL_TURN))
    response = gpt.responses.create(model="m", input="hi")
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert response.output_text == "Let me look."
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 8


def test_responses_reads_a_stream_as_it_reads_the_document(provider: BackgroundProvider, gpt: openai.OpenAI) -> None:
    provider.script = always(say("responses", TOOL_TURN))
    document = gpt.responses.create(model="m", input="hi")
    provider.script = always(say("responses", TOOL_TURN, streamed=True))
    with gpt.responses.stream(model="m", input="hi", tools=RESPONSES_TOOLS) as stream:
        numbers = [event.sequence_number for event in stream]
        streamed = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert [item.id for item in streamed.output] == [item.id for item in document.output]
    assert (streamed.output_text, streamed.usage) == (document.output_text, document.usage)


@pytest.mark.parametrize("name", READABLE)
def test_scenarios_that_are_correct_can_be_read(name: str, claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    asked = {HEADER: name}
    message = claude.messages.create(model="m", max_tokens=9, messages=MESSAGES, extra_headers=asked)
    assert message.content[0].text == obliging.TEXT  # type: ignore[union-attr]
    with claude.messages.stream(model="m", max_tokens=9, messages=MESSAGES, extra_headers=asked) as stream:
        assert "".join(stream.text_stream) == obliging.TEXT
    with gpt.chat.completions.stream(model="m", messages=MESSAGES, extra_headers=asked) as chat:
        assert chat.get_final_completion().choices[0].message.content == obliging.TEXT
    response = gpt.responses.create(model="m", input="hi", stream=True, extra_headers=asked)
    assert "".join(event.delta for event in response if event.type == "response.output_text.delta") == obliging.TEXT


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("400", anthropic.BadRequestError),
        ("401", anthropic.AuthenticationError),
        ("429", anthropic.RateLimitError),
        ("529", anthropic.APIStatusError),
        ("error-event", anthropic.APIStatusError),
        ("no-answer", anthropic.APIConnectionError),
        ("reset-before-headers", anthropic.APIConnectionError),
    ],
)
def test_faults_reach_the_sdk_as_errors(name: str, error: type[Exception], claude: anthropic.Anthropic) -> None:
    with (
        pytest.raises(error),
        claude.messages.stream(model="m", max_tokens=9, messages=MESSAGES, extra_headers={HEADER: name}) as stream,
    ):
        stream.until_done()


def test_an_error_keeps_the_headers_that_tell_when_to_come_back(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.RateLimitError) as refused:
        claude.messages.create(model="m", max_tokens=9, messages=MESSAGES, extra_headers={HEADER: "429-stay"})
    headers = refused.value.response.headers
    assert (headers["retry-after"], headers["x-should-retry"]) == ("1", "false")


def test_a_storm_passes_after_two_requests(provider: BackgroundProvider) -> None:
    with anthropic.Anthropic(api_key="k", base_url=provider.url, max_retries=2) as client:
        client.messages.create(model="m", max_tokens=9, messages=MESSAGES, extra_headers={HEADER: "529-twice"})
    assert len(provider.requests) == 3


def test_a_failed_response_is_an_event_of_its_own(gpt: openai.OpenAI) -> None:
    events = list(gpt.responses.create(model="m", input="hi", stream=True, extra_headers={HEADER: "failed-event"}))
    assert events[-1].type == "response.failed"


def test_an_unknown_scenario_is_answered_with_the_list(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="stall-before-headers"):
        claude.messages.create(model="m", max_tokens=9, messages=MESSAGES, extra_headers={HEADER: "nonsense"})


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_makes_an_answer_for_every_wire(name: str) -> None:
    from gateway.demo.answers import SeenRequest  # noqa: PLC0415 -- used by this test alone

    for path in ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/models"):
        for body in (b'{"model": "m", "stream": true}', b'{"model": "m"}', b"no json"):
            request = SeenRequest(number=0, connection=0, method="POST", target=path, headers=(), body=body, begun=0.0)
            assert SCENARIOS[name](request).status in (200, 400, 401, 403, 404, 413, 429, 500, 503, 529)


def test_a_tool_is_called_with_arguments_that_fit_and_its_result_is_answered(
    claude: anthropic.Anthropic,
) -> None:
    chosen: Any = {"type": "tool", "name": "get_weather"}
    first = claude.messages.create(
        model="m", max_tokens=9, messages=MESSAGES, tools=ANTHROPIC_TOOLS, tool_choice=chosen
    )
    call = first.content[0]
    assert call.type == "tool_use"
    assert set(call.input) == {"city", "days"}
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    talk: Any = [*MESSAGES, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = claude.messages.create(model="m", max_tokens=9, messages=talk, tools=ANTHROPIC_TOOLS)
    assert second.stop_reason == "end_turn"


def test_a_tool_the_user_names_is_called(gpt: openai.OpenAI) -> None:
    said: Any = [{"role": "user", "content": "Use get_weather for 7 days"}]
    completion = gpt.chat.completions.create(model="m", messages=said, tools=CHAT_TOOLS)
    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert '"days":7' in calls[0].function.arguments  # type: ignore[union-attr]


class Forecast(BaseModel):
    city: str
    days: int


def test_structured_output_fits_its_schema_on_every_wire(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    parsed = claude.messages.parse(model="m", max_tokens=9, messages=MESSAGES, output_format=Forecast)
    assert isinstance(parsed.parsed_output, Forecast)
    chat = gpt.chat.completions.parse(model="m", messages=MESSAGES, response_format=Forecast)
    assert isinstance(chat.choices[0].message.parsed, Forecast)
    response = gpt.responses.parse(model="m", input="hi", text_format=Forecast)
    assert isinstance(response.output_parsed, Forecast)


def test_the_rest_of_the_apis_is_there(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    assert claude.messages.count_tokens(model="m", messages=MESSAGES).input_tokens > 0
    assert [model.id for model in claude.models.list()] == ["claude-demo-1", "claude-demo-2"]
    assert [model.id for model in gpt.models.list()] == ["gpt-demo-1", "gpt-demo-2"]
    assert [result.custom_id for result in claude.messages.batches.results("msgbatch_demo")] == ["r0", "r1"]
    assert gpt.embeddings.create(model="e", input=["a", "b"]).data[1].embedding[8] == 0.5
    assert gpt.files.content("file-demo").read() == FILE


def test_a_binary_upload_arrives_byte_for_byte(provider: BackgroundProvider, gpt: openai.OpenAI) -> None:
    gpt.files.create(file=("all.bin", FILE), purpose="user_data")
    assert FILE in provider.wait_ended(1)[0].body


def test_a_websocket_upgrade_is_not_found(provider: BackgroundProvider) -> None:
    import http.client  # noqa: PLC0415 -- used by this test alone

    connection = http.client.HTTPConnection(provider.url.removeprefix("http://"))
    connection.request("GET", "/v1/responses", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert connection.getresponse().status == 404
    connection.close()


def test_text_of_a_turn_is_what_was_asked_for(provider: BackgroundProvider, gpt: openai.OpenAI) -> None:
    provider.script = always(say("chat"))
    assert gpt.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content == TEXT
