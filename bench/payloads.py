"""What the bench sends and what its provider answers: two wire formats, two sizes, two kinds of load.

Sizes are means over a session: `1k` is a two-turn chat, `60k` a 40-turn agent session with tools that grows from
2 to 80 messages. Kinds: `sessions` is the honest load, every session unique and every turn new; `repeat` sends one
body of the same size again and again, which flatters whoever stores content once.

Text is cut from a pool at a random place, so it compresses like prose and no two cuts are equal.
"""

import random
from typing import Any, Literal, TypeAlias

import msgspec

DialectName: TypeAlias = Literal["openai", "anthropic"]
Size: TypeAlias = Literal["1k", "60k"]
Kind: TypeAlias = Literal["sessions", "repeat", "stream"]

MODELS: dict[DialectName, str] = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
PATHS: dict[DialectName, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}

TURNS: dict[Size, int] = {"1k": 2, "60k": 40}
_RESULT_CHARS = 2230  # with about 600 bytes a reply and the tools, 40 messages make 60 KB
_STAMP_DIGITS = 19

_PROSE = (
    "the customer asked for a refund of order and said that its parcel had not arrived we checked what carrier wrote "
    "on Monday then opened file read every line found three failing tests because of timezone in parser patch it run "
    "again all pass now summary sent to account owner who wants an invoice with reference number before end of month"
)
_pool_random = random.Random(20261123)
POOL = " ".join(_pool_random.choices(_PROSE.split(), k=60_000))


def text(rng: random.Random, length: int) -> str:
    """`length` characters of prose that nobody has sent before."""
    start = rng.randrange(len(POOL) - length)
    return f"{rng.getrandbits(48):012x} {POOL[start : start + length - 13]}"


def _tools(dialect: DialectName) -> list[dict[str, Any]]:
    """Eight tools of a coding agent, about 3.5 KB."""
    names = ("read_file", "write_file", "run_tests", "search", "list_files", "send_email", "get_order", "refund")
    rng = random.Random(7)
    tools: list[dict[str, Any]] = []
    for name in names:
        fields = {k: {"type": "string", "description": text(rng, 60)} for k in ("path", "query", "reason")}
        schema = {"type": "object", "properties": fields, "required": ["path"]}
        about = f"{name}: {text(rng, 120)}"
        if dialect == "anthropic":
            tools.append({"name": name, "description": about, "input_schema": schema})
        else:
            tools.append({"type": "function", "function": {"name": name, "description": about, "parameters": schema}})
    return tools


def _head(dialect: DialectName, size: Size, *, stream: bool) -> bytes:
    """The body up to the first message, ready to be joined with messages and `]}`."""
    instructions = text(random.Random(11), 240 if size == "1k" else 900)
    fields: dict[str, Any] = {"model": MODELS[dialect], "max_tokens": 1024}
    if stream:
        fields["stream"] = True
    if size == "60k":
        fields["tools"] = _tools(dialect)
    if dialect == "anthropic":
        fields["system"] = instructions
        return msgspec.json.encode(fields)[:-1] + b',"messages":['
    opening = msgspec.json.encode({"role": "system", "content": instructions})
    return msgspec.json.encode(fields)[:-1] + b',"messages":[' + opening + b","


class Session:
    """One caller's conversation, growing turn by turn; starts over as a new one when it is through."""

    def __init__(self, dialect: DialectName, size: Size, seed: int, first_turn: int = 0) -> None:
        self._dialect: DialectName = dialect
        self._turns = TURNS[size]
        self._small = size == "1k"
        self._head = _head(dialect, size, stream=False)
        self._rng = random.Random(seed)
        self._messages: list[bytes] = []
        self._start()
        for _ in range(first_turn % self._turns):
            self.take(reply(dialect, self._head))

    def _start(self) -> None:
        self._turn = 0
        content = text(self._rng, 420 if self._small else 700)
        self._messages = [msgspec.json.encode({"role": "user", "content": content})]

    def body(self) -> bytes:
        """The next request's body."""
        return self._head + b",".join(self._messages) + b"]}"

    def take(self, answer: bytes) -> None:
        """Put the provider's answer and what comes after it into the history."""
        self._turn += 1
        if self._turn >= self._turns:
            self._start()
            return
        said, call_id = _turn_of(self._dialect, answer)
        self._messages.append(said)
        if call_id is None:
            self._messages.append(msgspec.json.encode({"role": "user", "content": text(self._rng, 160)}))
        else:
            self._messages.append(_result(self._dialect, call_id, text(self._rng, _RESULT_CHARS)))


