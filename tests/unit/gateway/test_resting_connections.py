"""A provider's connection is used again while it can be, and for no longer than it may rest."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway import http
from gateway.http import ProviderClient


class Provider:
    """Answers every request on a connection, until told to hang up after one."""

    def __init__(self) -> None:
        self.connections = 0
        self.ended = asyncio.Event()
        self.hangs_up = False
        self.serving: list[asyncio.Task[None] | None] = []
        self.says_more = b""
        """Sent behind an answer, where nobody asked for it."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving.append(asyncio.current_task())
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + self.says_more)
            if self.hangs_up:
                break
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        self.ended.set()


async def ask(client: ProviderClient) -> bytes:
    answer = await client.send("GET", "/", [], None)
    return await answer.read()


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
            await client.close()
            server.close()
            await asyncio.gather(*filter(None, provider.serving), return_exceptions=True)

    asyncio.run(run())


def test_requests_one_after_the_other_share_a_connection() -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        assert [await ask(client) for _ in range(3)] == [b"ok"] * 3
        assert provider.connections == 1

    with_provider(use)


def test_requests_at_once_have_a_connection_each_and_keep_them_for_the_next_ones() -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        for _ in range(3):
            await asyncio.gather(*[ask(client) for _ in range(4)])
        assert provider.connections == 4

    with_provider(use)


def test_a_connection_that_rested_for_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_REST_SECONDS", -1.0)

    async def use(client: ProviderClient, provider: Provider) -> None:
        await ask(client)
        await ask(client)
        assert provider.connections == 2

    with_provider(use)


def test_a_connection_that_nobody_needs_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_REST_SECONDS", 0.01)

    async def use(client: ProviderClient, provider: Provider) -> None:
        await ask(client)
        await provider.ended.wait()

    with_provider(use)


def test_a_connection_that_the_provider_ended_meanwhile_is_not_used_again() -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        provider.hangs_up = True
        await ask(client)
        await provider.ended.wait()
        provider.hangs_up = False
        for _, incoming, _ in client._resting._waiting:
            if incoming.closed is not None:
                await incoming.closed
        assert await ask(client) == b"ok"
        assert provider.connections == 2

    with_provider(use)


def test_a_connection_on_which_more_came_than_was_asked_for_serves_nobody_else() -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        provider.says_more = b"HTTP/1.1 200 OK\r\n"
        await ask(client)
        provider.says_more = b""
        assert await ask(client) == b"ok"
        assert provider.connections == 2

    with_provider(use)


def test_closing_the_pool_closes_what_rests_and_what_comes_back_later() -> None:
    async def use(client: ProviderClient, provider: Provider) -> None:
        late = await client.send("GET", "/", [], None)
        await ask(client)
        await client.close()
        await provider.ended.wait()
        late.close()
        assert not client._resting._waiting

    with_provider(use)
