"""A turn as the OpenAI Responses API sends it."""

from typing import Any

import msgspec

from gateway.demo.turns import Call, Setting, Turn, fragments

Json = dict[str, Any]


def _usage(turn: Turn) -> Json:
    spent = turn.spent
    return {
        "input_tokens": spent.input_tokens,
        "input_tokens_details": {"cached_tokens": spent.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": spent.output_tokens,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning_tokens},
        "total_tokens": spent.input_tokens + spent.output_tokens,
    }


def _reasoning(turn: Turn) -> Json:
    summary = [{"type": "summary_text", "text": turn.reasoning}] if turn.reasoning else []
    item: Json = {"id": f"rs_{turn.reply_id}", "type": "reasoning", "summary": summary}
    return item | ({"encrypted_content": turn.signature} if turn.signature else {})


def _message(turn: Turn) -> Json:
    part: Json = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{turn.reply_id}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _call(turn: Turn, index: int, call: Call) -> Json:
    return {
        "id": f"fc_{turn.reply_id}{index}",
        "type": "function_call",
        "status": "completed",
        "arguments": call.arguments,
        "call_id": call.call_id,
        "name": call.tool,
    }


def items(turn: Turn) -> list[Json]:
    """The output items of a turn in order."""
    found = [_reasoning(turn)] if turn.reasoning or turn.signature else []
    found += [_message(turn)] if turn.text else []
    return found + [_call(turn, index, call) for index, call in enumerate(turn.calls)]


def document(turn: Turn, setting: Setting) -> Json:
    """The whole reply as one JSON document."""
    incomplete = {"length": "max_output_tokens", "refusal": "content_filter"}.get(turn.ending)
    return {
        "id": f"resp_{turn.reply_id}",
        "object": "response",
        "created_at": setting.created,
        "status": "incomplete" if incomplete else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": None,
        "max_output_tokens": None,
        "model": setting.model,
        "output": items(turn),
        "parallel_tool_calls": True,
        "previous_response_id": setting.previous_response_id,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _usage(turn),
        "user": None,
        "metadata": {},
    }


class _Sequence:
    """Numbers events as they are made."""

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def add(self, kind: str, **fields: Any) -> None:
        value = {"type": kind, "sequence_number": len(self.events), **fields}
        self.events.append(b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(value)))


def _message_events(out: _Sequence, index: int, item: Json, size: int) -> None:
    part = item["content"][0]
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    out.add("response.content_part.added", **place, part=part | {"text": ""})
    for piece in fragments(part["text"], size):
        out.add("response.output_text.delta", **place, delta=piece, logprobs=[])
    out.add("response.output_text.done", **place, text=part["text"], logprobs=[])
    out.add("response.content_part.done", **place, part=part)


def _reasoning_events(out: _Sequence, index: int, item: Json, size: int) -> None:
    for summary_index, part in enumerate(item["summary"]):
        place = {"item_id": item["id"], "output_index": index, "summary_index": summary_index}
        out.add("response.reasoning_summary_part.added", **place, part=part | {"text": ""})
        for piece in fragments(part["text"], size):
            out.add("response.reasoning_summary_text.delta", **place, delta=piece)
        out.add("response.reasoning_summary_text.done", **place, text=part["text"])
        out.add("response.reasoning_summary_part.done", **place, part=part)


def _call_events(out: _Sequence, index: int, item: Json, size: int) -> None:
    place = {"item_id": item["id"], "output_index": index}
    for piece in fragments(item["arguments"], size):
        out.add("response.function_call_arguments.delta", **place, delta=piece)
    out.add("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])


_EVENTS = {"message": _message_events, "reasoning": _reasoning_events, "function_call": _call_events}
_OPENED: dict[str, Json] = {
    "message": {"status": "in_progress", "content": []},
    "reasoning": {"summary": []},
    "function_call": {"status": "in_progress", "arguments": ""},
}


def stream(turn: Turn, setting: Setting) -> list[bytes]:
    """The whole reply as server-sent events with a dense `sequence_number`."""
    whole = document(turn, setting)
    begun: Json = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    out = _Sequence()
    out.add("response.created", response=begun)
    out.add("response.in_progress", response=begun)
    for index, item in enumerate(whole["output"]):
        out.add("response.output_item.added", output_index=index, item=item | _OPENED[item["type"]])
        _EVENTS[item["type"]](out, index, item, setting.fragment)
        out.add("response.output_item.done", output_index=index, item=item)
    out.add(f"response.{whole['status']}", response=whole)
    return out.events


def failed_event(sequence_number: int, code: str, message: str, turn: Turn, setting: Setting) -> bytes:
    """`response.failed`: the only mid-stream failure that its SDKs and Codex treat as one."""
    failed: Json = document(turn, setting) | {"status": "failed", "output": [], "usage": None}
    failed["error"] = {"code": code, "message": message}
    value: Json = {"type": "response.failed", "sequence_number": sequence_number, "response": failed}
    return b"event: response.failed\ndata: %s\n\n" % msgspec.json.encode(value)


def error_event(sequence_number: int, code: str, message: str) -> bytes:
    """A bare `error` event, as the API sends one for trouble outside a response."""
    value = {"type": "error", "sequence_number": sequence_number, "code": code, "message": message, "param": None}
    return b"event: error\ndata: %s\n\n" % msgspec.json.encode(value)
