"""An answer that is at hand whole leaves in one write; one that is cut short still shows its head."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from gateway.config import Limits
from gateway.server import DOOR, Door, protocol_class

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
App = Callable[[Any, Any, Any], Awaitable[None]]


class Caller:
    """A transport that keeps every write by itself."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _: str) -> None:
        return None

    def resume_reading(self) -> None:
        return


def writes(app: App) -> list[bytes]:
    """What reaches a caller of this application, write by write."""

    async def serve() -> list[bytes]:
        state, caller = ServerState(), Caller()
        protocol = protocol_class(Limits())(uvicorn.Config(app, log_config=None), state, {})
        protocol.connection_made(cast("asyncio.Transport", caller))
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.gather(*state.tasks)
        protocol.connection_lost(None)
        return caller.writes

    return asyncio.run(serve())


async def say(send: Any, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def test_a_head_leaves_with_the_bytes_it_was_joined_to_and_with_no_others() -> None:
    async def app(scope: Any, _: Any, send: Any) -> None:
        door: Door = scope["extensions"][DOOR]
        door.join_head()
        await send(START)
        await say(send, b"o", more=True)
        await say(send, b"k", more=False)

    assert writes(app) == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", b"k"]


def test_a_head_whose_body_may_be_long_in_coming_leaves_at_once() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send(START)
        await say(send, b"ok", more=False)

    assert writes(app) == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"ok"]


def test_a_cut_shows_the_head_that_waited_for_its_body() -> None:
    async def app(scope: Any, _: Any, send: Any) -> None:
        door: Door = scope["extensions"][DOOR]
        door.join_head()
        await send(START)
        door.abort()

    assert writes(app) == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"]
