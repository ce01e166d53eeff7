"""Nothing changes on the way: what the caller sent reaches the provider, what the provider sent reaches the caller."""

import json
import zlib

import brotli
import pytest
import zstandard

from gateway.demo import render
from gateway.demo.answers import Answer, Gate, Piece, SeenRequest, compressed, pieces
from gateway.demo.scenarios import HEADER, SCENARIOS
from tests.fakes.provider import always, events, say
from tests.gateway.house import ANTHROPIC, CHAT, DIALECTS, JSON, RESPONSES, Dialect, House
from tests.gateway.rawhttp import Pairs, Response, chunked, request

_OURS = b"stepwarden-"
_FRAMING = (b"transfer-encoding", b"content-length", b"connection")

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
codings = pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])


def body_of(answer: Answer) -> bytes:
    return b"".join(piece.data for piece in pieces(answer.body) if isinstance(piece, Piece))


def travelled(headers: Pairs) -> list[tuple[bytes, bytes]]:
    """Headers that must arrive, names in lower case, in order."""
    pairs = [(name.lower(), value) for name, value in headers]
    return [pair for pair in pairs if pair[0] not in {b"host", *_FRAMING} and not pair[0].startswith(_OURS)]


def asked(house: House, dialect: Dialect, answer: Answer, *, stream: bool, headers: Pairs = ()) -> Response:
    house.provider.script = always(answer)
    return house.ask(dialect.call(stream=stream, headers=headers))


def seen_with(house: House, name: str, value: str) -> SeenRequest:
    """The newest request the provider saw that carried this header."""
    house.provider.wait_for(lambda it: any(each.header(name) == value for each in it.requests))
    return next(each for each in reversed(house.provider.requests) if each.header(name) == value)


@every_dialect
@stream_or_json
def test_an_answer_arrives_as_the_provider_sent_it(house: House, dialect: Dialect, *, stream: bool) -> None:
    answer = say(dialect.name, streamed=stream)
    sent = ((b"Request-Id", b"req_1"), *answer.headers, (b"X-Twice", b"b"), (b"x-twice", b"a"), (b"x-twice", b"a"))
    got = asked(house, dialect, Answer(headers=sent, body=answer.body, transfer=answer.transfer), stream=stream)
    assert got.status == 200
    assert got.body == body_of(answer)
    assert travelled(got.headers) == travelled(sent)
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["stream"], facts["provider_request_id"]) == ("complete", stream, "req_1")
    assert house.kept(got.exchange, "response") == got.body
    assert house.kept(got.exchange, "request") == dialect.request_body(stream=stream)
    assert house.lengths(got.exchange) == (len(dialect.request_body(stream=stream)), len(got.body))


@every_dialect
@stream_or_json
def test_a_request_arrives_as_the_caller_sent_it(house: House, dialect: Dialect, *, stream: bool) -> None:
    body = dialect.request_body(stream=stream, unknown_field={"kept": [1, 2.50, "\u00e9"]})
    body = body.replace(b", ", b" ,\t")
    headers = [
        (b"User-Agent", b"Some/1.0"),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
        (b"anthropic-beta", b"one-2025-01-01"),
        (b"anthropic-beta", b"two-2026-01-01"),
        (b"X-Empty", b""),
        (b"x-stainless-retry-count", b"0"),
        (b"Cookie", b"a=b; c=d"),
        (b"x-last", dialect.name.encode() + b"-%d" % stream),
        (b"stepwarden-tags", b"team=blue"),
    ]
    got = house.ask(dialect.call(stream=stream, headers=headers, body=body))
    assert got.status == 200
    seen = seen_with(house, "x-last", f"{dialect.name}-{int(stream)}")
    assert seen.body == body
    assert seen.target == dialect.upstream_target
    assert travelled(seen.headers) == travelled([JSON, dialect.key, *headers])


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer sk-ant-1"), (b"anthropic-version", b"2026-10-21")],
        [(b"x-api-key", b"sk-ant-2"), (b"anthropic-version", b"2023-06-01")],
        [(b"x-api-key", b"sk-ant-3"), (b"authorization", b"Bearer oauth"), (b"anthropic-version", b"2099-01-01")],
    ],
    ids=["bearer", "x-api-key", "both"],
)
@pytest.mark.parametrize(
    "target", [b"/anthropic/v1/messages", b"/anthropic/messages", b"/anthropic/v1/messages?beta=true"]
)
def test_both_anthropic_versions_keep_their_own_key_header(house: House, headers: Pairs, target: bytes) -> None:
    marked = [*headers, (b"x-mark", headers[0][1] + target)]
    body = ANTHROPIC.request_body(stream=False)
    got = house.ask(request(target, body, headers=[JSON, *marked]))
    seen = seen_with(house, "x-mark", (headers[0][1] + target).decode())
    assert seen.target.encode() == target.removeprefix(b"/anthropic")
    assert travelled(seen.headers) == travelled([JSON, *marked])
    assert house.facts(got.exchange)["operation"] == "chat"


