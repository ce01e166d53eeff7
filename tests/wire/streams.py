"""Turns said in words, written as each provider streams them, and driven through a gate."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from corpus_words import sse

from gateway.wire.blocks import Judgement, Window
from gateway.wire.dialects import dialects
from gateway.wire.edits import Replacement, Uneditable
from gateway.wire.enforcing import enforcing
from gateway.wire.gate import Ending, Fed, Needs, StreamGate, Substituted
from gateway.wire.interface import Reply

DIALECTS = dialects()
NAMES = ("anthropic", "chat", "responses")
WATCHED = Needs(text=Window(16), reasoning=Window(16), tool_call="whole", server_side="whole")
NOTICE = "[notice]"
Block = tuple[str, ...]
"""("text", piece, ...), ("thinking", piece, ...) or ("call", id, tool, piece of arguments, ...)"""


class Reaching(NamedTuple):
    """Ranges of a piece, and bytes before it that go with them."""

    ranges: Sequence[Replacement]
    reach: int


Decide = Callable[[Judgement], "Ending | Reaching | Iterable[Replacement] | None"]


def streamed(name: str, blocks: Sequence[Block], **facts: Any) -> bytes:
    return sse(name, list({"anthropic": messages, "chat": chunks, "responses": responses}[name](blocks, **facts)))


def messages(blocks: Sequence[Block], *, number: int = 1, tokens: int = 10) -> Iterator[Any]:
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude", "content": []}
    usage = {"input_tokens": 100 * number, "output_tokens": 1, "cache_read_input_tokens": 5}
    yield {
        "type": "message_start",
        "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage},
    }
    for index, (kind, *pieces) in enumerate(blocks):
        at = {"type": "content_block_delta", "index": index}
        if kind == "call":
            start = {"type": "tool_use", "id": pieces[0], "name": pieces[1], "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces[2:])]
        elif kind == "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
            deltas.append({"type": "signature_delta", "signature": "EqQB"})
        else:
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {**at, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = "tool_use" if any(kind == "call" for kind, *_ in blocks) else "end_turn"
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": {"output_tokens": tokens},
    }
    yield {"type": "message_stop"}


def chunks(blocks: Sequence[Block], *, number: int = 1, tokens: int = 10, index: int = 0) -> Iterator[Any]:
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": number, "model": "gpt"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    calls = -1
    for kind, *pieces in blocks:
        if kind == "call":
            calls += 1
            function = {"name": pieces[1], "arguments": ""}
            yield chunk({"tool_calls": [{"index": calls, "id": pieces[0], "type": "function", "function": function}]})
            for piece in pieces[2:]:
                yield chunk({"tool_calls": [{"index": calls, "function": {"arguments": piece}}]})
        else:
            key = "reasoning_content" if kind == "thinking" else "content"
            for piece in pieces:
                yield chunk({key: piece})
    yield chunk({}, "tool_calls" if calls >= 0 else "stop")
    usage = {"prompt_tokens": 100 * number, "completion_tokens": tokens, "total_tokens": 100 * number + tokens}
    yield {**head, "choices": [], "usage": usage}
    yield "[DONE]"


def responses(blocks: Sequence[Block], *, number: int = 1, tokens: int = 10) -> Iterator[Any]:
    body = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": number,
        "model": "gpt",
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    events: list[dict[str, Any]] = [{"type": "response.created", "response": body}]
    events.append({"type": "response.in_progress", "response": body})
    output: list[Any] = []
    for index, (kind, *pieces) in enumerate(blocks):
        item, inner = item_events(kind, pieces, f"{number}_{index}", index)
        output.append(item)
        events += inner
    usage = {"input_tokens": 100 * number, "output_tokens": tokens, "total_tokens": 100 * number + tokens}
    events.append(
        {"type": "response.completed", "response": {**body, "status": "completed", "output": output, "usage": usage}}
    )
    for sequence, event in enumerate(events):
        yield {**event, "sequence_number": sequence}


def item_events(kind: str, pieces: Sequence[str], name: str, index: int) -> tuple[Any, list[dict[str, Any]]]:
    if kind == "call":
        item = {"type": "function_call", "id": f"fc_{name}", "call_id": pieces[0], "name": pieces[1]}
        whole = {**item, "arguments": "".join(pieces[2:]), "status": "completed"}
        at = {"output_index": index, "item_id": item["id"]}
        deltas = [{"type": "response.function_call_arguments.delta", **at, "delta": piece} for piece in pieces[2:]]
        done = {"type": "response.function_call_arguments.done", **at, "arguments": whole["arguments"]}
        inner = [*deltas, done]
        begun = {**item, "arguments": "", "status": "in_progress"}
    else:
        thinking = kind == "thinking"
        item = {"type": "reasoning", "id": f"rs_{name}"} if thinking else {"type": "message", "id": f"msg_{name}"}
        item = item if thinking else {**item, "role": "assistant"}
        said = "".join(pieces)
        shape: Any = {"type": "summary_text"} if thinking else {"type": "output_text", "annotations": []}
        place = {"summary_index" if thinking else "content_index": 0}
        at = {"output_index": index, "item_id": item["id"], **place}
        stem = "response.reasoning_summary_text" if thinking else "response.output_text"
        part = "response.reasoning_summary_part" if thinking else "response.content_part"
        logs = {} if thinking else {"logprobs": []}
        inner = [{"type": f"{part}.added", **at, "part": {**shape, "text": ""}}]
        inner += [{"type": f"{stem}.delta", **at, "delta": piece, **logs} for piece in pieces]
        inner += [
            {"type": f"{stem}.done", **at, "text": said, **logs},
            {"type": f"{part}.done", **at, "part": {**shape, "text": said}},
        ]
        field = "summary" if thinking else "content"
        whole = {**item, "status": "completed", field: [{**shape, "text": said}]}
        begun = {**item, "status": "in_progress", field: []}
    added = {"type": "response.output_item.added", "output_index": index, "item": begun}
    done = {"type": "response.output_item.done", "output_index": index, "item": whole}
    return whole, [added, *inner, done]


def cut_at(wire: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(wire)}), len(wire)]
    return [wire[start:end] for start, end in pairwise(edges)]


def by_event(wire: bytes) -> list[bytes]:
    """Each event by itself: what may leave before the next one comes has left."""
    return [event + b"\n\n" for event in wire.split(b"\n\n") if event]


def passed(_: Judgement) -> None:
    """Every piece may pass."""


def rejecting(word: str, ending: Ending, kinds: Collection[str] | None = None) -> Callable[[Judgement], Ending | None]:
    """Decides as a clause on such kinds of steps (on all where none are given) that lets nothing say the word."""

    def decide(judgement: Judgement) -> Ending | None:
        part = judgement.part
        return ending if (kinds is None or part.kind in kinds) and word in f"{part.tool} {part.text}" else None

    return decide


class Driven:
    """A gate fed with pieces, each judgement decided at once."""

    def __init__(self, name: str, needs: Needs = WATCHED) -> None:
        acting = enforcing(getattr(DIALECTS, name))
        assert acting is not None
        self.gate: StreamGate = acting.gate(needs, "01EXCHANGE")
        self.sent: list[bytes] = []
        self.judged: list[Judgement] = []

    def feed(self, pieces: Iterable[bytes], decide: Decide = passed, *, finish: bool = True) -> "Driven":
        for piece in pieces:
            self.take(self.gate.feed(piece), decide)
        if finish:
            self.take(self.gate.finish(), decide)
        return self

    def take(self, fed: Any, decide: Decide) -> None:
        self.sent.append(fed.sent)
        for judgement in fed.asked:
            self.judged.append(judgement)
            said = decide(judgement)
            if isinstance(said, Ending):
                self.take(self.gate.reject(judgement, said), decide)
            elif isinstance(said, Reaching):
                self.take(self._reached(judgement, said), decide)
            else:
                self.take(self.gate.decide(judgement, said or ()), decide)

    def _reached(self, judgement: Judgement, said: Reaching) -> Fed:
        try:
            return self.gate.decide(judgement, said.ranges, reach=said.reach)
        except Uneditable:  # as the gateway does
            return self.gate.reject(judgement, Substituted(NOTICE))

    @property
    def wire(self) -> bytes:
        return b"".join(self.sent)


def read(name: str, wire: bytes) -> Reply:
    reader = getattr(DIALECTS, name).reply_reader("chat", stream=True)
    reader.feed(wire, 1)
    return reader.close(1)


def events(wire: bytes) -> list[Any]:
    found = [block.rpartition(b"data: ")[2] for block in wire.replace(b"\r\n", b"\n").split(b"\n\n") if block.strip()]
    return [None if data == b"[DONE]" else json.loads(data) for data in found]
