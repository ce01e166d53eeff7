"""Exchanges shaped like the providers' documentation: what is read of them, in words, however they arrive."""

import json
from itertools import pairwise
from typing import Any

import pytest
from corpus_words import exchanges, facts, sse, words
from hypothesis import given
from hypothesis import strategies as st
from streams import by_event

from gateway.wire.dialects import dialects
from gateway.wire.fingerprint import fingerprint, fingerprints
from gateway.wire.interface import Dialect, Reply

EXCHANGES = exchanges()
DIALECTS = dialects()
EVERY = pytest.mark.parametrize("name", EXCHANGES)
BODY_STYLES: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"indent": 2, "ensure_ascii": False}]


def dialect(name: str) -> Dialect:
    return getattr(DIALECTS, EXCHANGES[name]["dialect"])


def read_json(name: str) -> Reply:
    reader = dialect(name).reply_reader("chat", stream=False)
    reader.feed(json.dumps(EXCHANGES[name]["reply"]).encode(), 1)
    return reader.close(2)


def stream(name: str) -> bytes:
    return sse(EXCHANGES[name]["dialect"], EXCHANGES[name]["events"])


def read_stream(name: str, pieces: list[bytes]) -> Reply:
    reader = dialect(name).reply_reader("chat", stream=True)
    closed = [part for piece in pieces for part in reader.feed(piece, 5)]
    reply = reader.close(5)
    assert reply.parts[: len(closed)] == tuple(closed)
    assert reader.close(6) is reply
    return reply


@EVERY
@pytest.mark.parametrize("style", BODY_STYLES)
def test_a_request_is_read_as_the_corpus_says(name: str, style: dict[str, Any]) -> None:
    request, expected = EXCHANGES[name]["request"], EXCHANGES[name]["expect"]
    body = json.dumps(request, **style).encode()
    view = dialect(name).read_request(body, "chat")
    assert [message.voice for message in view.messages] == expected["voices"]
    pieces = [part for cut in range(len(view.cuts)) for part in dialect(name).parts(body, view, cut)]
    assert [words(part) for part in pieces] == expected["request"]
    assert view.model == request["model"]


@EVERY
@pytest.mark.parametrize("style", BODY_STYLES)
def test_cuts_are_the_exact_bytes_of_each_piece(name: str, style: dict[str, Any]) -> None:
    request = EXCHANGES[name]["request"]
    body = json.dumps(request, **style).encode()
    view = dialect(name).read_request(body, "chat")
    held = [json.loads(body[start:end]) for start, end, _ in view.cuts]
    messages = request.get("messages", request.get("input"))
    messages = [messages] if isinstance(messages, str) else messages
    assert [held[message.cut] for message in view.messages] == messages
    assert [view.cuts[message.cut][2] for message in view.messages] == [True] * len(messages)
    keys = {"instructions": ("system", "instructions", "prompt"), "tool_definitions": ("tools", "functions")}
    for kind, cut in view.lead_cuts:
        assert held[cut] in [request[key] for key in keys[kind] if key in request]
        assert not view.cuts[cut][2]
    assert all(before[1] <= after[0] for before, after in pairwise(view.cuts))


@EVERY
def test_a_json_reply_is_read_as_the_corpus_says(name: str) -> None:
    reply, expected = read_json(name), EXCHANGES[name]["expect"]
    assert [words(part) for part in reply.parts] == expected["reply"]
    assert facts(reply) == expected["facts"]


@EVERY
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_a_streamed_reply_is_read_as_the_corpus_says(name: str, newline: bytes) -> None:
    reply, expected = read_stream(name, [stream(name).replace(b"\n", newline)]), EXCHANGES[name]["expect"]
    assert [words(part) for part in reply.parts] == expected.get("stream_reply", expected["reply"])
    assert facts(reply) == expected.get("stream_facts", expected["facts"])


@EVERY
def test_one_cut_anywhere_changes_nothing(name: str) -> None:
    wire = stream(name)
    whole = read_stream(name, [wire])
    for at in range(0, len(wire), 1 + len(wire) // 150):
        assert read_stream(name, [wire[:at], wire[at:]]) == whole


@EVERY
def test_one_byte_at_a_time_changes_nothing(name: str) -> None:
    wire = stream(name)
    assert read_stream(name, [wire[at : at + 1] for at in range(len(wire))]) == read_stream(name, [wire])


@given(st.sampled_from(sorted(EXCHANGES)), st.lists(st.integers(0, 20_000), max_size=20))
def test_cuts_anywhere_change_nothing(name: str, cuts: list[int]) -> None:
    wire = stream(name)
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    assert read_stream(name, [wire[start:end] for start, end in pairwise(edges)]) == read_stream(name, [wire])


@pytest.mark.parametrize("name", [name for name in EXCHANGES if "history" in EXCHANGES[name]])
def test_a_turn_has_one_fingerprint_as_json_as_stream_and_as_history(name: str) -> None:
    history = [
        part
        for item in EXCHANGES[name]["history"]
        for part in dialect(name).parts_of(json.dumps(item).encode(), "message")
    ]
    replies = (read_json(name), read_stream(name, [stream(name)]))
    assert all(fingerprint(history) in fingerprints(reply.parts) for reply in replies)


@EVERY
def test_a_stream_is_complete_only_with_its_last_event(name: str) -> None:
    reader = dialect(name).reply_reader("chat", stream=True)
    events = by_event(stream(name))
    if events[-1] == b"data: [DONE]\n\n":  # a chat stream has ended where every choice has
        events = events[:-3] if b'"choices": []' in events[-2] else events[:-2]
        events.append(b"")
    for event in events[:-1]:
        reader.feed(event, 1)
        assert not reader.complete
    reply = reader.close(2)
    assert not reply.complete
    assert reply.usage.estimated or EXCHANGES[name]["dialect"] == "anthropic"


@EVERY
def test_times_of_a_streamed_reply_follow_its_events(name: str) -> None:
    reader = dialect(name).reply_reader("chat", stream=True)
    events = by_event(stream(name))
    for at, event in enumerate(events):
        reader.feed(event, 1000 + at)
    reply = reader.close(1000 + len(events))
    assert reply.first_token_ns is not None
    for part in reply.parts:
        assert part.started_ns is not None
        assert part.ended_ns is not None
        assert 1000 <= part.started_ns <= part.ended_ns <= 1000 + len(events)