MULTIPART = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' + bytes(range(256)) * 40
MULTIPART += b"\r\n--b--\r\n"
OTHERS = [
    (b"GET", b"/openai/v1/models", None, b"", "other"),
    (b"GET", b"/anthropic/v1/models?limit=2&after_id=x%20y", None, b"", "other"),
    (b"GET", b"/openai/v1/files/file-demo/content", None, b"", "other"),
    (b"POST", b"/anthropic/v1/files", MULTIPART, b"multipart/form-data; boundary=b", "other"),
    (b"POST", b"/openai/v1/uploads/up_1/parts", bytes(range(256)) * 300, b"application/octet-stream", "other"),
    (b"POST", b"/anthropic/v1/messages/batches", b'{"requests": []}', b"application/json", "batch"),
    (b"POST", b"/openai/v1/batches", b'{"input_file_id": "f"}', b"application/json", "batch"),
    (b"POST", b"/openai/v1/embeddings", b'{"model": "m", "input": "x"}', b"application/json", "embeddings"),
    (b"POST", b"/anthropic/v1/messages/count_tokens", ANTHROPIC.request_body(stream=False), JSON[1], "count_tokens"),
    (b"DELETE", b"/openai/v1/files/file-demo", None, b"", "other"),
    (b"PUT", b"/raw/any/thing;v=1?q=%2F&q=2", b"\x00\xff{", b"text/odd", "other"),
    (b"PATCH", b"/raw/a", b"{}", b"application/json", "other"),
    (b"HEAD", b"/anthropic/api/hello", None, b"", "other"),
    (b"OPTIONS", b"/openai/v1/chat/completions", None, b"", "other"),
    (b"PROPFIND", b"/raw/dav", None, b"", "other"),
]


@pytest.mark.parametrize(
    ("method", "target", "body", "media", "operation"), OTHERS, ids=[f"{o[0].decode()}-{o[1].decode()}" for o in OTHERS]
)
def test_every_other_call_is_relayed_verbatim_and_recorded(
    house: House, method: bytes, target: bytes, body: bytes | None, media: bytes, operation: str
) -> None:
    jsonl = b'{"id": "a"}\n{"id": "b"}\n' + bytes(range(256))
    house.provider.script = always(Answer(headers=((b"content-type", b"application/x-jsonl"),), body=(jsonl,)))
    headers = [(b"content-type", media)] if media else []
    got = house.ask(request(target, body, method=method, headers=headers), bodiless=method == b"HEAD")
    assert got.status == 200
    assert got.body == (b"" if method == b"HEAD" else jsonl)
    assert got.one(b"content-length") == b"%d" % len(jsonl)
    seen = house.forwarded()
    assert (seen.method.encode(), seen.body) == (method, body or b"")
    assert seen.target.encode() == b"/" + target.split(b"/", 2)[2]
    facts = house.facts(got.exchange)
    assert (facts["method"].encode(), facts["operation"], facts["outcome"]) == (method, operation, "complete")
    assert house.kept(got.exchange, "request") == (body or b"")
    assert house.kept(got.exchange, "response") == got.body


