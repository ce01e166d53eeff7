"""Turns as answers: one neutral turn in any of the three wire formats, whole or as a stream."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.demo import render_anthropic, render_chat, render_responses
from gateway.demo.answers import Answer, Headers, Piece
from gateway.demo.turns import Setting, Turn, WireName

_WIRES = {"anthropic": render_anthropic, "chat": render_chat, "responses": render_responses}

JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


def marks(wire: WireName) -> Headers:
    """The headers by which a provider can be told, and by which its support finds a request again."""
    if wire == "anthropic":
        return (
            (b"request-id", b"req_demo"),
            (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
            (b"anthropic-ratelimit-requests-limit", b"4000"),
            (b"anthropic-ratelimit-requests-remaining", b"3999"),
            (b"anthropic-ratelimit-requests-reset", b"2026-01-01T00:00:00Z"),
        )
    return (
        (b"x-request-id", b"req_demo"),
        (b"openai-processing-ms", b"12"),
        (b"openai-version", b"2020-10-01"),
        (b"x-ratelimit-limit-requests", b"10000"),
        (b"x-ratelimit-remaining-requests", b"9999"),
    )


def document(wire: WireName, turn: Turn, setting: Setting) -> dict[str, Any]:
    """A turn as one JSON document."""
    return _WIRES[wire].document(turn, setting)


def stream(wire: WireName, turn: Turn, setting: Setting) -> list[bytes]:
    """A turn as server-sent events, one element an event, its blank line included."""
    return _WIRES[wire].stream(turn, setting)


def json_answer(value: Any, *, status: int = 200, headers: Headers = ()) -> Answer:
    """Any JSON value as an answer."""
    return Answer(status=status, headers=(*JSON, *headers), body=(msgspec.json.encode(value),))


def stream_answer(events: Sequence[bytes], *, pace: float = 0.0, headers: Headers = ()) -> Answer:
    """Events as an answer: chunked, one write an event, `pace` seconds before each but the first."""
    body = tuple(Piece(event, pace if index else 0.0) for index, event in enumerate(events))
    return Answer(headers=(*SSE, *headers), body=body, transfer="chunked")


def answer(wire: WireName, turn: Turn, setting: Setting, *, streamed: bool, pace: float = 0.0) -> Answer:
    """A turn as an answer with the provider's own headers."""
    if streamed:
        return stream_answer(stream(wire, turn, setting), pace=pace, headers=marks(wire))
    return json_answer(document(wire, turn, setting), headers=marks(wire))


def error(wire: WireName, status: int, kind: str, message: str, *, headers: Headers = ()) -> Answer:
    """An error in the provider's envelope."""
    envelope = (render_anthropic if wire == "anthropic" else render_chat).error(kind, message)
    return json_answer(envelope, status=status, headers=(*marks(wire), *headers))
