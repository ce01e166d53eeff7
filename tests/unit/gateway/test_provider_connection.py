"""A provider's answer reads the same however it arrives, ends where it says, and nothing else passes for one."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provider_connection import Malformed, ProviderConnection

CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nfirst\r\n6;ext=1\r\nsecond\r\n0\r\nx-trailer: no header\r\n\r\n"
)
SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
UNFRAMED = b"HTTP/1.1 200 OK\r\nx-a: b\r\n\r\nall of it"


class Wire:
    """A transport that notes what the protocol does to it."""

    def __init__(self) -> None:
        self.closing = self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_extra_info(self, _: str) -> None:
        return None


async def began(*, bodiless: bool = False, idle_seconds: float = 5.0) -> tuple[ProviderConnection, Wire]:
    """A connection whose request has just left."""
    connection, wire = ProviderConnection(asyncio.get_running_loop(), idle_seconds=idle_seconds), Wire()
    connection.connection_made(cast("asyncio.Transport", wire))
    connection.begin(bodiless=bodiless)
    connection.start_timeout()
    return connection, wire


async def whole(connection: ProviderConnection) -> bytes:
    """All that is still to be read."""
    pieces: list[bytes] = []
    while piece := await connection.read():
        pieces.append(piece)
    return b"".join(pieces)


def run(use: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(5):
            return await use()

    return asyncio.run(bounded())


@given(st.lists(st.integers(0, len(CHUNKED))))
def test_where_the_network_cuts_an_answer_does_not_matter(cuts: list[int]) -> None:
    async def use() -> None:
        connection, _ = await began()
        for start, end in pairwise([0, *sorted(cuts), len(CHUNKED)]):
            if start < end:
                connection.data_received(CHUNKED[start:end])
        await connection.head()
        assert (connection.status, connection.headers) == (200, [(b"X-Empty", b""), (b"Transfer-Encoding", b"chunked")])
        assert await whole(connection) == b"firstsecond"
        assert not connection.should_close
        connection.connection_lost(None)

    run(use)


def test_a_connection_serves_one_answer_after_the_other() -> None:
    async def use() -> None:
        connection, _ = await began()
        for _ in range(2):
            connection.begin(bodiless=False)
            connection.data_received(SIZED)
            assert await whole(connection) == b"ok"
            assert not connection.should_close
        connection.connection_lost(None)

    run(use)


@pytest.mark.parametrize("together", [True, False])
def test_an_answer_to_nothing_is_nobodys(together: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async def use() -> None:
        connection, wire = await began()
        for data in (SIZED + SIZED,) if together else (SIZED, SIZED):
            connection.data_received(data)
        assert await whole(connection) == b"ok"
        assert connection.should_close
        assert wire.closing
        connection.connection_lost(None)

    run(use)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"1" * 70_000,
        b"HTTP/1.1 200 OK\r\nx: " + b"1" * 70_000 + b"\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 1001 + b"content-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
    ],
    ids=["another protocol", "a head without end", "a head too large", "too many headers", "two lengths"],
)
def test_what_cannot_be_read_is_no_answer(answer: bytes) -> None:
    async def use() -> None:
        connection, wire = await began()
        connection.data_received(answer)
        with pytest.raises(Malformed):
            await connection.head()
        assert wire.closing
        connection.connection_lost(None)

    run(use)


def test_trailers_without_end_are_not_collected() -> None:
    async def use() -> None:
        connection, wire = await began()
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
        for _ in range(70):
            connection.data_received(b"x: " + b"1" * 1000 + b"\r\n")
        assert await connection.read() == b"ok"
        with pytest.raises(Malformed):
            await connection.read()
        assert wire.closing
        connection.connection_lost(None)

    run(use)


@pytest.mark.parametrize("lost", [None, ConnectionResetError("reset")])
def test_a_body_that_says_nowhere_how_long_it_is_ends_with_its_connection_unless_that_was_reset(
    lost: OSError | None,
) -> None:
    async def use() -> None:
        connection, _ = await began()
        connection.data_received(UNFRAMED)
        connection.connection_lost(lost)
        assert await connection.read() == b"all of it"
        if lost is None:
            assert await connection.read() == b""
        else:
            with pytest.raises(ConnectionResetError):
                await connection.read()
        assert connection.should_close

    run(use)


def test_a_body_that_ends_before_its_length_is_broken_and_what_came_of_it_is_read() -> None:
    async def use() -> None:
        connection, _ = await began()
        connection.data_received(SIZED[:-1])
        connection.connection_lost(None)
        assert await connection.read() == b"o"
        with pytest.raises(ConnectionResetError):
            await connection.read()

    run(use)


def test_an_answer_without_a_body_is_whole_with_its_head_and_its_connection_is_not_used_again() -> None:
    async def use() -> None:
        connection, _ = await began(bodiless=True)
        connection.data_received(SIZED.removesuffix(b"ok"))
        await connection.head()
        assert await connection.read() == b""
        assert connection.should_close
        connection.connection_lost(None)

    run(use)


def test_silence_ends_the_wait_and_every_sign_of_life_prolongs_it() -> None:
    async def use() -> None:
        connection, _ = await began(idle_seconds=0.2)
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        loop.call_later(0.1, connection.data_received, UNFRAMED)
        assert await connection.read() == b"all of it"
        with pytest.raises(TimeoutError):
            await connection.read()
        assert loop.time() - began_at >= 0.3 - 0.001
        assert connection.should_close
        connection.connection_lost(None)

    run(use)


def test_who_does_not_read_holds_the_provider_back_and_is_not_called_silent_for_it() -> None:
    async def use() -> None:
        connection, wire = await began(idle_seconds=0.01)
        connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 200001\r\n\r\n")
        connection.data_received(b"x" * 200_000)
        assert wire.paused
        late = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.03, late.set_result, None)
        await late  # longer than the provider may be silent
        assert len(await connection.read()) == 200_000
        assert not wire.paused
        connection.data_received(b"x")
        assert await whole(connection) == b"x"
        assert not connection.should_close
        connection.connection_lost(None)

    run(use)


def test_an_answer_that_is_whole_but_unread_leaves_its_connection_listening() -> None:
    async def use() -> None:
        connection, wire = await began()
        connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000)
        assert not wire.paused
        connection.begin(bodiless=False)
        connection.data_received(SIZED)
        assert await whole(connection) == b"ok"
        connection.connection_lost(None)

    run(use)


def test_an_answer_that_has_begun_is_read_on_although_its_request_will_never_be_whole() -> None:
    async def use() -> None:
        connection, _ = await began()
        connection.data_received(SIZED[:-1])
        assert await connection.read() == b"o"
        rest = asyncio.ensure_future(connection.read())
        await asyncio.sleep(0)
        connection.owes(ConnectionAbortedError("the upload broke"))
        await asyncio.sleep(0)
        connection.data_received(SIZED[-1:])
        assert await rest == b"k"
        assert connection.should_close
        connection.connection_lost(None)

    run(use)