@pytest.mark.parametrize(
    "target",
    [
        b"/anthropic//v1/messages",
        b"/anthropic/v1/%6dessages",
        b"/anthropic/v1/messages/",
        b"/anthropic/v1/MESSAGES",
        b"/anthropic/v1/./messages",
        b"/anthropic/v1/x/../messages",
        b"/anthropic/v1/messages;a=b",
    ],
)
def test_odd_spellings_travel_as_they_are_and_their_steps_are_recorded(house: House, target: bytes) -> None:
    house.provider.script = always(say("anthropic"))
    body = ANTHROPIC.request_body(stream=False).replace(b"six times seven", target)
    got = house.ask(request(target, body, headers=[JSON]))
    assert got.status == 200
    assert house.forwarded().target.encode() == target.removeprefix(b"/anthropic")
    facts = house.facts(got.exchange)
    assert facts["operation"] == "chat"
    assert [step["kind"] for step in facts["steps"]] == ["user_input", "model_text"]


@every_dialect
@stream_or_json
@codings
def test_a_compressed_answer_is_relayed_raw_and_read(
    house: House, dialect: Dialect, *, stream: bool, coding: str
) -> None:
    wire = dialect.name
    answer = compressed(say(wire, streamed=stream), coding)
    got = asked(house, dialect, answer, stream=stream)
    assert got.body == body_of(answer)
    assert got.one(b"content-encoding") == coding.encode()
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["note"]) == ("complete", None)
    assert "model_text" in [step["kind"] for step in facts["steps"]]
    assert house.kept(got.exchange, "response") == got.body
    assert house.lengths(got.exchange)[1] == len(got.body)


def packed(body: bytes, coding: str) -> bytes:
    if coding == "gzip":
        squeezed = zlib.compressobj(6, zlib.DEFLATED, 31)
        return squeezed.compress(body) + squeezed.flush()
    if coding == "deflate":
        return zlib.compress(body)
    return brotli.compress(body) if coding == "br" else zstandard.compress(body)


@every_dialect
@codings
def test_a_compressed_request_is_relayed_raw_and_read(house: House, dialect: Dialect, coding: str) -> None:
    body = packed(dialect.request_body(stream=False).replace(b"six", coding.encode()), coding)
    house.provider.script = always(say(dialect.name))
    got = house.ask(dialect.call(body=body, headers=[(b"content-encoding", coding.encode())]))
    seen = house.forwarded()
    assert (seen.body, seen.header("content-encoding")) == (body, coding)
    facts = house.facts(got.exchange)
    assert facts["model_requested"] == dialect.body["model"]
    assert "user_input" in [step["kind"] for step in facts["steps"]]
    assert house.kept(got.exchange, "request") == body


@every_dialect
@pytest.mark.parametrize("scenario", ["429", "429-stay", "400", "401", "529", "500", "404"])
@stream_or_json
def test_the_providers_errors_arrive_untouched(house: House, dialect: Dialect, scenario: str, *, stream: bool) -> None:
    got = house.ask(dialect.call(stream=stream, headers=[(HEADER.encode(), scenario.encode())]))
    expected = SCENARIOS[scenario](house.forwarded())
    assert (got.status, got.body) == (expected.status, body_of(expected))
    assert travelled(got.headers) == travelled(expected.headers)
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["status"]) == ("complete", expected.status)
    assert facts["error_type"]


@every_dialect
def test_an_error_event_in_mid_stream_arrives_as_it_was_sent(house: House, dialect: Dialect) -> None:
    got = house.ask(dialect.call(stream=True, headers=[(HEADER.encode(), b"error-event")]))
    assert got.body == body_of(SCENARIOS["error-event"](house.forwarded()))
    facts = house.facts(got.exchange)
    assert facts["outcome"] == "complete"
    assert facts["error_type"]


@every_dialect
@pytest.mark.parametrize(
    "scenario", ["drip", "crlf", "unknown-event", "huge-event", "close-delimited", "no-keep-alive"]
)
@stream_or_json
def test_how_bytes_are_cut_and_spelt_does_not_matter(
    house: House, dialect: Dialect, scenario: str, *, stream: bool
) -> None:
    got = house.ask(dialect.call(stream=stream, headers=[(HEADER.encode(), scenario.encode())]))
    assert got.body == body_of(SCENARIOS[scenario](house.forwarded()))
    facts = house.facts(got.exchange)
    assert facts["outcome"] == "complete"
    assert [step["kind"] for step in facts["steps"]][-1] == "model_text"


