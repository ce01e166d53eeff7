"""What the provider is told of a body's length is what it gets, or the connection serves nobody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.http import ProviderClient
from gateway.refusals import BadFraming, UpstreamBroke

FIVE = [(b"content-length", b"5")]


class Provider:
    """Notes what each connection carried; answers at the head, and ends its answer once it is told to."""

    def __init__(self) -> None:
        self.carried: list[bytearray] = []
        self.answers = True
        self.may_end = asyncio.Event()
        self.closed = asyncio.Event()
        self.serving: set[asyncio.Task[None] | None] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.current_task())
        carried = bytearray()
        self.carried.append(carried)
        while more := await reader.read(1 << 16):
            carried += more
            if more.endswith(b"\r\n\r\n") or more.startswith(b"POST"):
                await self.answer(writer)
        self.closed.set()
        writer.close()
        await writer.wait_closed()

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        if self.answers:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
            await self.may_end.wait()
            writer.write(b"k")


async def pieces(*parts: bytes, hold: Callable[[], Awaitable[Any]] | None = None) -> AsyncIterator[bytes]:
    """A body in parts, the last of which waits for `hold`."""
    for part in parts[:-1]:
        yield part
    if hold is not None:
        await hold()
    for part in parts[-1:]:
        yield part


def with_provider(use: Callable[[ProviderClient, Provider], Awaitable[None]]) -> None:
    async def run() -> None:
        provider = Provider()
        server = await asyncio.start_server(provider, "127.0.0.1", 0)
        client = ProviderClient(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connect_seconds=5, idle_seconds=5
        )
        try:
            async with asyncio.timeout(5):
                await use(client, provider)
        finally:
            provider.may_end.set()
            await client.close()
            server.close()
            await asyncio.gather(*filter(None, provider.serving))

    asyncio.run(run())


@pytest.mark.parametrize("body", [None, b"", b"four", b"sixsix"])
def test_a_whole_body_of_another_length_than_announced_is_not_sent(body: bytes | None) -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        with pytest.raises(BadFraming):
            await client.send("POST", "/x", FIVE, body)
        assert not provider.carried

    with_provider(use)


@pytest.mark.parametrize("value", [b"", b"-1", b"+5", b"0x5", b"5, 5"])
def test_a_length_that_is_no_number_is_not_sent(value: bytes) -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        with pytest.raises(BadFraming):
            await client.send("POST", "/x", [(b"content-length", value)], b"12345")
        with pytest.raises(BadFraming):
            await client.send("POST", "/x", [*FIVE, (b"content-length", value)], b"12345")
        assert not provider.carried

    with_provider(use)


@pytest.mark.parametrize("parts", [(), (b"four",), (b"thr", b"thr")], ids=["nothing", "too little", "too much"])
def test_a_streamed_body_of_another_length_than_announced_ends_its_connection(parts: tuple[bytes, ...]) -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        provider.answers = False
        with pytest.raises(UpstreamBroke):
            await client.send("POST", "/x", FIVE, pieces(*parts))
        await provider.closed.wait()
        assert len(provider.carried[0].partition(b"\r\n\r\n")[2]) <= 5

    with_provider(use)


@pytest.mark.parametrize("parts", [(), (b"four",), (b"thr", b"thr")], ids=["nothing", "too little", "too much"])
def test_a_connection_that_owes_its_provider_bytes_serves_nobody_else(parts: tuple[bytes, ...]) -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        ended = asyncio.Event()
        first = await client.send("POST", "/x", FIVE, pieces(*parts, hold=ended.wait))
        assert await first.read() == b"o"
        ended.set()
        await asyncio.sleep(0)  # the upload ends, and only then the answer
        provider.may_end.set()
        assert await first.read() == b"k"
        second = await client.send("GET", "/y", [], None)
        assert len(provider.carried) == 2
        second.close()

    with_provider(use)


def test_a_connection_that_got_all_it_was_promised_is_used_again() -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        provider.may_end.set()
        for body in (b"12345", pieces(b"123", b"45")):
            answer = await client.send("POST", "/x", FIVE, body)
            while await answer.read():
                pass
        assert len(provider.carried) == 1

    with_provider(use)
