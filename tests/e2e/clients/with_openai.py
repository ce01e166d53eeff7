"""The OpenAI Python SDK as its users use it, over Chat Completions and Responses."""

import asyncio
import json
from functools import cache
from typing import Any

import openai
from program import PAYLOAD, WEATHER_SCHEMA, ask, play, weather
from pydantic import BaseModel

MODEL = "gpt-5.2"
FUNCTION = {"name": "weather", "description": "Weather now.", "parameters": WEATHER_SCHEMA}


class Forecast(BaseModel):
    city: str
    degrees: float


@cache
def _client() -> openai.OpenAI:
    return openai.OpenAI()


def _chat(scene: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": ask(scene)}], **more}


def _responses(scene: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": ask(scene), **more}


def chat() -> Any:
    return _client().chat.completions.create(**_chat("chat", user="u-1", temperature=1.0, seed=7))


def chat_gzipped() -> Any:
    return _client().chat.completions.create(**_chat("chat_gzipped"))


def chat_stream() -> Any:
    request = _chat("chat_stream", stream=True, stream_options={"include_usage": True})
    return list(_client().chat.completions.create(**request))


def chat_stream_helper() -> Any:
    with _client().chat.completions.stream(**_chat("chat_stream_helper")) as events:
        return [[event for event in events], events.get_final_completion()]  # noqa: C416 - the helper is to be iterated


def chat_asynchronous() -> Any:
    async def run() -> Any:
        async with openai.AsyncOpenAI() as client:
            stream = await client.chat.completions.create(**_chat("chat_asynchronous", stream=True))
            return [chunk async for chunk in stream]

    return asyncio.run(run())


def chat_tools() -> Any:
    client = _client()
    request = _chat("chat_tools", tools=[{"type": "function", "function": FUNCTION}])
    turns: list[Any] = []
    while True:
        reply = client.chat.completions.create(**request)
        turns.append(reply.model_dump(mode="json"))
        message = reply.choices[0].message
        if not message.tool_calls:
            return turns
        results = [
            {
                "role": "tool",
                "tool_call_id": call.id,
                "content": weather(json.loads(call.function.arguments)["city"]),
            }
            for call in message.tool_calls
        ]
        request["messages"] = [*request["messages"], message, *results]


def chat_parsed() -> Any:
    return _client().chat.completions.parse(**_chat("chat_parsed"), response_format=Forecast)


def responses() -> Any:
    return _client().responses.create(**_responses("responses", instructions="Be brief.", store=False))


def responses_stream() -> Any:
    return list(_client().responses.create(**_responses("responses_stream", stream=True)))


def responses_stream_helper() -> Any:
    with _client().responses.stream(**_responses("responses_stream_helper")) as events:
        return [[event for event in events], events.get_final_response()]  # noqa: C416 - the helper is to be iterated


def responses_tools() -> Any:
    """A stateless loop: encrypted reasoning goes back in the input as it came."""
    client = _client()
    more = {"tools": [{"type": "function", "strict": False, **FUNCTION}], "store": False}
    request = {"model": MODEL, "include": ["reasoning.encrypted_content"], **more}
    history: list[Any] = [{"role": "user", "content": ask("responses_tools")}]
    turns: list[Any] = []
    while True:
        reply = client.responses.create(**request, input=history)
        turns.append(reply.model_dump(mode="json"))
        calls = [item for item in reply.output if item.type == "function_call"]
        if not calls:
            return turns
        results = [
            {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": weather(json.loads(call.arguments)["city"]),
            }
            for call in calls
        ]
        history = [*history, *reply.output, *results]


def responses_chained() -> Any:
    """A stateful loop over `previous_response_id`."""
    client = _client()
    first = client.responses.create(**_responses("responses_chained"))
    again = _responses("responses_chained", previous_response_id=first.id)
    return [first, client.responses.create(**again)]


def responses_parsed() -> Any:
    return _client().responses.parse(**_responses("responses_parsed"), text_format=Forecast)


def embeddings() -> Any:
    return _client().embeddings.create(model="text-embedding-3-small", input=[ask("embeddings"), "two"])


def models() -> Any:
    return [list(_client().models.list()), _client().models.retrieve(MODEL)]


def files() -> Any:
    client = _client()
    sent = client.files.create(file=("täglich.bin", PAYLOAD), purpose="user_data")
    return [sent, client.files.content(sent.id).read(), client.files.delete(sent.id)]


def rate_limited() -> Any:
    return _client().chat.completions.create(**_chat("rate_limited"))


def bad_request() -> Any:
    return _client().responses.create(**_responses("bad_request"))


def chat_failed_midway() -> Any:
    return list(_client().chat.completions.create(**_chat("chat_failed_midway", stream=True)))


def responses_failed_midway() -> Any:
    return list(_client().responses.create(**_responses("responses_failed_midway", stream=True)))


def chat_truncated() -> Any:
    return list(_client().chat.completions.create(**_chat("chat_truncated", stream=True)))


def responses_truncated() -> Any:
    """Through the stream helper, whose users ask for the final response."""
    with _client().responses.stream(**_responses("responses_truncated")) as events:
        return [event.type for event in events]


def broken_off() -> Any:
    return list(_client().chat.completions.create(**_chat("broken_off", stream=True)))


SCENES = (
    chat,
    chat_gzipped,
    chat_stream,
    chat_stream_helper,
    chat_asynchronous,
    chat_tools,
    chat_parsed,
    responses,
    responses_stream,
    responses_stream_helper,
    responses_tools,
    responses_chained,
    responses_parsed,
    embeddings,
    models,
    files,
    rate_limited,
    bad_request,
    chat_failed_midway,
    responses_failed_midway,
    chat_truncated,
    responses_truncated,
    broken_off,
)

if __name__ == "__main__":
    play(SCENES)