class Repeat:
    """One body of the session's mean size, again and again."""

    def __init__(self, dialect: DialectName, size: Size, seed: int) -> None:
        session = Session(dialect, size, seed, first_turn=TURNS[size] // 2)
        self._body = session.body()

    def body(self) -> bytes:
        """The same bytes at every call."""
        return self._body

    def take(self, answer: bytes) -> None:
        """A caller that learns nothing."""


class Stream:
    """A unique 1 KB request for a stream of `chunks` events, `pace_ms` apart."""

    def __init__(self, dialect: DialectName, seed: int, chunks: int, pace_ms: float) -> None:
        self._head = _head(dialect, "1k", stream=True)
        self._rng = random.Random(seed)
        self._order = f"chunks={chunks} pace={pace_ms} "

    def body(self) -> bytes:
        """The next request's body; the provider reads its orders from the text."""
        content = self._order + text(self._rng, 560)
        return self._head + msgspec.json.encode({"role": "user", "content": content}) + b"]}"

    def take(self, answer: bytes) -> None:
        """Every stream is a session of its own."""


def _turn_of(dialect: DialectName, answer: bytes) -> tuple[bytes, str | None]:
    """The assistant message a caller resends, and the id of its tool call."""
    got = msgspec.json.decode(answer)
    if dialect == "anthropic":
        calls = [block["id"] for block in got["content"] if block["type"] == "tool_use"]
        return msgspec.json.encode({"role": "assistant", "content": got["content"]}), (calls or [None])[0]
    message = got["choices"][0]["message"]
    calls = [call["id"] for call in message.get("tool_calls") or ()]
    return msgspec.json.encode(message), (calls or [None])[0]


def _result(dialect: DialectName, call_id: str, content: str) -> bytes:
    if dialect == "anthropic":
        block = {"type": "tool_result", "tool_use_id": call_id, "content": content}
        return msgspec.json.encode({"role": "user", "content": [block]})
    return msgspec.json.encode({"role": "tool", "tool_call_id": call_id, "content": content})


# --- what the provider answers -------------------------------------------------------------------------------------

_answers = random.Random()


def reply(dialect: DialectName, body: bytes) -> bytes:
    """A whole answer of about 600 bytes; with a tool call where the request brought tools."""
    mark = f"{_answers.getrandbits(96):024x}"
    template = _REPLIES[dialect, b'"tools"' in body]
    return template.replace(b"MARKMARKMARKMARKMARKMARK", mark.encode())


def _anthropic_reply(*, call: bool) -> bytes:
    mark = "MARKMARKMARKMARKMARKMARK"
    content: list[dict[str, Any]] = [{"type": "text", "text": f"{mark} {POOL[: 90 if call else 340]}"}]
    if call:
        given = {"path": f"src/{mark}.py", "query": POOL[200:300], "reason": "needed"}
        content.append({"type": "tool_use", "id": f"toolu_{mark}", "name": "read_file", "input": given})
    usage = {"input_tokens": 512, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 90}
    return msgspec.json.encode(
        {
            "id": f"msg_{mark}",
            "type": "message",
            "role": "assistant",
            "model": MODELS["anthropic"],
            "content": content,
            "stop_reason": "tool_use" if call else "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
    )


def _openai_reply(*, call: bool) -> bytes:
    mark = "MARKMARKMARKMARKMARKMARK"
    message: dict[str, Any] = {"role": "assistant", "content": f"{mark} {POOL[: 60 if call else 300]}", "refusal": None}
    if call:
        given = msgspec.json.encode({"path": f"src/{mark}.py", "query": POOL[200:280], "reason": "needed"}).decode()
        called = {"name": "read_file", "arguments": given}
        message["tool_calls"] = [{"id": f"call_{mark}", "type": "function", "function": called}]
    finish = "tool_calls" if call else "stop"
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{mark}",
            "object": "chat.completion",
            "created": 1795000000,
            "model": MODELS["openai"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": {"prompt_tokens": 512, "completion_tokens": 90, "total_tokens": 602},
            "system_fingerprint": "fp_bench",
        }
    )


_REPLIES: dict[tuple[DialectName, bool], bytes] = {
    ("anthropic", False): _anthropic_reply(call=False),
    ("anthropic", True): _anthropic_reply(call=True),
    ("openai", False): _openai_reply(call=False),
    ("openai", True): _openai_reply(call=True),
}


class Events:
    """The writes of one stream: `first + delta`, then deltas, then `delta + last`; each delta carries its send time."""

    def __init__(self, dialect: DialectName) -> None:
        self.first, self._before, self._after, self.last = _EVENTS[dialect]

    def delta(self, at_ns: int) -> bytes:
        """One event whose text holds `at_ns`, CLOCK_MONOTONIC nanoseconds, between two @@."""
        return b"%s@@%0*d@@ token%s" % (self._before, _STAMP_DIGITS, at_ns, self._after)


def _event(name: str | None, data: dict[str, Any]) -> bytes:
    line = f"event: {name}\n".encode() if name else b""
    return line + b"data: " + msgspec.json.encode(data) + b"\n\n"


def _anthropic_events() -> tuple[bytes, bytes, bytes, bytes]:
    message = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": MODELS["anthropic"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 200, "output_tokens": 1},
    }
    first = _event("message_start", {"type": "message_start", "message": message})
    block = {"type": "text", "text": ""}
    first += _event("content_block_start", {"type": "content_block_start", "index": 0, "content_block": block})
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "HERE"}}
    before, after = _event("content_block_delta", delta).split(b"HERE")
    last = _event("content_block_stop", {"type": "content_block_stop", "index": 0})
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    last += _event("message_delta", {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 50}})
    last += _event("message_stop", {"type": "message_stop"})
    return first, before, after, last


