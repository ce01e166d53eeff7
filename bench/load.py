"""One run of load against one address on this machine, from one process; prints its figures as one JSON line.

    python -m bench.load --port 8787 --prefix /openai --size 60k --kind sessions --concurrency 64 --seconds 5

Closed loop: each connection sends its next request when the last answer is whole. Every run is bounded by seconds
and by `--requests`. Latency is from the write of a request to its last byte. In streams, time to first chunk is to
the first byte of the body, and lag is receive time minus the send time the provider stamped into the chunk (both
CLOCK_MONOTONIC of this machine).
"""

import argparse
import asyncio
import random
import re
import time
from pathlib import Path
from typing import Any, TypeAlias, cast

import httptools
import msgspec
import uvloop

from bench.payloads import END_OF_STREAM, PATHS, DialectName, Repeat, Session, Stream
from bench.pin import pin

_STAMP = re.compile(rb"@@(\d{19})@@")
_EXCHANGE = b"stepwarden-exchange"
_GRACE_SECONDS = 30.0

Caller: TypeAlias = Session | Repeat | Stream


class Tally(msgspec.Struct):
    """What all connections of a run saw; times in nanoseconds."""

    deadline_ns: int
    warm_ns: int
    """Requests sent before this are counted and not timed."""
    remaining: int
    """How many more requests may be sent."""
    expected_chunks: int
    sent: int = 0
    done: int = 0
    """Answers with status 200, whole."""
    clean_streams: int = 0
    statuses: dict[int, int] = {}
    broken: int = 0
    """Connections that ended between a request and the end of its answer."""
    refused: int = 0
    """Connections that could not be made; that caller gives up."""
    sent_bytes: int = 0
    latencies: list[int] = []
    first_chunks: list[int] = []
    lags: list[int] = []
    exchanges: list[bytes] = []
    """Ids a gateway gave to whole answers."""
    first_failure: str = ""


class Lane(asyncio.Protocol):
    """One connection and the caller behind it."""

    def __init__(self, caller: Caller, head: bytes, end_mark: bytes, tally: Tally) -> None:
        self._caller = caller
        self._head = head
        self._end_mark = end_mark
        self._tally = tally
        self._parser = httptools.HttpResponseParser(self)
        self._streams = isinstance(caller, Stream)
        self._body: list[bytes] = []
        self._exchange = b""
        self._sent_ns = 0
        self._waiting = False
        self._first_ns = 0
        self._stamps = 0
        self.closed = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._send()

    def _send(self) -> None:
        tally = self._tally
        if tally.remaining <= 0 or time.monotonic_ns() >= tally.deadline_ns:
            self._transport.close()
            return
        tally.remaining -= 1
        tally.sent += 1
        body = self._caller.body()
        tally.sent_bytes += len(body)
        data = self._head % len(body) + body
        self._waiting = True
        self._first_ns = self._stamps = 0
        self._sent_ns = time.monotonic_ns()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._tally.first_failure = self._tally.first_failure or f"unreadable answer: {error}"
            self._transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of an answer: keep which exchange it was."""
        if len(name) == len(_EXCHANGE) and name.lower() == _EXCHANGE:
            self._exchange = value

    def on_body(self, data: bytes) -> None:
        """A piece of the body: keep it, or read its stamps."""
        if not self._streams:
            self._body.append(data)
            return
        now = time.monotonic_ns()
        if not self._first_ns:
            self._first_ns = now
        stamps = _STAMP.findall(data)
        self._stamps += len(stamps)
        if self._sent_ns >= self._tally.warm_ns:
            self._tally.lags.extend(now - int(stamp) for stamp in stamps)
        self._body = [data] if len(data) >= 64 else [*self._body[-1:], data]

    def on_message_complete(self) -> None:
        """A whole answer: count it and send the next request."""
        now = time.monotonic_ns()
        tally = self._tally
        status = self._parser.get_status_code()
        tally.statuses[status] = tally.statuses.get(status, 0) + 1
        body, self._body = b"".join(self._body), []
        self._waiting = False
        if status == 200:
            tally.done += 1
            if self._exchange:
                tally.exchanges.append(self._exchange)
                self._exchange = b""
            if self._streams and self._stamps == tally.expected_chunks and self._end_mark in body:
                tally.clean_streams += 1
            if self._sent_ns >= tally.warm_ns:
                tally.latencies.append(now - self._sent_ns)
                if self._first_ns:
                    tally.first_chunks.append(self._first_ns - self._sent_ns)
            self._caller.take(body)
        elif not tally.first_failure:
            tally.first_failure = f"{status}: {body[:300].decode(errors='replace')}"
        if self._parser.should_keep_alive():
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; in mid-answer that is a failure."""
        if self._waiting:
            self._tally.broken += 1
            self._tally.first_failure = self._tally.first_failure or f"connection lost in mid-answer: {exc}"
        if not self.closed.done():
            self.closed.set_result(None)

    def abandon(self) -> None:
        """Drop the connection at the end of the grace period."""
        self._transport.abort()


