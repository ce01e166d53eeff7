"""The server obeys HTTP/1.1 on a raw socket, and breaks it exactly as told."""

import contextlib
import socket
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.demo.answers import (
    Answer,
    Coding,
    Cut,
    Garble,
    Gate,
    Piece,
    Reset,
    SeenRequest,
    Stall,
    compressed,
    dripped,
)
from gateway.demo.background import BackgroundProvider, ProviderDidNotSee
from gateway.demo.scenarios import bomb
from tests.fakes.provider import always, in_turn, running_provider

BODY = b"0123456789"


class Wire:
    """A raw client: sends bytes, reads until something or the end."""

    def __init__(self, provider: BackgroundProvider) -> None:
        port = int(provider.url.rpartition(":")[2])
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.read = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        while end not in self.read:
            data = self.socket.recv(65536)
            assert data, self.read
            self.read += data
        found, _, self.read = self.read.partition(end)
        return found + end

    def rest(self) -> bytes:
        """Everything up to a clean end; a reset raises."""
        while data := self.socket.recv(65536):
            self.read += data
        return self.read


@pytest.fixture
def wire(provider: BackgroundProvider) -> Iterator[Wire]:
    provider.script = always(Answer(body=(BODY,)))
    client = Wire(provider)
    yield client
    client.socket.close()


def post(body: bytes = b"", *, headers: bytes = b"", target: bytes = b"/v1/x") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: demo\r\ncontent-length: %d\r\n%s\r\n%s" % (target, len(body), headers, body)


def test_a_request_is_kept_as_it_was_sent(provider: BackgroundProvider, wire: Wire) -> None:
    wire.send(post(b"abc", headers=b"X-Mixed: 1\r\nx-mixed: 2\r\n", target=b"/v1/x%20y?beta=true"))
    wire.until(BODY)
    seen = provider.wait_ended(1)[0]
    assert (seen.method, seen.target, seen.path) == ("POST", "/v1/x%20y?beta=true", "/v1/x%20y")
    assert seen.headers == ((b"Host", b"demo"), (b"content-length", b"3"), (b"X-Mixed", b"1"), (b"x-mixed", b"2"))
    assert (seen.body, seen.complete, seen.aborted) == (b"abc", True, False)
    assert seen.ended is not None
    assert seen.ended >= seen.begun


def test_a_connection_serves_many_requests(provider: BackgroundProvider, wire: Wire) -> None:
    for _ in range(3):
        wire.send(post())
        wire.until(BODY)
    assert [seen.connection for seen in provider.wait_ended(3)] == [0, 0, 0]


def test_pipelined_requests_are_answered_in_their_order(provider: BackgroundProvider, wire: Wire) -> None:
    gate = Gate()
    provider.script = lambda request: Answer(body=(gate, request.body), transfer="chunked")
    wire.send(b"".join(post(b"<%d>" % n) for n in range(40)))
    provider.wait_seen(1)
    gate.open()
    for n in range(40):
        assert wire.until(b"0\r\n\r\n").endswith(b"<%d>\r\n0\r\n\r\n" % n)


@given(st.lists(st.integers(1, 200), max_size=8))
@settings(max_examples=25, deadline=None)
def test_where_the_network_cuts_a_request_does_not_matter(cuts: list[int]) -> None:
    request = (
        b"POST / HTTP/1.1\r\nhost: demo\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n5;ext=1\r\ndefgh\r\n0\r\ntrailer: 1\r\n\r\n"
    )
    with running_provider(always(Answer(body=(BODY,)))) as provider:
        client = Wire(provider)
        edges = [0, *sorted({cut for cut in cuts if cut < len(request)}), len(request)]
        for start, end in pairwise(edges):
            client.send(request[start:end])
        client.until(BODY)
        client.socket.close()
        assert provider.requests[0].body == b"abcdefgh"


def test_a_client_that_asks_first_is_told_to_go_on(wire: Wire) -> None:
    wire.send(b"POST / HTTP/1.1\r\nhost: demo\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
    assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"abc")
    assert wire.until(b"\r\n").startswith(b"HTTP/1.1 200")


def test_thousands_of_pipelined_requests_are_answered(provider: BackgroundProvider, wire: Wire) -> None:
    gate = Gate()
    provider.script = in_turn(Answer(body=(gate,), transfer="chunked"), Answer(body=(b"done",)))
    wire.send(post() * 3000 + post(headers=b"connection: close\r\n"))
    provider.wait_seen(1)
    gate.open()
    assert wire.rest().count(b"done") == 3000


