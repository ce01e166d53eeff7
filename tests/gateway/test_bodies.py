"""Bodies nobody can read are the provider's to judge; bodies that would harm the gateway are refused in the dialect."""

import gzip
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.demo.answers import Answer
from gateway.demo.scenarios import HEADER, bomb
from tests.fakes.provider import always
from tests.gateway.house import DIALECTS, JSON, Dialect, House
from tests.gateway.rawhttp import chunked, request

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)

TARGETS = [
    *(dialect.target for dialect in DIALECTS),
    b"/anthropic/v1/messages/count_tokens",
    b"/anthropic/v1/messages/batches",
    b"/openai/v1/embeddings",
    b"/openai/v1/batches",
    b"/openai/v1/completions",
]

UNREAD = {
    "no JSON": b"what is this",
    "half a JSON document": b'{"model": "m", "messages": [{"role": "us',
    "two JSON documents": b'{"model": "m"} {"model": "n"}',
    "nothing": b"",
    "white space": b" \r\n\t",
    "a list": b"[1, 2]",
    "a number": b"42",
    "null": b"null",
    "messages as a string": b'{"messages": "hello", "input": 3, "model": ["m"]}',
    "messages as numbers": b'{"messages": [1, null, [], "x"], "input": [1, null, [], "x"]}',
    "the wrong types everywhere": b'{"model": 1, "stream": "yes", "max_tokens": "many", "messages": {}, "tools": 7}',
    "duplicate keys": b'{"model": "a", "model": "b", "messages": [], "messages": [{"role": "user", "content": "x"}]}',
    "a lone surrogate": b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}], "input": "\\udfff"}',
    "NaN": b'{"model": "m", "temperature": NaN, "messages": [], "input": ""}',
    "infinity": b'{"model": "m", "temperature": 1e999, "messages": [], "input": ""}',
    "a huge integer": b'{"model": "m", "max_tokens": ' + b"9" * 400 + b', "messages": [], "input": ""}',
    "invalid UTF-8": b'{"model": "m", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "a byte order mark": b'\xef\xbb\xbf{"model": "m", "messages": []}',
    "UTF-16": '{"model": "m"}'.encode("utf-16"),
    "zero bytes": bytes(1000),
}


@pytest.mark.parametrize("name", UNREAD)
@every_dialect
def test_what_cannot_be_read_is_relayed_to_the_byte_and_recorded(house: House, dialect: Dialect, name: str) -> None:
    house.provider.script = always(Answer(status=400, headers=(JSON,), body=(b'{"error": {"message": "no"}}',)))
    got = house.ask(dialect.call(body=UNREAD[name]))
    assert (got.status, got.body) == (400, b'{"error": {"message": "no"}}')
    assert house.forwarded().body == UNREAD[name]
    assert house.facts(got.exchange)["outcome"] == "complete"
    assert house.kept(got.exchange, "request") == UNREAD[name]


@pytest.mark.parametrize("name", ["no JSON", "invalid UTF-8", "half a JSON document", "NaN", "a list"])
@every_dialect
def test_the_record_says_that_a_body_was_not_understood(house: House, dialect: Dialect, name: str) -> None:
    got = house.ask(dialect.call(body=UNREAD[name]))
    assert "not understood" in house.facts(got.exchange)["note"]


@every_dialect
def test_a_body_beyond_the_cap_is_refused_in_the_dialect(house: House, dialect: Dialect) -> None:
    before = house.reached()
    with house.wire() as wire:
        head = dialect.call(headers=[(b"content-length", b"%d" % (33 << 20))], body=b"")
        got = wire.send(head).response()
    assert got.status == 413
    error = json.loads(got.body)["error"]
    assert "33554432" in error["message"]
    assert got.all(b"x-should-retry") == [b"false"]
    assert house.reached() == before
    assert house.facts(got.exchange)["outcome"] == "refused"


@pytest.mark.parametrize("framing", [(b"content-length", b"%d" % (40 << 20)), (b"transfer-encoding", b"chunked")])
def test_a_caller_that_sends_its_whole_body_first_still_reads_that_it_was_too_large(
    house: House, framing: tuple[bytes, bytes]
) -> None:
    piece = bytes(1 << 20)
    with house.wire() as wire:
        wire.send(request(DIALECTS[0].target, b"", headers=[JSON, framing]))
        for _ in range(40):
            wire.send(chunked(piece)[:-5] if framing[1] == b"chunked" else piece)
        got = wire.response()
        assert got.status == 413
        assert got.all(b"connection") == [b"close"]
        assert wire.is_closed()


@pytest.mark.parametrize("target", [b"/nobody/v1/x", b"/healthz", b"/openai/v1/chat/completions"])
@pytest.mark.parametrize("more", [b"x: 1\r\n" * 10_000, b"x" * 100_000], ids=["trailers", "a trailer without end"])
def test_what_a_caller_goes_on_sending_behind_its_answer_costs_no_memory(
    house: House, target: bytes, more: bytes
) -> None:
    headers = [(b"transfer-encoding", b"chunked"), (b"stepwarden-key", b"swk_nobody")]
    before = resident(house)
    with house.wire() as wire:
        got = wire.send(request(target, b"2\r\n{}\r\n", headers=headers)).response()
        assert got.all(b"connection") == [b"close"]
        with suppress(BrokenPipeError, ConnectionResetError):
            wire.send(b"0\r\n" + more)
            for _ in range(400):
                wire.send(more)
        grown = resident(house) - before
    assert grown < 16 << 20


