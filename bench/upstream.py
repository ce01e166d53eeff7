"""The bench's provider: as fast as Python gets, valid in both wire formats, stamps the time into every chunk.

    python -m bench.upstream --port 9000 [--cpu 0]

`GET /count` answers how many POST requests arrived so far, as plain digits.
"""

import argparse
import asyncio
import time
from typing import cast

import httptools
import uvloop

from bench.payloads import Events, dialect_of, orders, reply
from bench.pin import pin

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\ncontent-length: %d\r\n\r\n"
# X-Accel-Buffering makes nginx relay each chunk at once, for streams only.
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
    b"request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Counter:
    """POST requests seen by all connections."""

    def __init__(self) -> None:
        self.requests = 0


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Provider(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """The request target."""
        self._path = url

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """A whole request: answer it."""
        body, self._body = b"".join(self._body), []
        if self._parser.get_method() != b"POST":
            text = b"%d" % self._counter.requests
            self._transport.write(_HEAD % len(text) + text)
            return
        self._counter.requests += 1
        dialect = dialect_of(self._path)
        wanted = orders(body)
        if wanted is None:
            answer = reply(dialect, body)
            self._transport.write(_HEAD % len(answer) + answer)
            return
        Play(self._transport, Events(dialect), *wanted).start()


class Play:
    """One stream on its way out, paced from its own start so that it does not drift."""

    def __init__(self, transport: asyncio.Transport, events: Events, chunks: int, pace: float) -> None:
        self._transport = transport
        self._events = events
        self._chunks = chunks
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._sent = 0

    def start(self) -> None:
        """Send headers and the first chunk together, as providers do."""
        self._write(_STREAM_HEAD, self._events.first)

    def _next(self) -> None:
        self._write(b"", b"")

    def _write(self, head: bytes, preamble: bytes) -> None:
        if self._transport.is_closing():
            return
        self._sent += 1
        done = self._sent >= self._chunks
        event = preamble + self._events.delta(time.monotonic_ns()) + (self._events.last if done else b"")
        self._transport.write(head + _chunk(event) + (b"0\r\n\r\n" if done else b""))
        if not done:
            self._loop.call_at(self._began + self._sent * self._pace, self._next)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(counter), "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cpu", type=int)
    given = parser.parse_args()
    pin(given.cpu)
    uvloop.run(serve(given.port))


if __name__ == "__main__":
    main()
