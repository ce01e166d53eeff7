"""A gateway in front of tool servers of the official SDK, and that SDK's client on the other side."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mcp
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.fakes.gateway import free_port
from tests.gateway.house import House, standing, waited
from tests.gateway.rawhttp import Response, request
from tests.gateway.test_policies import settings

ROOT = Path(__file__).parents[2]
T = TypeVar("T")

OFFICIAL = [sys.executable, "-m", "tests.fakes.tool_server"]
"""The program of a tool server."""


@contextmanager
def tool_server(*options: str) -> Iterator[str]:
    """A tool server over streamable HTTP; its address."""
    port = free_port()
    process = subprocess.Popen(
        [*OFFICIAL, "http", str(port), *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def answers() -> bool | None:
        assert process.poll() is None, "the tool server did not start"
        with socket.socket() as probe:
            return True if probe.connect_ex(("127.0.0.1", port)) == 0 else None

    try:
        waited(answers, seconds=60)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(10)


@dataclass(frozen=True)
class ToolHouse:
    """A house, and what its configuration is."""

    house: House
    config: Path

    def url(self, server: str) -> str:
        host, port = self.house.gateway.address
        return f"http://{host}:{port}/mcp/{server}"

    def command(self, server: str, *more: str) -> list[str]:
        """The command an MCP client is given for a server over stdio."""
        return [
            sys.executable,
            "-m",
            "gateway.cli.main",
            "mcp",
            "--server",
            server,
            "--config",
            str(self.config),
            *more,
        ]

    @asynccontextmanager
    async def client(self, server: str, mode: str, **more: Any) -> AsyncIterator[mcp.Client]:
        """The SDK's client of a server: over HTTP, or over stdio where its name says so."""
        if server.startswith("pipe"):
            command, *arguments = self.command(server)
            target: Any = stdio_client(StdioServerParameters(command=command, args=arguments, cwd=ROOT))
        else:
            target = self.url(server)
        async with mcp.Client(target, mode=mode, **more) as client:
            yield client

    @contextmanager
    def clients(self) -> Iterator["Clients"]:
        """Clients that stay open from test to test."""
        with start_blocking_portal() as portal, ExitStack() as opened:
            yield Clients(self, portal, opened, {})

    def post(self, server: str, body: bytes, *headers: tuple[bytes, bytes]) -> Response:
        """One message, as bytes, on a connection of its own."""
        kind = (b"content-type", b"application/json")
        accept = (b"accept", b"application/json, text/event-stream")
        whole = request(f"/mcp/{server}".encode(), body, headers=[kind, accept, *headers], host=b"localhost")
        return self.house.ask(whole)

    def exchanges(self, server: str) -> list[dict[str, Any]]:
        """What is recorded of a server, newest first."""
        listed = json.loads(self.house.control("/api/exchanges?limit=200")[1])["exchanges"]
        return [each for each in listed if each["provider"] == f"mcp/{server}"]


@dataclass(frozen=True)
class Clients:
    """One client of the SDK a server and mode; opening one over a pipe starts two programs."""

    tools: ToolHouse
    _portal: BlockingPortal
    _opened: ExitStack
    _open: dict[tuple[str, str], mcp.Client]

    def run(self, server: str, mode: str, work: Callable[[mcp.Client], Awaitable[T]], *, seconds: float = 30.0) -> T:
        """What this work with a client comes to."""
        way = (server, mode)
        if way not in self._open:
            opening = self._portal.wrap_async_context_manager(self.tools.client(server, mode))
            self._open[way] = self._opened.enter_context(opening)

        async def bounded() -> T:
            return await asyncio.wait_for(work(self._open[way]), seconds)

        return self._portal.call(bounded)

    def call(self, server: str, mode: str, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """The results of calls, one after the other."""

        async def work(client: mcp.Client) -> list[Any]:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

        return self.run(server, mode, work)


@contextmanager
def tool_house(folder: Path, *, more: str, enforce: bool = True, hold_seconds: int = 8) -> Iterator[ToolHouse]:
    """A gateway whose configuration ends with these tables of MCP servers."""
    with standing(folder, more=settings(folder, enforce=enforce, hold_seconds=hold_seconds) + more) as house:
        yield ToolHouse(house, folder / "stepwarden.toml")


def table(name: str, **values: Any) -> str:
    """An [mcp.NAME] table."""
    return f"\n[mcp.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def run(work: Callable[[], Awaitable[T]], *, seconds: float = 30.0) -> T:
    """Run a client to its end."""

    async def bounded() -> T:
        return await asyncio.wait_for(work(), seconds)

    return asyncio.run(bounded())


def words(result: Any) -> str:
    """The text of a tool's result."""
    return "\n".join(block.text for block in result.content if block.type == "text")
