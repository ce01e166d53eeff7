"""LiteLLM as a client: completion over both vendors, streams, tools, Responses and embeddings."""

import asyncio
import os
from typing import Any

import litellm
from program import WEATHER_SCHEMA, ask, play, weather

OPENAI = {"api_base": os.environ["OPENAI_BASE_URL"]}
CLAUDE = {"api_base": os.environ["ANTHROPIC_BASE_URL"]}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather now.", "parameters": WEATHER_SCHEMA},
}


def _told(reply: Any) -> Any:
    """Without the clock and the ids that LiteLLM puts in."""
    told = reply.model_dump(mode="json")
    return {key: value for key, value in told.items() if key not in ("id", "created", "created_at")}


def _request(scene: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": ask(scene)}], "num_retries": 0, "max_retries": 0}


def claude() -> Any:
    return _told(litellm.completion("anthropic/claude-sonnet-4-5", **CLAUDE, **_request("claude")))


def claude_stream() -> Any:
    chunks = litellm.completion("anthropic/claude-sonnet-4-5", stream=True, **CLAUDE, **_request("claude_stream"))
    return [_told(chunk) for chunk in chunks]


def claude_tools() -> Any:
    return _loop("anthropic/claude-sonnet-4-5", "tools", **CLAUDE)


def gpt() -> Any:
    return _told(litellm.completion("openai/gpt-4.1", **OPENAI, **_request("gpt")))


def gpt_stream() -> Any:
    chunks = litellm.completion("openai/gpt-4.1", stream=True, **OPENAI, **_request("gpt_stream"))
    return [_told(chunk) for chunk in chunks]


def gpt_asynchronous() -> Any:
    return _told(asyncio.run(litellm.acompletion("openai/gpt-4.1", **OPENAI, **_request("gpt_asynchronous"))))


def gpt_tools() -> Any:
    return _loop("openai/gpt-4.1", "chat_tools", **OPENAI)


def _loop(model: str, scene: str, **more: Any) -> Any:
    request = {**_request(scene), **more, "tools": [TOOL]}
    turns: list[Any] = []
    while True:
        reply = litellm.completion(model, **request)
        turns.append(_told(reply))
        message = reply.choices[0].message
        if not message.tool_calls:
            return turns
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": weather(call.function.arguments)}
            for call in message.tool_calls
        ]
        request["messages"] = [*request["messages"], message.model_dump(), *results]


def responses() -> Any:
    return _told(litellm.responses(model="openai/gpt-4.1", input=ask("responses"), **OPENAI))


def embeddings() -> Any:
    return _told(litellm.embedding("openai/text-embedding-3-small", input=[ask("embeddings")], **OPENAI))


def bad_request() -> Any:
    return litellm.completion("openai/gpt-4.1", **OPENAI, **_request("bad_request"))


SCENES = (
    claude,
    claude_stream,
    claude_tools,
    gpt,
    gpt_stream,
    gpt_asynchronous,
    gpt_tools,
    responses,
    embeddings,
    bad_request,
)

if __name__ == "__main__":
    play(SCENES)
