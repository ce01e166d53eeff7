"""A recording relay for TCP: a wire-tap on either side of whatever stands between a client and a server.

It knows no HTTP. Bytes are relayed as they come and kept with the time they came; a half-close is passed
on as a half-close and a reset as a reset, so that neither side can tell the tap from a cable.
"""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CHUNK = 65_536
LINGER_ZERO = struct.pack("ii", 1, 0)
"""With this in SO_LINGER, closing a socket sends a reset."""


def as_it_is(data: bytes) -> bytes:
    """Change nothing: what every tap does unless a test of the comparer asks otherwise."""
    return data


@dataclass
class Line:
    """What went over one connection: (seconds, bytes) per read, in the order of arrival."""

    opened: float
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    """From the client."""
    received: list[tuple[float, bytes]] = field(default_factory=list)
    """From the server."""
    reset_by: str | None = None
    """`client` or `server`, where the connection ended with a reset."""


class Tap:
    """Relays 127.0.0.1:`port` to `target` and keeps every byte; runs in a thread of its own."""

    def __init__(
        self,
        target: tuple[str, int],
        *,
        alter_sent: Callable[[bytes], bytes] = as_it_is,
        alter_received: Callable[[bytes], bytes] = as_it_is,
    ) -> None:
        self.target = target
        self.lines: list[Line] = []
        self.port = 0
        self._alter_sent = alter_sent
        self._alter_received = alter_received
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, limit=CHUNK)
        return self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _relay(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._connect(client_in, client_out)
        except asyncio.CancelledError:
            client_out.transport.abort()
        finally:
            self._open.discard(task)

    async def _connect(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        line = Line(opened=time.monotonic())
        self.lines.append(line)
        try:
            server_in, server_out = await asyncio.open_connection(*self.target, limit=CHUNK)
        except OSError:
            line.reset_by = "server"
            _reset(client_out)
            return
        for out in (client_out, server_out):
            out.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(
                _pump(client_in, server_out, line.sent, self._alter_sent, line, "client"),
                _pump(server_in, client_out, line.received, self._alter_received, line, "server"),
            )
        finally:
            for out in (client_out, server_out):
                if line.reset_by:
                    _reset(out)
                else:
                    out.close()


async def _pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    log: list[tuple[float, bytes]],
    alter: Callable[[bytes], bytes],
    line: Line,
    side: str,
) -> None:
    """Relay one direction until its end; the log holds what was read, the sink gets what `alter` makes of it."""
    try:
        while data := await source.read(CHUNK):
            log.append((time.monotonic(), data))
            sink.write(alter(data))
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except ConnectionError:
        line.reset_by = line.reset_by or side
        _reset(sink)
    except OSError:
        sink.close()  # the other direction closed this socket first


def _reset(out: asyncio.StreamWriter) -> None:
    """Close with a reset, dropping what is not sent yet."""
    sock = out.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    out.transport.abort()