@every_dialect
def test_each_piece_is_relayed_before_the_provider_sends_the_next(house: House, dialect: Dialect) -> None:
    parts = events(dialect.name)
    ping = b"event: ping\ndata: {}\n\n" if dialect is ANTHROPIC else b": keep-alive\n\n"
    sent = [*parts[:2], ping, *parts[2:]]
    gates = [Gate() for _ in sent]
    body = tuple(part for pair in zip(gates, sent, strict=True) for part in pair)
    house.provider.script = always(Answer(headers=render.SSE, body=body, transfer="chunked"))
    with house.wire() as wire:
        wire.send(dialect.call(stream=True))
        gates[0].open()
        head = wire.head()
        arriving = wire.pieces(head)
        for number, event in enumerate(sent):
            gates[number].open()
            got = b""
            while len(got) < len(event):
                got += next(arriving)
            assert got == event
        assert list(arriving) == []
    facts = house.facts(head.exchange)
    assert facts["outcome"] == "complete"
    assert (facts["usage"]["input_tokens"], facts["usage"]["output_tokens"]) == (120, 12)
    assert facts["first_token_at"] is not None


def test_a_request_in_chunks_reaches_the_provider_whole(house: House) -> None:
    body = CHAT.request_body(stream=False)
    framed = chunked(body[:10], body[10:11], body[11:])
    sent = request(CHAT.target, framed, headers=[JSON, (b"transfer-encoding", b"chunked")])
    got = house.ask(sent)
    assert got.status == 200
    assert house.forwarded().body == body


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(house: House) -> None:
    body = RESPONSES.request_body(stream=False)
    head = request(
        RESPONSES.target, b"", headers=[JSON, (b"content-length", b"%d" % len(body)), (b"expect", b"100-continue")]
    )
    with house.wire() as wire:
        wire.send(head)
        assert wire.head().status == 100
        assert wire.send(body).response().status == 200


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_stays_without_one(house: House, status: int) -> None:
    house.provider.script = always(Answer(status=status, headers=((b"etag", b'"x"'),), transfer="close"))
    got = house.ask(request(b"/raw/x", method=b"GET"))
    assert (got.status, got.body, got.one(b"etag")) == (status, b"", b'"x"')


@every_dialect
@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_that_calls_itself_a_stream_stays_without_one(
    house: House, dialect: Dialect, status: int
) -> None:
    house.provider.script = always(Answer(status=status, headers=render.SSE, transfer="close"))
    with house.wire() as wire:
        got = wire.send(dialect.call(stream=True)).response()
        assert (got.status, got.body) == (status, b"")
        assert wire.send(dialect.call(stream=True)).response().status == status, "the connection goes on"
    assert house.facts(got.exchange)["outcome"] == "complete"


def test_redirects_and_cookies_are_the_callers_to_follow(house: House) -> None:
    headers = ((b"location", b"https://elsewhere.test/"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
    house.provider.script = always(Answer(status=307, headers=headers))
    for _ in range(2):
        got = house.ask(request(b"/openai/v1/models", method=b"GET"))
        assert (got.status, got.all(b"set-cookie")) == (307, [b"a=1", b"b=2"])
        assert house.forwarded().header("cookie") is None


def test_what_belongs_to_one_connection_does_not_travel(house: House) -> None:
    headers = [
        (b"connection", b"keep-alive, x-hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"proxy-authorization", b"Basic x"),
        (b"stepwarden-session", b"mine"),
        (b"x-kept", b"hop-by-hop"),
    ]
    answer = say("chat")
    sent = (*answer.headers, (b"connection", b"x-back"), (b"x-back", b"1"), (b"stepwarden-verdict", b"forged"))
    house.provider.script = always(Answer(headers=sent, body=answer.body))
    got = house.ask(CHAT.call(headers=headers))
    seen = seen_with(house, "x-kept", "hop-by-hop")
    gone = {"x-hop", "keep-alive", "te", "proxy-authorization", "stepwarden-session"}
    assert not [name for name in gone if seen.header(name) is not None]
    assert got.all(b"x-back") == []
    assert got.all(b"stepwarden-verdict") == [b"allow"]


def test_an_error_of_ours_names_its_exchange(house: House) -> None:
    got = house.ask(
        request(b"/anthropic/v1/messages", b"{}", headers=[(b"upgrade", b"websocket"), (b"connection", b"upgrade")])
    )
    assert got.status == 426
    assert json.loads(got.body)["request_id"] == got.exchange