@pytest.mark.parametrize("shape", [b"[", b'{"content":['], ids=["lists", "objects"])
@every_dialect
def test_a_body_that_nests_too_deeply_is_refused(house: House, dialect: Dialect, shape: bytes) -> None:
    field = b"input" if dialect.name == "responses" else b"messages"
    body = b'{"model": "m", "' + field + b'": [' + shape * 100_000
    before = house.reached()
    got = house.ask(dialect.call(body=body))
    assert got.status == 400
    assert json.loads(got.body)["error"]["message"]
    assert house.reached() == before


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, gzip", b"x-gzip"])
@every_dialect
def test_a_compressed_request_that_explodes_is_refused(house: House, dialect: Dialect, coding: bytes) -> None:
    body = gzip.compress(bomb()) if b"," in coding else bomb()
    before = resident(house)
    got = house.ask(dialect.call(body=body, headers=[(b"content-encoding", coding)]))
    assert got.status == 413
    assert json.loads(got.body)["error"]["message"]
    assert resident(house) - before < 150 << 20


@every_dialect
def test_a_compressed_answer_that_explodes_is_relayed_and_noted(house: House, dialect: Dialect) -> None:
    got = house.ask(dialect.call(headers=[(HEADER.encode(), b"bomb")]))
    assert got.body == bomb()
    facts = house.facts(got.exchange)
    assert facts["outcome"] == "complete"
    assert facts["note"]
    assert house.kept(got.exchange, "response") == bomb()


@every_dialect
@pytest.mark.parametrize("coding", [b"compress", b"gzip, unheard-of", b"gzip"])
def test_a_request_in_an_unknown_coding_is_the_providers_to_judge(
    house: House, dialect: Dialect, coding: bytes
) -> None:
    got = house.ask(dialect.call(headers=[(b"content-encoding", coding)]))
    assert house.forwarded().body == dialect.request_body(stream=False)
    assert "not understood" in house.facts(got.exchange)["note"]


@every_dialect
def test_an_answer_that_is_not_in_its_coding_is_relayed_and_noted(house: House, dialect: Dialect) -> None:
    got = house.ask(dialect.call(stream=True, headers=[(HEADER.encode(), b"miscoded")]))
    facts = house.facts(got.exchange)
    assert (got.status, facts["outcome"]) == (200, "complete")
    assert facts["note"]


def resident(house: House) -> int:
    lines = Path(f"/proc/{house.gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


_keys = st.sampled_from(["model", "messages", "input", "role", "content", "type", "text", "tools", "system", "user"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
bodies = st.binary(max_size=200) | st.dictionaries(_keys, json_values, max_size=6).map(lambda v: json.dumps(v).encode())


@given(st.sampled_from(TARGETS), bodies, st.sampled_from([b"", b"gzip", b"br"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_on_any_step_path_is_relayed_exactly(
    one_house: House, target: bytes, body: bytes, coding: bytes
) -> None:
    one_house.provider.script = always(Answer(status=422, headers=(JSON,), body=(b'{"error": "judged"}',)))
    headers = [JSON, *([(b"content-encoding", coding)] if coding else [])]
    got = one_house.ask(request(target, body, headers=headers))
    assert (got.status, got.body) == (422, b'{"error": "judged"}')
    assert one_house.forwarded().body == body


no_answers = st.sampled_from([b"", b"<", b"\r\n <p>"])
event_streams = st.lists(
    st.dictionaries(
        st.sampled_from(["type", "choices", "delta", "index", "usage", "message", "content_block", "response", "item"]),
        json_values,
        max_size=5,
    ).map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n"),
    max_size=5,
).map(b"".join)
replies = no_answers | st.binary(max_size=300) | event_streams


@given(st.sampled_from(DIALECTS), replies, st.sampled_from([b"text/event-stream", b"application/json", b"text/plain"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answer_is_relayed_exactly_and_recorded(
    one_house: House, dialect: Dialect, reply: bytes, media: bytes
) -> None:
    answer = Answer(headers=((b"content-type", media),), body=(reply,) if reply else (), transfer="chunked")
    one_house.provider.script = always(answer)
    got = one_house.ask(dialect.call(stream=True))
    opening = reply.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    is_no_answer = not reply or opening == b"<"
    if is_no_answer and media != b"text/event-stream":  # a stream ends in an error instead
        assert got.status == 502
        return
    assert got.status == 200
    assert got.body.startswith(reply)
    if media != b"text/event-stream" and opening not in {
        b":",
        b"d",
        b"e",
        b"i",
        b"r",
    }:  # what begins events is a stream
        assert got.body == reply
