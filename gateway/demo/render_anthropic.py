"""A turn as the Anthropic Messages API sends it."""

from typing import Any

import msgspec

from gateway.demo.turns import Setting, Turn, fragments

Json = dict[str, Any]

_STOPS = {"end": "end_turn", "tool": "tool_use", "length": "max_tokens", "refusal": "refusal"}


def _usage(turn: Turn) -> Json:
    spent = turn.spent
    return {
        "input_tokens": spent.input_tokens - spent.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": spent.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": spent.output_tokens,
        "service_tier": "standard",
    }


def blocks(turn: Turn) -> list[Json]:
    """The content blocks of a turn, thinking first as the API demands."""
    found: list[Json] = []
    if turn.reasoning or turn.signature:
        found.append({"type": "thinking", "thinking": turn.reasoning, "signature": turn.signature})
    if turn.text:
        found.append({"type": "text", "text": turn.text})
    for call in turn.calls:
        arguments = msgspec.json.decode(call.arguments or "{}")
        found.append({"type": "tool_use", "id": call.call_id, "name": call.tool, "input": arguments})
    return found


def document(turn: Turn, setting: Setting) -> Json:
    """The whole reply as one JSON document."""
    return {
        "id": f"msg_{turn.reply_id}",
        "type": "message",
        "role": "assistant",
        "model": setting.model,
        "content": blocks(turn),
        "stop_reason": _STOPS[turn.ending],
        "stop_sequence": None,
        "usage": _usage(turn),
    }


def event(kind: str, **fields: Any) -> bytes:
    """One server-sent event, named after its type."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def _block_events(index: int, block: Json, arguments: str, size: int) -> list[bytes]:
    def delta(kind: str, field: str, value: str) -> bytes:
        return event("content_block_delta", index=index, delta={"type": kind, field: value})

    opened: Json
    if block["type"] == "thinking":
        opened = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [delta("thinking_delta", "thinking", piece) for piece in fragments(block["thinking"], size)]
        deltas.append(delta("signature_delta", "signature", block["signature"]))
    elif block["type"] == "text":
        opened = {"type": "text", "text": ""}
        deltas = [delta("text_delta", "text", piece) for piece in fragments(block["text"], size)]
    else:
        opened = {**block, "input": {}}
        deltas = [delta("input_json_delta", "partial_json", piece) for piece in ["", *fragments(arguments, size)]]
    return [
        event("content_block_start", index=index, content_block=opened),
        *deltas,
        event("content_block_stop", index=index),
    ]


def stream(turn: Turn, setting: Setting) -> list[bytes]:
    """The whole reply as server-sent events, in the documented order, a ping after the first block opens."""
    whole = document(turn, setting)
    begun: Json = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 1}}
    events = [event("message_start", message=begun)]
    arguments = {call.call_id: call.arguments for call in turn.calls}
    for index, block in enumerate(whole["content"]):
        found = _block_events(index, block, arguments.get(block.get("id"), ""), setting.fragment)
        if index == 0 and setting.pings:
            found.insert(1, event("ping"))
        events += found
    usage = {key: value for key, value in whole["usage"].items() if key.endswith("_tokens")}
    events.append(
        event("message_delta", delta={"stop_reason": whole["stop_reason"], "stop_sequence": None}, usage=usage)
    )
    events.append(event("message_stop"))
    return events


def error(kind: str, message: str) -> Json:
    """The error envelope."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_demo"}


def error_event(kind: str, message: str) -> bytes:
    """An error inside a stream, after status 200."""
    return event("error", error={"type": kind, "message": message}, request_id="req_demo")
