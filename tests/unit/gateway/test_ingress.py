"""Ingress: bodies come whole and bounded, or not at all."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Limits
from gateway.refusals import BadFraming, BodyTooLarge, TooSlow
from gateway.server import DOOR, Door
from gateway.stations.ingress import ClientGone, check, has_body, read_body, stream_body

LIMITS = Limits(body_bytes=1024)
HASTY = Limits(body_bytes=1024, body_seconds=0.05)
"""For those alone that are too slow."""


def arriving() -> Door:
    """The door of a request whose body is still on its way."""
    return Door(lambda: None, lambda: None)


def receiving(messages: Sequence[dict[str, Any]], *, silent: bool = False) -> Any:
    """An ASGI receive that gives these messages, then says the caller left, or nothing at all."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        if left:
            return left.pop(0)
        if silent:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    return receive


def parts(*pieces: bytes, end: bool = True) -> list[dict[str, Any]]:
    found = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if end:
        found.append({"type": "http.request", "body": b"", "more_body": False})
    return found


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_a_body_comes_whole_however_it_is_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert asyncio.run(read_body(receiving(parts(*pieces)), arriving(), [], LIMITS)) == whole

    async def streamed() -> bytes:
        return b"".join([piece async for piece in stream_body(receiving(parts(*pieces)), LIMITS)])

    assert asyncio.run(streamed()) == whole


@pytest.mark.parametrize("size", [1024, 1025, 5000])
def test_a_body_is_read_up_to_its_cap_and_no_further(size: int) -> None:
    body = parts(bytes(size))
    if size <= 1024:
        assert len(asyncio.run(read_body(receiving(body), arriving(), [], LIMITS))) == size
        return
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_body(receiving(body), arriving(), [], LIMITS))


def test_a_body_announced_too_large_is_refused_unread() -> None:
    never = receiving([], silent=True)
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_body(never, arriving(), [(b"content-length", b"1025")], LIMITS))


def test_a_caller_that_leaves_in_the_middle_sent_no_request() -> None:
    with pytest.raises(ClientGone):
        asyncio.run(read_body(receiving(parts(b"half", end=False)), arriving(), [], LIMITS))


def test_a_caller_that_falls_silent_is_too_slow() -> None:
    with pytest.raises(TooSlow):
        asyncio.run(read_body(receiving(parts(b"half", end=False), silent=True), arriving(), [], HASTY))


def test_a_caller_that_drips_is_too_slow_in_the_end() -> None:
    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(TooSlow):
        asyncio.run(read_body(drip, arriving(), [(b"content-length", b"1000")], HASTY))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        ([(b"content-length", b"0")], False),
        ([(b"content-length", b"5")], True),
        ([(b"transfer-encoding", b"chunked")], True),
    ],
)
def test_a_body_is_expected_where_one_is_announced(headers: list[tuple[bytes, bytes]], expected: bool) -> None:  # noqa: FBT001 - a column of the table
    assert has_body(headers) is expected


def test_a_body_that_drips_has_the_time_of_the_length_it_announced() -> None:
    async def dripping() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    patient = Limits(body_bytes=1 << 30, body_seconds=0.2)
    announced = [(b"content-length", b"1000")]
    with pytest.raises(TooSlow):
        asyncio.run(asyncio.wait_for(read_body(dripping, arriving(), announced, patient), 20))


@pytest.mark.parametrize("rounds", range(4))
def test_a_path_that_climbs_out_is_refused_however_often_it_is_encoded(rounds: int) -> None:
    up = b".."
    for _ in range(rounds):
        up = quote_from_bytes(up, safe="").replace(".", "%2E").encode()
    for path, climbs in ((b"/openai/%b/x", True), (b"/openai/v1/%b/%b/x", True), (b"/openai/v1/%b/x", False)):
        scope = {"extensions": {DOOR: arriving()}, "raw_path": path.replace(b"%b", up), "headers": []}
        with pytest.raises(BadFraming) if climbs else nullcontext():
            check(scope)