async def _lane(given: argparse.Namespace, caller: Caller, head: bytes, tally: Tally) -> None:
    """Keep one caller going, with a new connection where the server closed the last, until its time is up."""
    loop = asyncio.get_running_loop()
    mark = END_OF_STREAM[given.dialect]
    while tally.remaining > 0 and time.monotonic_ns() < tally.deadline_ns:
        try:
            _, lane = await loop.create_connection(
                lambda: Lane(caller, head, mark, tally), "127.0.0.1", given.port
            )  # fmt: skip
        except OSError as error:
            tally.refused += 1
            tally.first_failure = tally.first_failure or f"no connection: {error}"
            return
        left = (tally.deadline_ns - time.monotonic_ns()) / 1e9 + given.grace
        done, _ = await asyncio.wait([lane.closed], timeout=left)
        if not done:
            lane.abandon()


def _caller(given: argparse.Namespace, lane: int) -> Caller:
    dialect: DialectName = given.dialect
    seed = random.SystemRandom().getrandbits(48)
    if given.kind == "stream":
        return Stream(dialect, seed, given.chunks, given.pace_ms)
    if given.kind == "repeat":
        return Repeat(dialect, given.size, 5)
    # Lanes start at different turns, so that the mean size is right from the first second.
    return Session(dialect, given.size, seed, first_turn=lane * 7 if given.concurrency > 1 else 0)


def _head(given: argparse.Namespace) -> bytes:
    auth = f"authorization: Bearer {given.key}"
    if given.dialect == "anthropic":
        auth = f"x-api-key: {given.key}\r\nanthropic-version: 2023-06-01"
    return (
        f"POST {given.prefix}{PATHS[given.dialect]} HTTP/1.1\r\nhost: 127.0.0.1:{given.port}\r\n{auth}\r\n"
        "user-agent: stepwarden-bench\r\naccept: */*\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    ).encode()


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """Run the load; returns the figures."""
    callers = [_caller(given, lane) for lane in range(given.concurrency)]
    head = _head(given)
    began = time.monotonic_ns()
    tally = Tally(
        deadline_ns=began + int(given.seconds * 1e9),
        warm_ns=began + int(given.warmup * 1e9),
        remaining=given.requests,
        expected_chunks=given.chunks,
    )
    await asyncio.gather(*(_lane(given, caller, head, tally) for caller in callers))
    if given.exchanges:
        with given.exchanges.open("ab") as noted:
            noted.writelines(each + b"\n" for each in tally.exchanges)
    return figures(tally, (time.monotonic_ns() - began) / 1e9)


def figures(tally: Tally, wall_s: float) -> dict[str, Any]:
    """The tally as a plain dict; times in milliseconds."""
    return {
        "sent": tally.sent,
        "done": tally.done,
        "clean_streams": tally.clean_streams,
        "broken": tally.broken,
        "refused": tally.refused,
        "statuses": {str(k): v for k, v in tally.statuses.items()},
        "first_failure": tally.first_failure,
        "wall_s": round(wall_s, 3),
        "rps": round(tally.done / wall_s, 1),
        "mean_body": tally.sent_bytes // max(1, tally.sent),
        "latency_ms": percentiles(tally.latencies),
        "ttfc_ms": percentiles(tally.first_chunks),
        "lag_ms": percentiles(tally.lags),
    }


def percentiles(values: list[int]) -> dict[str, float | int | None]:
    """p50, p99 in milliseconds of nanoseconds, and how many there were."""
    if not values:
        return {"p50": None, "p99": None, "n": 0}
    ordered = sorted(values)
    n = len(ordered)
    return {
        "p50": round(ordered[n // 2] / 1e6, 4),
        "p99": round(ordered[min(n - 1, n * 99 // 100)] / 1e6, 4),
        "n": n,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--dialect", choices=("openai", "anthropic"), default="openai")
    parser.add_argument("--size", choices=("1k", "60k"), default="1k")
    parser.add_argument("--kind", choices=("sessions", "repeat", "stream"), default="sessions")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warmup", type=float, default=0.3)
    parser.add_argument("--grace", type=float, default=_GRACE_SECONDS)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--chunks", type=int, default=50)
    parser.add_argument("--pace-ms", type=float, default=10.0)
    parser.add_argument("--key", default="sk-bench-0000000000000000")
    parser.add_argument("--cpu", type=int)
    parser.add_argument("--exchanges", type=Path, help="append the ids of exchanges that were answered whole")
    given = parser.parse_args()
    pin(given.cpu)
    print(msgspec.json.encode(uvloop.run(run(given))).decode(), flush=True)


if __name__ == "__main__":
    main()