def _openai_events() -> tuple[bytes, bytes, bytes, bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        top = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1795000000}
        return _event(None, {**top, "model": MODELS["openai"], "choices": [choice]})

    first = chunk({"role": "assistant", "content": ""})
    before, after = chunk({"content": "HERE"}).split(b"HERE")
    return first, before, after, chunk({}, "stop") + b"data: [DONE]\n\n"


_EVENTS: dict[DialectName, tuple[bytes, bytes, bytes, bytes]] = {
    "anthropic": _anthropic_events(),
    "openai": _openai_events(),
}
END_OF_STREAM: dict[DialectName, bytes] = {"anthropic": b"message_stop", "openai": b"[DONE]"}


def dialect_of(path: bytes) -> DialectName:
    """Which wire format a request path speaks."""
    return "anthropic" if b"/messages" in path else "openai"


def orders(body: bytes) -> tuple[int, float] | None:
    """(chunks, pace in seconds) where the request asks for a stream, else None."""
    if b'"stream":true' not in body and b'"stream": true' not in body:
        return None
    chunks = int(_word_after(body, b"chunks=") or 50)
    pace = float(_word_after(body, b"pace=") or 0)
    return chunks, pace / 1e3


def _word_after(body: bytes, key: bytes) -> bytes:
    at = body.rfind(key)
    return body[at + len(key) : body.find(b" ", at)] if at >= 0 else b""
