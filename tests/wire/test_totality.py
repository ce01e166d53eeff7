"""Any bytes at all: a view or `Undecodable`, a reply, parts, an ending; never another error."""

import json
from typing import Any

import pytest
from corpus_words import exchanges, sse
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_json import mutated

from gateway.wire.dialects import dialects
from gateway.wire.fingerprint import fingerprint, fingerprints, offered
from gateway.wire.interface import Dialect, Undecodable

DIALECTS = dialects()
SPEAKING = (DIALECTS.anthropic, DIALECTS.chat, DIALECTS.responses)
EXCHANGES = list(exchanges().values())
NAMES = sorted(
    {
        word
        for exchange in EXCHANGES
        for word in json.dumps(exchange).split('"')
        if 2 < len(word) < 40 and word.isascii()
    }
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(NAMES)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)
speaking = st.sampled_from(SPEAKING)


def read(dialect: Dialect, body: bytes) -> None:
    try:
        view = dialect.read_request(body, "chat")
    except Undecodable:
        return
    pieces = [*(cut for _, cut in view.lead_cuts), *(message.cut for message in view.messages)]
    parts = [part for cut in pieces for part in dialect.parts(body, view, cut)]
    assert len(fingerprint(parts)) == 16
    offered(parts)
    for start, end, _ in view.cuts:
        assert 0 <= start < end <= len(body)


def answered(dialect: Dialect, wire: bytes, *, stream: bool) -> None:
    reader = dialect.reply_reader("chat", stream=stream)
    reader.feed(wire[:50], 1)
    reader.feed(wire[50:], 2)
    ending = reader.terminal_error("m", "x")
    assert stream or ending == b""
    reply = reader.close(3)
    assert reader.close(4) is reply
    assert reply.complete == reader.complete
    assert {len(found) for found in fingerprints(reply.parts)} <= {16}
    assert bool(fingerprints(reply.parts)) == bool(reply.parts)


@given(speaking, st.binary())
def test_any_bytes(dialect: Dialect, data: bytes) -> None:
    read(dialect, data)
    answered(dialect, data, stream=True)
    answered(dialect, data, stream=False)
    for kind in ("message", "instructions", "tool_definitions"):
        dialect.parts_of(data, kind)


@given(speaking, values)
def test_any_json(dialect: Dialect, value: Any) -> None:
    body = json.dumps(value).encode()
    read(dialect, body)
    answered(dialect, body, stream=False)
    answered(dialect, b"data: " + body + b"\n\n", stream=True)
    for kind in ("message", "instructions", "tool_definitions"):
        dialect.parts_of(body, kind)


@settings(max_examples=300)
@given(st.sampled_from(EXCHANGES), st.integers(1, 120), values)
def test_real_exchanges_with_one_piece_replaced(exchange: Any, at: int, swap: Any) -> None:
    dialect = getattr(DIALECTS, exchange["dialect"])
    read(dialect, json.dumps(mutated(exchange["request"], swap, [at])).encode())
    answered(dialect, json.dumps(mutated(exchange["reply"], swap, [at])).encode(), stream=False)
    events = mutated(exchange["events"], swap, [at + 1])
    named = (
        [
            event if isinstance(event, str) or (isinstance(event, dict) and "type" in event) else {"type": "x"}
            for event in events
        ]
        if isinstance(events, list)
        else []
    )
    chat = exchange["dialect"] == "chat"
    answered(dialect, sse("chat", events if chat and isinstance(events, list) else named), stream=True)


@given(st.sampled_from(EXCHANGES), st.integers(0, 20_000), st.binary(max_size=6))
def test_real_exchanges_with_a_few_bytes_replaced(exchange: Any, at: int, noise: bytes) -> None:
    dialect = getattr(DIALECTS, exchange["dialect"])
    for wire, stream in (
        (json.dumps(exchange["reply"]).encode(), False),
        (sse(exchange["dialect"], exchange["events"]), True),
    ):
        where = at % len(wire)
        answered(dialect, wire[:where] + noise + wire[where + len(noise) :], stream=stream)
    body = json.dumps(exchange["request"]).encode()
    where = at % len(body)
    read(dialect, body[:where] + noise + body[where + len(noise) :])


@pytest.mark.parametrize("depth", [100, 400, 900, 1100, 50_000])
@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_nesting_of_any_depth(dialect: Dialect, depth: int) -> None:
    nested = '{"type":"tool_result","content":[' * depth + '{"type":"text","text":"x"}' + "]}" * depth
    message = '{"role":"user","content":[' + nested + "]}"
    key = "input" if dialect is DIALECTS.responses else "messages"
    read(dialect, ('{"' + key + '":[' + message + "]}").encode())
    dialect.parts_of(message.encode(), "message")
    arguments = '{"a":' * depth + "1" + "}" * depth
    reply = {"content": [{"type": "tool_use", "id": "t", "name": "n"}], "output": []}
    answered(dialect, json.dumps(reply).replace('"n"', '"n","input":' + arguments).encode(), stream=False)
