"""Frames: whatever is cut out can be put back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.vocabulary.exchanges import Cut
from storage.frame import Broken, join, locate, split
from tests.unit.storage.stored import compact, request_body


@st.composite
def cut_bodies(draw: st.DrawFn) -> tuple[bytes, tuple[Cut, ...]]:
    raw = draw(st.one_of(st.binary(max_size=60), st.text("ab,", max_size=60).map(str.encode)))
    raw *= draw(st.sampled_from([1, 1, 1, 40]))
    points = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=24)))
    pairs = zip(points[::2], points[1::2], strict=False)
    return raw, tuple((start, end, draw(st.booleans())) for start, end in pairs)


@given(cut_bodies())
def test_any_body_with_any_cuts_is_put_together_exactly(made: tuple[bytes, tuple[Cut, ...]]) -> None:
    raw, cuts = made
    apart = split(raw, cuts)
    assert apart is not None
    assert join(apart.frame, apart.lead, apart.messages) == raw


@given(cut_bodies())
def test_every_cut_is_found_where_it_lies(made: tuple[bytes, tuple[Cut, ...]]) -> None:
    raw, cuts = made
    apart = split(raw, cuts)
    assert apart is not None
    for index, (start, end, _) in enumerate(cuts):
        found = locate(apart.frame, len(apart.messages), index)
        assert found is not None
        chain, place = found
        assert (apart.messages if chain == "messages" else apart.lead)[place] == raw[start:end]
    assert locate(apart.frame, len(apart.messages), len(cuts)) is None


@pytest.mark.parametrize("cuts", [((2, 1, True),), ((0, 3, True), (2, 4, True)), ((0, 99, True),), ((-1, 2, False),)])
def test_ranges_that_are_none_of_the_body_are_refused(cuts: tuple[Cut, ...]) -> None:
    assert split(b"0123456789", cuts) is None


def test_the_frame_does_not_grow_with_the_history() -> None:
    messages = [compact({"role": "user", "content": f"message {number}"}) for number in range(200)]
    frames = set[bytes]()
    for length in (1, 2, 3, 40, 200):
        body = request_body([("system", "Be kind."), ("tools", [])], messages[:length])
        apart = split(body.raw or b"", body.cuts)
        assert apart is not None
        frames.add(apart.frame)
    assert len(frames) == 1


@given(st.binary(max_size=60))
def test_a_frame_of_garbage_is_broken_and_nothing_else(garbage: bytes) -> None:
    try:
        join(garbage, (), ())
    except Broken:
        return
    assert garbage  # garbage may happen to be a frame of no holes


def test_missing_and_surplus_pieces_are_noticed() -> None:
    apart = split(b"[abc,def]", ((1, 4, True), (5, 8, False)))
    assert apart is not None
    with pytest.raises(Broken):
        join(apart.frame, (), apart.messages)
    with pytest.raises(Broken):
        join(apart.frame, (*apart.lead, b"more"), apart.messages)
