"""What the providers' own SDKs accumulate from a stream, as plain values."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2
import openai

Accumulate = Callable[[bytes], dict[str, Any]]


class Provider:
    """What the SDKs' transport answers; clients are slow to build, so each is built once."""

    wire = b""
    media_type = "text/event-stream"

    def answer(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": self.media_type}, content=self.wire)


@contextmanager
def accumulators() -> Iterator[tuple[dict[str, Accumulate], dict[str, Accumulate]]]:
    """By wire: what the SDK makes of a stream, and of a JSON document."""
    provider = Provider()
    with (
        httpx2.Client(transport=httpx2.MockTransport(provider.answer)) as http,
        anthropic.Anthropic(api_key="k", base_url="http://p", http_client=http, max_retries=0) as messages,
        openai.OpenAI(api_key="k", base_url="http://p/v1", http_client=http, max_retries=0) as other,
    ):
        hello: Any = [{"role": "user", "content": "hi"}]

        def said(made: Any) -> dict[str, Any]:
            value: dict[str, Any] = json.loads(made.to_json())
            return value

        def stream_messages(wire: bytes) -> dict[str, Any]:
            provider.wire, provider.media_type = wire, "text/event-stream"
            with messages.messages.stream(model="claude", max_tokens=9, messages=hello) as stream:
                return said(stream.get_final_message())

        def stream_chat(wire: bytes) -> dict[str, Any]:
            provider.wire, provider.media_type = wire, "text/event-stream"
            with other.chat.completions.stream(model="g", messages=hello) as stream:
                for _ in stream:
                    pass
                return said(stream.current_completion_snapshot)

        def stream_responses(wire: bytes) -> dict[str, Any]:
            provider.wire, provider.media_type = wire, "text/event-stream"
            last: Any = None
            with other.responses.stream(model="g", input="hi") as stream:
                for event in stream:
                    last = event
            return said(last.response)

        def json_messages(wire: bytes) -> dict[str, Any]:
            provider.wire, provider.media_type = wire, "application/json"
            return said(messages.messages.create(model="claude", max_tokens=9, messages=hello))

        def json_chat(wire: bytes) -> dict[str, Any]:
            provider.wire, provider.media_type = wire, "application/json"
            return said(other.chat.completions.create(model="g", messages=hello))

        def json_responses(wire: bytes) -> dict[str, Any]:
            provider.wire, provider.media_type = wire, "application/json"
            return said(other.responses.create(model="g", input="hi"))

        yield (
            {"anthropic": stream_messages, "chat": stream_chat, "responses": stream_responses},
            {"anthropic": json_messages, "chat": json_chat, "responses": json_responses},
        )


def texts(name: str, value: dict[str, Any]) -> list[str]:
    """The texts of a reply, in order."""
    if name == "anthropic":
        return [block["text"] for block in value["content"] if block["type"] == "text"]
    if name == "chat":
        return [choice["message"].get("content") or "" for choice in value["choices"]]
    return [piece["text"] for item in value["output"] if item["type"] == "message" for piece in item["content"]]


def calls(name: str, value: dict[str, Any]) -> list[str]:
    """The names of the tools a reply calls."""
    if name == "anthropic":
        return [block["name"] for block in value["content"] if block["type"] == "tool_use"]
    if name == "chat":
        found = [call for choice in value["choices"] for call in choice["message"].get("tool_calls") or ()]
        return [call["function"]["name"] for call in found]
    return [item["name"] for item in value["output"] if item["type"] == "function_call"]


def ending(name: str, value: dict[str, Any]) -> str:
    """Why it ended, in the wire's word."""
    if name == "anthropic":
        return str(value["stop_reason"])
    return str(value["choices"][0]["finish_reason"] if name == "chat" else value["status"])


def billed(name: str, value: dict[str, Any]) -> tuple[int, int]:
    """Input and output tokens."""
    usage = value["usage"]
    return (
        (usage["prompt_tokens"], usage["completion_tokens"])
        if name == "chat"
        else (usage["input_tokens"], usage["output_tokens"])
    )
