"""The Anthropic Python SDK as its users use it."""

import asyncio
from functools import cache
from typing import Any

import anthropic
from program import PAYLOAD, WEATHER_SCHEMA, ask, play, weather
from pydantic import BaseModel

MODEL = "claude-sonnet-4-5"
TOOL = {"name": "weather", "description": "Weather now.", "input_schema": WEATHER_SCHEMA}


class Forecast(BaseModel):
    city: str
    degrees: float


@cache
def _client() -> anthropic.Anthropic:
    return anthropic.Anthropic()


def _request(scene: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 1024, "messages": [{"role": "user", "content": ask(scene)}], **more}


def plain() -> Any:
    return _client().messages.create(**_request("plain", system="Be brief.", metadata={"user_id": "u-1"}))


def gzipped() -> Any:
    return _client().messages.create(**_request("gzipped"))


def stream() -> Any:
    with _client().messages.stream(**_request("stream")) as events:
        return [[event for event in events], events.get_final_message()]  # noqa: C416 - the helper is to be iterated


def raw_stream() -> Any:
    return list(_client().messages.create(**_request("raw_stream", stream=True)))


def text_stream() -> Any:
    with _client().messages.stream(**_request("text_stream")) as events:
        return list(events.text_stream)


def asynchronous() -> Any:
    async def run() -> Any:
        client = anthropic.AsyncAnthropic()
        async with client, client.messages.stream(**_request("asynchronous")) as events:
            return [event async for event in events]

    return asyncio.run(run())


def tools() -> Any:
    return _loop("tools", streamed=False)


def tools_streamed() -> Any:
    return _loop("tools_streamed", streamed=True)


def _loop(scene: str, *, streamed: bool) -> Any:
    """An agent loop with thinking: signed blocks go back in the history as they came."""
    client = _client()
    more = {"tools": [TOOL], "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}
    request = {**_request(scene), **more}
    turns: list[Any] = []
    while True:
        if streamed:
            with client.messages.stream(**request) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**request)
        turns.append(message.model_dump(mode="json"))
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            return turns
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": weather(str(call.input["city"]))}
            for call in calls
        ]
        request["messages"] = [
            *request["messages"],
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": results},
        ]


def parsed() -> Any:
    return _client().messages.parse(**_request("parsed"), output_format=Forecast)


def count_tokens() -> Any:
    request = _request("count_tokens")
    return _client().messages.count_tokens(model=request["model"], messages=request["messages"])


def models() -> Any:
    return [_client().models.list(limit=20), _client().models.retrieve(MODEL)]


def files() -> Any:
    client = _client()
    sent = client.files.upload(file=("täglich.bin", PAYLOAD, "application/octet-stream"))
    return [sent, client.files.download(sent.id).read(), client.files.delete(sent.id)]


def batch() -> Any:
    request = {"custom_id": "one", "params": _request("batch")}
    return _client().messages.batches.create(requests=[request])


def rate_limited() -> Any:
    return _client().messages.create(**_request("rate_limited"))


def bad_request() -> Any:
    return _client().messages.create(**_request("bad_request"))


def overloaded_midway() -> Any:
    return list(_client().messages.create(**_request("overloaded_midway", stream=True)))


def truncated() -> Any:
    return list(_client().messages.create(**_request("truncated", stream=True)))


def broken_off() -> Any:
    return list(_client().messages.create(**_request("broken_off", stream=True)))


SCENES = (
    plain,
    gzipped,
    stream,
    raw_stream,
    text_stream,
    asynchronous,
    tools,
    tools_streamed,
    parsed,
    count_tokens,
    models,
    files,
    batch,
    rate_limited,
    bad_request,
    overloaded_midway,
    truncated,
    broken_off,
)

if __name__ == "__main__":
    play(SCENES)