def test_connection_close_is_honoured(wire: Wire) -> None:
    wire.send(post(headers=b"connection: close\r\n"))
    assert b"connection: close" in wire.rest()


def test_a_head_request_gets_no_body(wire: Wire) -> None:
    wire.send(b"HEAD / HTTP/1.1\r\nhost: demo\r\n\r\nHEAD / HTTP/1.1\r\nhost: demo\r\n\r\n")
    assert b"content-length: 10" in wire.until(b"\r\n\r\n")
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_what_is_not_http_is_answered_400(wire: Wire) -> None:
    wire.send(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
    assert wire.rest().startswith(b"HTTP/1.1 400")


def test_an_early_answer_reaches_a_client_that_is_still_sending(provider: BackgroundProvider, wire: Wire) -> None:
    provider.early = lambda _: Answer(status=413, body=(BODY,))
    wire.send(b"POST / HTTP/1.1\r\nhost: demo\r\ncontent-length: 6\r\n\r\nabc")
    assert wire.until(BODY).startswith(b"HTTP/1.1 413")
    wire.send(b"def")
    assert wire.rest() == b""
    assert not provider.wait_ended(1)[0].complete


def test_chunks_go_out_one_a_piece_and_trailers_after_them(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(body=(b"ab", Piece(b"cde")), transfer="chunked", trailers=((b"x-end", b"1"),)))
    wire.send(post())
    wire.until(b"\r\n\r\n")
    assert wire.until(b"\r\n\r\n") == b"2\r\nab\r\n3\r\ncde\r\n0\r\nx-end: 1\r\n\r\n"


def test_a_gate_holds_what_comes_after_it(provider: BackgroundProvider, wire: Wire) -> None:
    gate = Gate()
    provider.script = always(Answer(body=(b"ab", gate, b"cd"), transfer="chunked"))
    wire.send(post())
    wire.until(b"2\r\nab\r\n")
    assert wire.read == b""
    assert provider.requests[0].ended is None
    gate.open()
    assert wire.until(b"0\r\n\r\n") == b"2\r\ncd\r\n0\r\n\r\n"


def test_a_client_that_leaves_is_noted_as_gone(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(body=(b"ab", Gate()), transfer="chunked"))
    wire.send(post())
    wire.until(b"ab\r\n")
    wire.socket.close()
    assert provider.wait_ended(1)[0].aborted


def test_a_client_that_leaves_inside_its_request_is_noted_as_gone(provider: BackgroundProvider, wire: Wire) -> None:
    wire.send(b"POST / HTTP/1.1\r\nhost: demo\r\ncontent-length: 6\r\n\r\nabc")
    wire.socket.shutdown(socket.SHUT_WR)
    seen = provider.wait_ended(1)[0]
    assert (seen.body, seen.complete, seen.aborted) == (b"abc", False, True)


def test_a_client_that_does_not_read_does_not_fill_the_memory(provider: BackgroundProvider, wire: Wire) -> None:
    made = 0

    def endless() -> Iterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield bytes(65536)

    provider.script = lambda _: Answer(body=endless(), transfer="chunked")
    wire.send(post())
    wire.until(b"\r\n\r\n")
    other = Wire(provider)  # answered only when the first one waits
    provider.script = always(Answer(body=(BODY,)))
    other.send(post())
    other.until(BODY)
    other.socket.close()
    assert made < 1000


def test_a_flood_ends_when_its_client_leaves(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = lambda _: Answer(body=iter(lambda: bytes(1000), None), transfer="chunked")
    wire.send(post())
    wire.until(b"\r\n\r\n")
    wire.socket.close()
    assert provider.wait_ended(1)[0].aborted


def test_a_bomb_unpacks_to_what_it_promises() -> None:
    assert zlib.decompress(bomb(blocks=3), 31) == bytes(3 << 20)
    assert len(bomb(blocks=3)) < 4000


def test_a_reset_comes_after_the_bytes_it_was_told(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(body=(BODY, BODY), transfer="chunked", fault=Reset(after=14)))
    wire.send(post())
    wire.until(b"4\r\n0123\r\n")
    with pytest.raises(ConnectionResetError):
        wire.rest()
    assert not provider.wait_ended(1)[0].aborted


def test_a_reset_before_headers_leaves_nothing(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(fault=Reset(before_headers=True)))
    wire.send(post())
    with pytest.raises(ConnectionResetError):
        wire.rest()
    assert wire.read == b""


@pytest.mark.parametrize(("transfer", "end"), [("chunked", b"4\r\n0123\r\n"), ("content-length", b"\r\n\r\n0123")])
def test_a_cut_ends_cleanly_and_too_soon(provider: BackgroundProvider, wire: Wire, transfer: str, end: bytes) -> None:
    provider.script = always(Answer(body=(BODY,), transfer=transfer, fault=Cut(after=4)))  # type: ignore[arg-type]
    wire.send(post())
    assert wire.rest().endswith(end)


def test_no_answer_is_a_clean_close(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(fault=Cut(before_headers=True)))
    wire.send(post())
    assert wire.rest() == b""


def test_a_stall_lasts_until_the_client_leaves(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(body=(BODY,), transfer="chunked", fault=Stall(after=4)))
    wire.send(post())
    wire.until(b"0123\r\n")
    wire.socket.close()
    assert provider.wait_ended(1)[0].aborted


def test_a_stall_ends_by_itself_when_its_time_is_up(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(fault=Stall(before_headers=True, seconds=0.01)))
    wire.send(post())
    assert wire.rest() == b""


def test_garbage_is_sent_raw(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(fault=Garble(b"\x00\xff")))
    wire.send(post())
    assert wire.rest() == b"\x00\xff"


def test_a_length_may_be_a_lie(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = always(Answer(body=(BODY,), declared_length=99, close=True))
    wire.send(post())
    assert b"content-length: 99" in wire.rest()
    assert wire.read.endswith(BODY)


def test_a_body_that_fails_breaks_the_connection(
    provider: BackgroundProvider, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    def failing() -> Iterator[bytes]:
        yield b"ab"
        raise ValueError("a test's own mistake")

    provider.script = lambda _: Answer(body=failing(), transfer="chunked")
    wire.send(post())
    wire.until(b"\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert not wire.rest().endswith(b"0\r\n\r\n")
    provider.wait_ended(1)
    assert "could not be played" in caplog.text


UNPACK = {
    "gzip": lambda: zlib.decompressobj(31).decompress,
    "deflate": lambda: zlib.decompressobj(15).decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_each_event_can_be_read_as_soon_as_it_arrives(coding: Coding) -> None:
    events = [b"data: %d\n\n" % n for n in range(5)]
    packed = [part for part in compressed(Answer(body=tuple(events)), coding).body if isinstance(part, Piece)]
    unpack = UNPACK[coding]()
    assert [unpack(piece.data) for piece in packed[:5]] == events


def test_dripping_changes_no_byte() -> None:
    parts = [part for part in dripped(Answer(body=(BODY, b"abc")), size=2).body if isinstance(part, Piece)]
    assert [len(part.data) for part in parts] == [2] * 6 + [1]
    assert b"".join(part.data for part in parts) == BODY + b"abc"


def test_only_the_last_requests_are_kept() -> None:
    with BackgroundProvider(always(Answer(body=(BODY,))), keep=2) as provider:
        client = Wire(provider)
        for n in range(4):
            client.send(post(b"%d" % n))
            client.until(BODY)
        provider.wait_for(lambda it: all(seen.ended for seen in it.requests))
        client.socket.close()
        assert [seen.body for seen in provider.requests] == [b"2", b"3"]


def test_stopping_drops_every_client_and_can_be_done_twice() -> None:
    with running_provider(always(Answer(fault=Stall()))) as provider:
        client = Wire(provider)
        client.send(post())
        provider.wait_seen(1)
        provider.stop()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
        with contextlib.suppress(ConnectionResetError):
            assert not client.rest().endswith(BODY)
        client.socket.close()
    assert provider.connections == 0


def test_a_waiter_is_told_that_nothing_came(provider: BackgroundProvider) -> None:
    with pytest.raises(ProviderDidNotSee) as refused:
        provider.wait_seen(1, timeout=0.01)
    assert "requests" in refused.value.remedy()


def test_answers_can_be_given_one_after_the_other(provider: BackgroundProvider, wire: Wire) -> None:
    provider.script = in_turn(Answer(status=429), Answer(status=529), Answer(body=(BODY,)))
    found = []
    for _ in range(4):
        wire.send(post())
        found.append(wire.until(b"\r\n\r\n").split()[1])
        if found[-1] == b"200":
            wire.until(BODY)
    assert found == [b"429", b"529", b"200", b"200"]


def test_a_header_is_found_in_any_spelling() -> None:
    request = SeenRequest(
        number=0, connection=0, method="GET", target="/", headers=((b"X-Api-KEY", b"k"),), body=b"", begun=0.0
    )
    assert (request.header("x-api-key"), request.header("absent")) == ("k", None)
