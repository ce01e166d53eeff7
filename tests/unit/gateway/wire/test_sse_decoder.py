from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.sse import Event, SseDecoder

STREAM = (
    b"\xef\xbb\xbf: hello\n\n"
    b'event: message_start\ndata: {"a":1}\n\n'
    b"data: one\ndata: two\nid: 7\nretry: 5\n\n"
    b"data:tight\r\n\r\n"
    b"data: cr only\r\r"
    b"\n\n\nevent: named\r\n: comment\r\ndata: x\r\n\r\n"
    b"event: without data\n\n"
    b"data\n\n"
    b"data:  two spaces\n\n"
)
EVENTS = [
    Event("message_start", b'{"a":1}'),
    Event("", b"one\ntwo"),
    Event("", b"tight"),
    Event("", b"cr only"),
    Event("named", b"x"),
    Event("", b""),
    Event("", b" two spaces"),
]


def fed(pieces: list[bytes], decoder: SseDecoder) -> list[Event]:
    return [event for piece in pieces for event in decoder.feed(piece)]


@given(st.lists(st.integers(0, len(STREAM))))
def test_where_the_network_cuts_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    decoder = SseDecoder()
    got = fed([STREAM[start:end] for start, end in pairwise(edges)], decoder)
    assert (got, decoder.pending) == (EVENTS, b"")


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    decoder = SseDecoder()
    assert fed([STREAM[at : at + 1] for at in range(len(STREAM))], decoder) == EVENTS


def test_a_cut_stream_is_not_a_finished_one() -> None:
    decoder = SseDecoder()
    assert decoder.feed(STREAM[:-1]) == EVENTS[:-1]
    assert decoder.pending == b"data:  two spaces\n"


@given(
    st.lists(st.sampled_from([b"data: ", b"event: ", b"x" * 9, b"\n", b"\r", b"\r\n", b"\n\n", b":", b"\xef\xbb\xbf"])),
    st.lists(st.integers(0, 200)),
)
@example([b"data: ", b"x" * 9, b":" * 5, b"\n", b"\n"], [21])
@example([b"data: ", b"data: ", b"\n", b"event: ", b"data: ", b"\n\n"], [22])
def test_any_lines_cut_anywhere_give_the_same_events_under_a_small_limit(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(lines)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    whole, pieces = SseDecoder(limit=20), SseDecoder(limit=20)
    assert whole.feed(stream) == fed([stream[start:end] for start, end in pairwise(edges)], pieces)
    assert whole.dropping == pieces.dropping
    assert whole.dropping or whole.pending == pieces.pending


@pytest.mark.parametrize("step", [1, 3, 64, 4096])
def test_an_event_over_the_limit_is_dropped_by_name_and_the_next_one_is_read(step: int) -> None:
    stream = b"event: response.completed\ndata: " + b"x" * 2000 + b"\n\ndata: next\n\n"
    decoder = SseDecoder(limit=1000)
    got = fed([stream[at : at + step] for at in range(0, len(stream), step)], decoder)
    assert got == [Event("response.completed", b"", dropped=True), Event("", b"next")]


def test_an_endless_line_keeps_no_more_than_the_limit() -> None:
    decoder = SseDecoder(limit=1000)
    for _ in range(100):
        assert decoder.feed(b"data: " + b"x" * 500) == []
    assert decoder.dropping
    assert len(decoder.pending) <= 1000


@given(st.binary())
def test_any_bytes_at_all_are_read_without_an_error(data: bytes) -> None:
    SseDecoder().feed(data)
