"""Events with their bytes: nothing is lost or added, wherever the network cuts, and nothing endless is kept."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.frames import Frames, Oversized, reframed

STREAM = (
    b': hello\n\nid: 1\ndata:\n\nevent: message\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
    b"data: two\r\rretry: 5\n\ndata: three\n\n"
)
DATA = [None, b"", b'{"a":\n1}', b"two", None, b"three"]


@given(st.lists(st.integers(0, len(STREAM))))
def test_where_the_network_cuts_events_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    frames = Frames(1000)
    found = [frame for at, end in pairwise(edges) for frame in frames.feed(STREAM[at:end])]
    read = [None if frame.event is None else frame.event.data for frame in found if frame.raw.strip()]
    assert read == DATA
    assert b"".join(frame.raw for frame in found) + frames.rest == STREAM


@given(st.integers(1, 40))
def test_an_event_that_is_too_long_is_not_read(limit: int) -> None:
    frames = Frames(limit)
    assert frames.feed(b"x" * limit) == []
    with pytest.raises(Oversized):
        frames.feed(b"x")
    with pytest.raises(Oversized):
        Frames(limit).feed(b"x" * limit + b"\n\n")


def test_the_data_of_an_event_changes_and_its_other_lines_do_not() -> None:
    (frame,) = Frames(1000).feed(b"event: message\r\nid: 7\r\ndata: a\r\ndata: b\r\n\r\n")
    assert reframed(frame, b"c") == b"event: message\r\nid: 7\r\ndata: c\r\n\r\n"
