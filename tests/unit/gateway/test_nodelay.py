"""Small packets leave at once on both legs: Nagle's algorithm is off (TCP_NODELAY)."""

import asyncio
import socket
from typing import Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from gateway.config import Limits
from gateway.http import ProviderClient
from gateway.server import protocol_class


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


def nodelay(transport: asyncio.BaseTransport) -> bool:
    return bool(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


async def both_legs() -> tuple[bool, bool]:
    """The gateway's HTTP client speaking to the gateway's HTTP server: each end says how its socket is set."""
    settings = uvicorn.Config(answer, log_config=None)
    state = ServerState()
    protocol = protocol_class(Limits())
    server = await asyncio.get_running_loop().create_server(lambda: protocol(settings, state, {}), "127.0.0.1", 0)
    client = ProviderClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connect_seconds=5, idle_seconds=5)
    try:
        got: Any = await client.send("GET", "/", [], None)
        towards_callers = [nodelay(each.transport) for each in state.connections]
        towards_providers = nodelay(got._connection.transport)
        got.close()
    finally:
        await client.close()
        server.close()
    return all(towards_callers) and bool(towards_callers), towards_providers


def test_neither_leg_holds_small_packets_back() -> None:
    assert uvloop.run(both_legs()) == (True, True)
