"""Microseconds per operation of the wire readers: `python bench/wire_micro.py`.

Prints the best of several rounds; a machine at work shows higher figures. The requests are an agent's session
of 40 messages (about 60 KB) with tool calls and results, and one small question (about 1 KB).
"""

import json
import random
import time
import timeit
from collections.abc import Callable

import msgspec

from gateway.wire.dialects import dialects
from gateway.wire.fingerprint import fingerprint
from gateway.wire.sse import SseDecoder

WORDS = (
    *("the", "agent", "reads", "a", "file", "and", "finds", "def main(argv):", "return", "0", "# error:"),
    *('"missing', 'key"', "in", "line\n\tthen", "tests", "it", "again"),
)


def prose(seed: int, size: int) -> str:
    words = random.Random(seed)
    text = ""
    while len(text) < size:
        text += words.choice(WORDS) + " "
    return text


def anthropic_session(messages: int, size: int) -> bytes:
    turns: list[object] = []
    for at in range(messages // 2):
        call = {"type": "tool_use", "id": f"toolu_{at}", "name": "read", "input": {"path": f"/src/{at}.py"}}
        turns.append(
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": f"toolu_{at - 1}", "content": prose(at, size)}],
            }
        )
        turns.append({"role": "assistant", "content": [{"type": "text", "text": prose(at, size // 8)}, call]})
    tools = [{"name": "read", "description": prose(1, 600), "input_schema": {"type": "object"}}]
    return json.dumps(
        {
            "model": "claude",
            "max_tokens": 4096,
            "system": prose(2, 900),
            "tools": tools,
            "messages": turns,
            "stream": True,
        },
        separators=(",", ":"),
    ).encode()


def chat_session(messages: int, size: int) -> bytes:
    turns: list[object] = [{"role": "system", "content": prose(2, 900)}]
    for at in range(messages // 2):
        function = {"name": "read", "arguments": json.dumps({"path": f"/src/{at}.py"})}
        turns.append(
            {
                "role": "assistant",
                "content": prose(at, size // 8),
                "tool_calls": [{"id": f"c{at}", "type": "function", "function": function}],
            }
        )
        turns.append({"role": "tool", "tool_call_id": f"c{at}", "content": prose(at, size)})
    return json.dumps({"model": "gpt", "messages": turns}, separators=(",", ":")).encode()


def responses_session(messages: int, size: int) -> bytes:
    items: list[object] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": prose(2, 900)}]}
    ]
    for at in range(messages // 2):
        items.append(
            {
                "type": "function_call",
                "call_id": f"c{at}",
                "name": "read",
                "arguments": json.dumps({"path": f"/src/{at}.py"}),
            }
        )
        items.append({"type": "function_call_output", "call_id": f"c{at}", "output": prose(at, size)})
    return json.dumps({"model": "gpt", "instructions": prose(2, 900), "input": items}, separators=(",", ":")).encode()


def stream_chunks(count: int) -> list[bytes]:
    def event(value: dict[str, object]) -> bytes:
        return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()

    start = {"id": "msg_1", "model": "claude", "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}}
    chunks = [
        event({"type": "message_start", "message": start})
        + event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    ]
    chunks += [
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f" token{at}"}})
        for at in range(count)
    ]
    chunks.append(
        event({"type": "content_block_stop", "index": 0})
        + event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": count}})
        + event({"type": "message_stop"})
    )
    return chunks


def show(name: str, act: Callable[[], object], rounds: int = 20, repeat: int = 60) -> None:
    act()
    # CPU time, so that a busy neighbour costs only its share of the caches.
    best = min(timeit.repeat(act, number=rounds, repeat=repeat, timer=time.process_time)) / rounds
    print(f"{name:58} {best * 1e6:9.2f} us")


def main() -> None:
    for name, large, small in (
        ("anthropic", anthropic_session(40, 2600), anthropic_session(2, 100)),
        ("chat", chat_session(40, 2600), chat_session(2, 100)),
        ("responses", responses_session(40, 2900), responses_session(2, 100)),
    ):
        show(
            f"msgspec alone: {name} {len(large) / 1024:.0f} KB to plain values", lambda b=large: msgspec.json.decode(b)
        )
        known = getattr(dialects(), name)
        show(
            f"{name}: read_request {len(large) / 1024:.0f} KB, messages seen before",
            lambda k=known, b=large: k.read_request(b, "chat"),
        )
        fresh = [getattr(dialects(), name) for _ in range(400)]
        show(
            f"{name}: read_request {len(large) / 1024:.0f} KB, nothing seen before",
            lambda f=fresh, b=large: f.pop().read_request(b, "chat"),
            5,
        )
        show(
            f"{name}: read_request {len(small) / 1024:.1f} KB, seen before",
            lambda k=known, b=small: k.read_request(b, "chat"),
            3000,
        )
        fresh = [getattr(dialects(), name) for _ in range(700)]
        show(
            f"{name}: read_request {len(small) / 1024:.1f} KB, not seen before",
            lambda f=fresh, b=small: f.pop().read_request(b, "chat"),
            10,
        )

    chunks = stream_chunks(50)
    anthropic = dialects().anthropic

    def stream() -> object:
        reader = anthropic.reply_reader("chat", stream=True)
        for chunk in chunks:
            reader.feed(chunk, 1)
        return reader.close(2)

    def decode() -> None:
        decoder = SseDecoder()
        for chunk in chunks:
            decoder.feed(chunk)

    show("anthropic: stream of 50 text deltas, read whole", stream)
    show("sse: the same stream, decoded only", decode)
    reader = anthropic.reply_reader("chat", stream=True)
    reader.feed(chunks[0], 1)
    show("anthropic: one small event", lambda: reader.feed(chunks[1], 1), 1000)
    parts = anthropic.parts_of(b'{"role":"assistant","content":[{"type":"text","text":"done"}]}', "message")
    show("fingerprint of a small turn", lambda: fingerprint(parts), 500)


if __name__ == "__main__":
    main()
