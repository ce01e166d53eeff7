"""A turn as the OpenAI Chat Completions API sends it."""

from typing import Any

import msgspec

from gateway.demo.turns import Call, Setting, Turn, fragments

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
_STOPS = {"end": "stop", "tool": "tool_calls", "length": "length", "refusal": "content_filter"}


def _usage(turn: Turn) -> Json:
    spent = turn.spent
    return {
        "prompt_tokens": spent.input_tokens,
        "completion_tokens": spent.output_tokens,
        "total_tokens": spent.input_tokens + spent.output_tokens,
        "prompt_tokens_details": {"cached_tokens": spent.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": spent.reasoning_tokens, "audio_tokens": 0},
    }


def _call(call: Call, arguments: str) -> Json:
    return {"id": call.call_id, "type": "function", "function": {"name": call.tool, "arguments": arguments}}


def _head(turn: Turn, setting: Setting, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{turn.reply_id}",
        "object": kind,
        "created": setting.created,
        "model": setting.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def document(turn: Turn, setting: Setting) -> Json:
    """The whole reply as one JSON document; reasoning as vendors of open models send it (`reasoning_content`)."""
    message: Json = {"role": "assistant", "content": turn.text or None, "refusal": None, "annotations": []}
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
    if turn.calls:
        message["tool_calls"] = [_call(call, call.arguments) for call in turn.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _STOPS[turn.ending]}
    return _head(turn, setting, "chat.completion") | {"choices": [choice], "usage": _usage(turn)}


def data(value: Json) -> bytes:
    """One server-sent event without a name."""
    return b"data: %s\n\n" % msgspec.json.encode(value)


def _deltas(turn: Turn, size: int) -> list[Json]:
    deltas: list[Json] = [{"role": "assistant", "content": "" if turn.text else None, "refusal": None}]
    deltas += [{"reasoning_content": piece} for piece in fragments(turn.reasoning, size)]
    deltas += [{"content": piece} for piece in fragments(turn.text, size)]
    for index, call in enumerate(turn.calls):
        deltas.append({"tool_calls": [{"index": index, **_call(call, "")}]})
        pieces = fragments(call.arguments, size)
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces]
    return deltas


def stream(turn: Turn, setting: Setting) -> list[bytes]:
    """The whole reply as server-sent events: role first, the finish reason, usage where asked for, `[DONE]`."""
    head = _head(turn, setting, "chat.completion.chunk")
    unspent: Json = {"usage": None} if setting.include_usage else {}

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data(head | {"choices": [choice]} | unspent)

    events = [chunk(delta) for delta in _deltas(turn, setting.fragment)]
    events.append(chunk({}, _STOPS[turn.ending]))
    if setting.include_usage:
        events.append(data(head | {"choices": [], "usage": _usage(turn)}))
    return [*events, DONE]


def error(kind: str, message: str) -> Json:
    """The error envelope."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def error_event(kind: str, message: str) -> bytes:
    """An error inside a stream, after status 200."""
    return data(error(kind, message))
