"""One request is one request: what could be read in two ways is refused, reaches no provider, and hangs nobody."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.demo import render
from gateway.demo.answers import Answer, Cut, Gate, SeenRequest
from tests.fakes.provider import always, events, say
from tests.gateway.house import ANTHROPIC, CHAT, JSON, PATIENT, House, standing
from tests.gateway.rawhttp import PATIENCE, BrokenOff, Response, Wire, chunked, request

HASTY = f"{PATIENT}header_seconds = 1.0\nbody_seconds = 1.0\n"
"""Short deadlines for callers alone: an answer waits at its gate here, and its provider may be silent meanwhile."""

LINE = b"POST /openai/v1/chat/completions HTTP/1.1\r\n"
HOST = b"host: gateway.test\r\n"
BODY = CHAT.request_body(stream=False)
LENGTH = b"content-length: %d\r\n" % len(BODY)
MARK = b"x-mark: framing\r\n"


def head(*lines: bytes, line: bytes = LINE) -> bytes:
    return line + b"".join(lines) + MARK + b"\r\n"


REFUSED = {
    "content-length and transfer-encoding": head(HOST, LENGTH, b"transfer-encoding: chunked\r\n") + b"0\r\n\r\n",
    "transfer-encoding and content-length": head(HOST, b"transfer-encoding: chunked\r\n", LENGTH) + b"0\r\n\r\n",
    "two lengths that differ": head(HOST, LENGTH, b"content-length: 3\r\n") + BODY,
    "two lengths that agree": head(HOST, LENGTH, LENGTH) + BODY,
    "a list of lengths": head(HOST, b"content-length: 5, 5\r\n") + b"12345",
    "a negative length": head(HOST, b"content-length: -1\r\n"),
    "a length with a sign": head(HOST, b"content-length: +5\r\n") + b"12345",
    "a length in hex": head(HOST, b"content-length: 0x5\r\n") + b"12345",
    "a length with letters": head(HOST, b"content-length: 5a\r\n") + b"12345",
    "a length beyond all numbers": head(HOST, b"content-length: 99999999999999999999999999\r\n"),
    "an empty length": head(HOST, b"content-length:\r\n"),
    "two hosts": head(HOST, b"host: other.test\r\n", LENGTH) + BODY,
    "the same host twice": head(HOST, HOST, LENGTH) + BODY,
    "no host": head(LENGTH) + BODY,
    "a host with a path": head(b"host: other.test/v1\r\n", LENGTH) + BODY,
    "a host with a space": head(b"host: other test\r\n", LENGTH) + BODY,
    "an absolute target": head(HOST, LENGTH, line=b"POST http://other.test/openai/v1/chat/completions HTTP/1.1\r\n")
    + BODY,
    "an asterisk": head(HOST, line=b"OPTIONS * HTTP/1.1\r\n"),
    "an authority": head(HOST, line=b"CONNECT other.test:443 HTTP/1.1\r\n"),
    "a tunnel to a provider": head(HOST, b"content-length: 100\r\n", line=b"CONNECT /openai/v1/files HTTP/1.1\r\n"),
    "a folded header": head(HOST, b"x-folded: a\r\n b\r\n", LENGTH) + BODY,
    "bare line feeds": (LINE + HOST + LENGTH + MARK).replace(b"\r\n", b"\n") + b"\n" + BODY,
    "a space before the colon": head(HOST, b"content-length : %d\r\n" % len(BODY)) + BODY,
    "a header without a colon": head(HOST, b"nonsense\r\n", LENGTH) + BODY,
    "an empty header name": head(HOST, b": x\r\n", LENGTH) + BODY,
    "a zero byte in a header": head(HOST, b"x-zero: a\x00b\r\n", LENGTH) + BODY,
    "a carriage return in a header": head(HOST, b"x-cr: a\rb\r\n", LENGTH) + BODY,
    "bytes that are no UTF-8 in a header": head(HOST, b"x-bytes: \xff\xfe\r\n", LENGTH) + BODY,
    "HTTP/0.9": b"GET /openai/v1/models\r\n\r\n",
    "HTTP/2.0 in words": head(HOST, line=b"GET /openai/v1/models HTTP/2.0\r\n"),
    "HTTP/1.2": head(HOST, line=b"GET /openai/v1/models HTTP/1.2\r\n"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "an unknown transfer encoding": head(HOST, b"transfer-encoding: gzip\r\n") + b"0\r\n\r\n",
    "chunked that is not last": head(HOST, b"transfer-encoding: chunked, gzip\r\n") + b"0\r\n\r\n",
    "chunked twice": head(HOST, b"transfer-encoding: chunked\r\n" * 2) + b"0\r\n\r\n",
    "chunked in disguise": head(HOST, b"transfer-encoding: xchunked\r\n") + b"0\r\n\r\n",
    "chunked with a tab": head(HOST, b"transfer-encoding:\tchunked,\tchunked\r\n") + b"0\r\n\r\n",
    "a chunk size that is none": head(HOST, b"transfer-encoding: chunked\r\n") + b"zz\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": head(HOST, b"transfer-encoding: chunked\r\n") + b"-1\r\nabc\r\n0\r\n\r\n",
    "a chunk size beyond all numbers": head(HOST, b"transfer-encoding: chunked\r\n") + b"f" * 20 + b"\r\nabc",
    "a chunk longer than its size": head(HOST, b"transfer-encoding: chunked\r\n") + b"2\r\nabcd\r\n0\r\n\r\n",
    "chunks with bare line feeds": head(HOST, b"transfer-encoding: chunked\r\n") + b"3\nabc\n0\n\n",
    "2,000 headers": head(HOST, b"".join(b"x-%d: 1\r\n" % n for n in range(2000)), LENGTH) + BODY,
    "101 headers": head(HOST, b"".join(b"x-%d: 1\r\n" % n for n in range(101)), LENGTH) + BODY,
    "a header of 100 KB": head(HOST, b"x-long: " + b"a" * 100_000 + b"\r\n", LENGTH) + BODY,
    "a target of 100 KB": head(HOST, line=b"GET /openai/v1/" + b"a" * 100_000 + b" HTTP/1.1\r\n"),
    "a lower-case method": head(HOST, LENGTH, line=b"post /openai/v1/chat/completions HTTP/1.1\r\n") + BODY,
    "no target": head(HOST, line=b"GET  HTTP/1.1\r\n"),
    "a target with a space": head(HOST, line=b"GET /openai/v1/a b HTTP/1.1\r\n"),
    "a target with a control character": head(HOST, line=b"GET /openai/v1/a\x01b HTTP/1.1\r\n"),
    "a target with a fragment": head(HOST, line=b"GET /openai/v1/models#x HTTP/1.1\r\n"),
}


@pytest.fixture(scope="module")
def one_hasty_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("hasty"), more=HASTY) as house:
        yield house


def is_ours(request_: SeenRequest) -> bool:
    return request_.header("x-mark") == "framing"


def assert_readable(response: Response) -> None:
    """An envelope both SDK families read, that tells them not to try again."""
    answer = json.loads(response.body)
    assert isinstance(answer["error"]["type"], str)
    assert answer["error"]["message"]
    assert response.all(b"x-should-retry") == [b"false"]
    assert response.all(b"content-type") == [b"application/json"]


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_framing_is_refused_and_reaches_no_provider(house: House, name: str) -> None:
    before = len([each for each in house.provider.requests if is_ours(each)])
    with house.wire() as wire:
        response = wire.send(REFUSED[name]).response()
        assert 400 <= response.status < 500, response
        assert response.status != 408, "it was refused for what it says, not for its time"
        assert_readable(response)
        if response.all(b"connection") == [b"close"]:
            assert wire.is_closed()
    assert len([each for each in house.provider.requests if is_ours(each)]) == before


def test_a_smuggled_request_is_not_served(house: House) -> None:
    hidden = request(b"/openai/v1/models", method=b"GET", headers=[(b"x-mark", b"smuggled")])
    for smuggler in (
        head(HOST, b"content-length: %d\r\n" % (5 + len(hidden)), b"transfer-encoding: chunked\r\n") + b"0\r\n\r\n",
        head(HOST, b"content-length: 0\r\n", b"content-length: %d\r\n" % len(hidden)),
        head(HOST, b"transfer-encoding: identity, chunked\r\n") + b"0\r\n\r\n",
    ):
        with house.wire() as wire:
            answers = wire.send(smuggler + hidden).rest()
        assert answers.count(b"HTTP/1.1 ") == 1
    assert not [each for each in house.provider.requests if each.header("x-mark") == "smuggled"]


def test_pipelined_requests_are_answered_in_their_order(house: House) -> None:
    house.provider.script = lambda seen: say("chat", model=seen.header("x-number") or "")
    sent = b"".join(CHAT.call(headers=[(b"x-number", b"%d" % number)]) for number in range(5))
    with house.wire() as wire:
        wire.send(sent)
        for number in range(5):
            assert json.loads(wire.response().body)["model"] == str(number)


def test_a_connection_serves_on_after_a_refusal_that_left_it_whole(house: House) -> None:
    with house.wire() as wire:
        refused = wire.send(request(b"/nobody/v1/x", method=b"GET")).response()
        assert refused.status == 404
        deep = b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}"
        assert wire.send(ANTHROPIC.call(body=deep)).response().status == 400
        assert wire.send(CHAT.call()).response().status == 200
        assert wire.send(CHAT.call(stream=True)).response().status == 200
        assert wire.send(CHAT.call()).response().status == 200


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"something, else"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("cut", [False, True], ids=["one packet", "two packets"])
def test_an_upgrade_to_another_protocol_is_ignored_and_the_request_served(
    house: House, protocol: bytes, framing: str, *, cut: bool
) -> None:
    offer = [(b"connection", b"Upgrade, HTTP2-Settings"), (b"upgrade", protocol), (b"http2-settings", b"AAMAAABk")]
    if framing == "chunks":
        sent = request(CHAT.target, chunked(BODY), headers=[*offer, (b"transfer-encoding", b"chunked")])
    else:
        sent = CHAT.call(headers=offer, body=BODY)
    started, _, rest = sent.partition(b"\r\n\r\n")
    with house.wire() as wire:
        if cut:
            wire.send(started + b"\r\n\r\n")
            assert not wire.has_more(within=0.05)
            wire.send(rest)
        else:
            wire.send(sent)
        assert wire.response().status == 200
        seen = house.forwarded()
        assert seen.body == BODY
        assert not any(seen.header(name) for name in ("upgrade", "connection", "http2-settings"))
        assert wire.send(CHAT.call(headers=offer) * 3).response().status == 200
        assert [wire.response().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c, websocket"])
def test_what_follows_a_refused_upgrade_is_no_request(house: House, upgrade: bytes) -> None:
    hidden = request(b"/openai/v1/models", method=b"GET", headers=[(b"x-mark", b"hidden")])
    headers = [(b"connection", b"upgrade"), (b"upgrade", upgrade)]
    with house.wire() as wire:
        wire.send(request(b"/openai/v1/responses", method=b"GET", headers=headers) + hidden)
        assert wire.response().status == 426
        wire.send(hidden)
        assert wire.is_closed()
    assert not [each for each in house.provider.requests if each.header("x-mark") == "hidden"]


def test_trailers_are_neither_headers_nor_kept(house: House) -> None:
    trailers = b"x-trailer: 1\r\nauthorization: Bearer sk-trailer\r\nstepwarden-session: s\r\nupgrade: websocket\r\n"
    body = chunked(BODY)[:-2] + trailers + b"\r\n"
    with house.wire() as wire:
        got = wire.send(request(CHAT.target, body, headers=[JSON, (b"transfer-encoding", b"chunked")])).response()
        assert got.status == 200
        seen = house.forwarded()
        assert (seen.body, seen.header("x-trailer"), seen.header("authorization")) == (BODY, None, None)
        assert wire.send(CHAT.call()).response().status == 200


@pytest.mark.parametrize("trailer", [b"x-trailer: 1\r\n", b"x"], ids=["many", "one without end"])
@pytest.mark.parametrize("target", [CHAT.target, b"/openai/v1/files"])
def test_trailers_without_end_are_cut_off(house: House, target: bytes, trailer: bytes) -> None:
    started = request(target, b"2\r\n{}\r\n0\r\n", headers=[(b"transfer-encoding", b"chunked")])
    sent = 0
    with house.wire() as wire:
        wire.send(started)
        with suppress(BrokenPipeError, ConnectionResetError):  # until there is nobody to send to
            while sent < 64 << 20:
                wire.send(trailer * 10_000)
                sent += len(trailer) * 10_000
    assert sent < 64 << 20
    assert house.ask(CHAT.call()).status == 200


@pytest.mark.parametrize("target", [b"/nobody/v1/x", CHAT.target])
def test_a_refusal_that_left_the_body_unread_ends_the_connection(house: House, target: bytes) -> None:
    headers = [(b"content-length", b"1000"), (b"stepwarden-key", b"swk_nobody")]
    with house.wire() as wire:
        got = wire.send(request(target, b"{", headers=headers)).response()
        assert got.status in {401, 404}
        assert got.all(b"connection") == [b"close"]
        assert wire.is_closed()


def streamed(house: House) -> Gate:
    """Let the provider stream an answer whose last event waits at this gate."""
    gate, sent = Gate(), events("chat")
    house.provider.script = always(Answer(headers=render.SSE, body=(*sent[:-1], gate, sent[-1]), transfer="chunked"))
    return gate


GARBAGE = {
    "garbage": (b"GARBAGE \x01\r\n\r\n", 400),
    "a request with two lengths": (head(HOST, b"content-length: 2\r\ncontent-length: 3\r\n") + b"ab", 400),
    "a head without end": (LINE + b"x-long: " + b"a" * 200_000, 431),
    "half a head": (LINE + HOST, 408),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_an_answer_under_way_is_finished_before_the_next_request_is_refused(
    house: House, hasty: House, name: str
) -> None:
    garbage, status = GARBAGE[name]
    house = hasty if status == 408 else house
    gate = streamed(house)
    with house.wire() as wire:
        head_ = wire.send(CHAT.call(stream=True)).head()
        wire.send(garbage)
        assert wire.has_more(within=PATIENCE)
        house.ask(request(b"/healthz", method=b"GET"))
        gate.open()
        assert b"".join(wire.pieces(head_)) == b"".join(events("chat"))
        refused = wire.response()
        assert refused.status == status
        assert_readable(refused)
        assert wire.is_closed()


@pytest.mark.parametrize("name", GARBAGE)
def test_a_pipelined_request_that_is_wrong_is_answered_in_its_turn(house: House, hasty: House, name: str) -> None:
    garbage, status = GARBAGE[name]
    with (hasty if status == 408 else house).wire() as wire:
        wire.send(CHAT.call() + garbage)
        assert [wire.response().status, wire.response().status] == [200, status]
        assert wire.is_closed()


def test_a_body_that_goes_wrong_behind_its_own_answer_cuts_the_connection(house: House) -> None:
    gate = Gate()
    unfinished = Answer(headers=(JSON,), body=(b'{"half": ', gate, b"1}"), transfer="chunked")
    house.provider.early = lambda seen: unfinished if seen.header("x-mark") == "behind" else None
    headers = [(b"transfer-encoding", b"chunked"), (b"x-mark", b"behind")]
    with house.wire() as wire:
        head_ = wire.send(request(b"/openai/v1/files", b"1\r\n{\r\n", headers=headers)).head()
        assert next(wire.pieces(head_)) == b'{"half": '
        wire.send(b"zz\r\n")
        assert b"HTTP/1.1 " not in wire.rest()
    gate.open()


def old(data: bytes) -> bytes:
    """The same request from a client that speaks HTTP/1.0."""
    return data.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_client_of_http_1_0_gets_no_chunks(house: House, *, stream: bool) -> None:
    body = (b"".join(events("chat")),) if stream else (b'{"choices": ', b"[]}")
    headers = render.SSE if stream else (JSON,)
    house.provider.script = always(Answer(headers=headers, body=body, transfer="chunked"))
    with house.wire() as wire:
        wire.send(old(CHAT.call(stream=stream)))
        got = wire.response()
        assert got.status == 200
        assert got.all(b"transfer-encoding") == got.all(b"content-length") == []
        assert got.all(b"connection") == [b"close"]
        assert got.body == b"".join(body)
        assert wire.is_closed()


def test_a_client_of_http_1_0_is_told_a_length_where_there_is_one(house: House) -> None:
    house.provider.script = always(say("chat"))
    with house.wire() as wire:
        got = wire.send(old(CHAT.call())).response()
        assert got.one(b"content-length") == b"%d" % len(got.body)
        assert got.all(b"transfer-encoding") == []


def test_a_client_of_http_1_0_can_tell_a_cut_answer_from_a_whole_one(house: House) -> None:
    broken = Answer(headers=(JSON,), body=(b'{"half": ', b"1}"), transfer="chunked", fault=Cut(after=9))
    house.provider.script = always(broken)
    with house.wire() as wire, pytest.raises(BrokenOff):
        wire.send(old(CHAT.call())).response()


@pytest.mark.parametrize("size", [70_000, 200_000])
def test_a_target_beyond_all_limits_is_a_431(house: House, size: int) -> None:
    got = house.ask(request(b"/openai/v1/" + b"a" * size, method=b"GET"))
    assert got.status == 431
    assert_readable(got)


@pytest.mark.parametrize(("path", "sent"), [(b"/api/sign-in", b'{"key"'), (b"/api/keys", b"")])
def test_a_stranger_whose_body_does_not_come_keeps_no_connection_to_the_control_plane(
    hasty: House, path: bytes, sent: bytes
) -> None:
    host = b"host: %s:%d\r\n" % (hasty.gateway.address[0].encode(), hasty.gateway.address[1])
    with hasty.wire() as wire:
        wire.send(head(host, b"content-length: 40\r\n", line=b"POST %s HTTP/1.1\r\n" % path) + sent)
        response = wire.response()
        assert response.status == 408
        assert json.loads(response.body)["error"]["type"] == "too_slow"
        assert wire.is_closed()


def test_a_head_that_does_not_come_to_its_end_is_cut_off(hasty: House) -> None:
    with hasty.wire() as wire:
        response = wire.send(LINE + HOST + b"x-slow: ").response()
        assert response.status == 408
        assert_readable(response)
        assert wire.is_closed()


def test_a_head_that_drips_is_cut_off_all_the_same(hasty: House) -> None:
    with hasty.wire(patience=0.1) as wire, pytest.raises((BrokenOff, BrokenPipeError, ConnectionResetError)):
        drip(wire)


def drip(wire: Wire) -> None:
    """A head of which one byte comes every 0.1 seconds, until the gateway has enough of it."""
    wire.send(LINE + HOST)
    for _ in range(int(PATIENCE / 0.1)):
        wire.send(b"x")
        with suppress(TimeoutError):
            wire.head()
            raise BrokenOff


def test_a_connection_without_a_byte_is_closed(hasty: House) -> None:
    with hasty.wire() as wire:
        assert wire.is_closed()


@pytest.mark.parametrize("target", [CHAT.target, b"/openai/v1/files"], ids=["read whole", "streamed"])
@pytest.mark.parametrize("framing", [b"content-length: 1000\r\n", b"transfer-encoding: chunked\r\n"])
def test_a_body_that_stops_coming_is_a_408(hasty: House, target: bytes, framing: bytes) -> None:
    started = b"3e8\r\n{" if b"chunked" in framing else b"{"
    with hasty.wire() as wire:
        response = wire.send(b"POST %s HTTP/1.1\r\n" % target + HOST + framing + b"\r\n" + started).response()
        assert response.status == 408
        assert_readable(response)
        assert wire.is_closed()
    assert hasty.facts(response.exchange)["error_type"] == "request_timeout"


def test_idle_connections_do_not_keep_others_waiting(house: House) -> None:
    idle = [house.wire() for _ in range(100)]
    for wire in idle[:50]:
        wire.send(LINE)
    assert house.ask(CHAT.call()).status == 200
    assert not any(wire.has_more(within=0) for wire in idle), "they are still waited for"
    for wire in idle:
        wire.close()


def test_a_websocket_upgrade_is_sent_back_to_http(house: House) -> None:
    headers = [
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"openai-beta", b"responses_websockets=2026-02-06"),
    ]
    before = house.reached()
    got = house.ask(request(b"/openai/v1/responses", method=b"GET", headers=headers))
    assert got.status == 426
    assert got.all(b"upgrade") == [b"HTTP/1.1"]
    assert b"upgrade" in got.all(b"connection")
    assert_readable(got)
    assert house.reached() == before


def test_an_unknown_provider_is_a_404_that_names_the_known_ones(house: House) -> None:
    got = house.ask(request(b"/antropic/v1/messages", b"{}", headers=[JSON]))
    assert got.status == 404
    assert_readable(got)
    message = json.loads(got.body)["error"]["message"]
    assert all(f"/{name}" in message for name in ("anthropic", "openai", "raw"))


@pytest.mark.parametrize("path", [b"/api/nothing", b"/api"])
def test_an_unknown_route_of_the_control_plane_is_refused_in_its_own_words(house: House, path: bytes) -> None:
    got = house.ask(request(path, method=b"GET"))
    assert (got.status, got.one(b"cache-control")) == (404, b"no-store")
    assert set(json.loads(got.body)["error"]) == {"type", "message", "remedy"}


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_at_all_are_answered_or_cut_off(one_hasty_house: House, noise: bytes) -> None:
    with Wire(one_hasty_house.gateway.address) as wire:
        wire.send(noise + b"\r\n\r\n\r\n\r\n")
        answer = wire.rest()
    assert b"HTTP/1.1 5" not in answer
    assert one_hasty_house.gateway.process.poll() is None


def test_the_gateway_still_serves_after_all_that(house: House) -> None:
    house.provider.script = always(say("chat"))
    assert house.ask(CHAT.call()).status == 200
