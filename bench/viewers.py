"""What people who watch cost the gateway: the same steady load with and without viewers, in turn, in one run.

    python -m bench.viewers [--viewers N] [--steps N] [--workers N] [--rounds N] [--seconds N] [--json F]

Each round is two stretches of the same load, one with the viewers connected and one without; which comes first changes
from round to round. Compared is the CPU of the gateway's whole process tree for each exchange, which other load on the
machine hardly changes. The gateway runs as it does by default, recording included. Delay is from the end of a step, as
the gateway notes it, to its last byte at one of the viewers: wall clock, same machine.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.conditions import conditions
from bench.load import percentiles
from bench.payloads import PATHS, Session, Size
from bench.pin import pin
from bench.processes import cpu_seconds, settle
from bench.targets import LOAD_CPU, TARGET_CPU, free_port
from gateway.cli.running import RunningGateway
from gateway.times import nanoseconds

GOAL = 0.20
"""Share of the gateway's CPU that all viewers together may add."""

LANES = 8
_HEAD = (
    b"POST /openai%b HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer sk-bench\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)
_WATCH = b"GET /api/live HTTP/1.1\r\nhost: localhost:%d\r\n\r\n"
_LOOKED_AT = 5
"""Every so many steps, one whose delay is read: reading all of them would cost the reader more than the gateway."""


class Watching:
    """Viewers that read all they get; the first one also looks at what it says."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []
        self.steps = self.bytes = 0
        self.delays: list[int] = []

    async def begin(self, viewers: int) -> None:
        """Connect them all."""
        opened = [await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22) for _ in range(viewers)]
        for number, (reader, writer) in enumerate(opened):
            writer.write(_WATCH % self._port)
            await reader.readuntil(b": watching\n\n")
            self._tasks.append(asyncio.create_task(self._read(reader, writer, first=number == 0)))

    async def end(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, first: bool) -> None:
        try:
            rest = b""
            while data := await reader.read(1 << 18):
                if first:
                    rest = self._look(rest + data)
        finally:
            writer.close()

    def _look(self, data: bytes) -> bytes:
        now = time.time_ns()
        *events, rest = data.split(b"\n\n")
        for event in events:
            self.bytes += len(event)
            if b"event: step\n" not in event:
                continue
            self.steps += 1
            if self.steps % _LOOKED_AT == 0:
                at = event.index(b'"ended_at":"') + 12
                self.delays.append(now - nanoseconds(event[at : event.index(b'"', at)].decode()))
        return rest


async def _lane(port: int, caller: Session, pause: float, until: float, sent: list[int]) -> None:
    """One caller's connection: a request every `pause` seconds, late or not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due = time.monotonic()
    while (due := due + pause) < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        body = caller.body()
        writer.write(_HEAD % (PATHS["openai"].encode(), len(body)) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
        caller.take(await reader.readexactly(int(length)))
        sent.append(1)
    writer.close()


async def _load(port: int, callers: list[Session], rate: float, seconds: float) -> int:
    """So many exchanges a second for so long; how many there were."""
    sent: list[int] = []
    until = time.monotonic() + seconds
    await asyncio.gather(*(_lane(port, each, len(callers) / rate, until, sent) for each in callers))
    return len(sent)


async def _stretch(gateway: RunningGateway, callers: list[Session], rate: float, given: argparse.Namespace) -> Any:
    """CPU milliseconds an exchange over one stretch of load, and how many exchanges."""
    await asyncio.to_thread(settle, gateway.pid)
    before = cpu_seconds(gateway.pid)
    count = await _load(urlsplit(gateway.url).port or 0, callers, rate, given.seconds)
    cpu = await asyncio.to_thread(settle, gateway.pid) - before
    return cpu * 1000 / count, count


async def _listening(port: int) -> None:
    """Wait for the workers, which listen a little later than the process that keeps."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


async def measured(gateway: RunningGateway, given: argparse.Namespace) -> Mapping[str, Any]:
    """All rounds on one gateway."""
    port = urlsplit(gateway.url).port or 0
    size: Size = given.size
    callers = [Session("openai", size, seed, first_turn=seed) for seed in range(LANES)]
    watching = Watching(port)
    await _listening(port)
    await watching.begin(1)
    probed = await _load(port, callers, 40.0, 3.0)
    await asyncio.sleep(1)
    a_call = watching.steps / probed
    await watching.end()
    rate = given.steps / a_call
    watching.delays.clear()
    alone: list[float] = []
    watched: list[float] = []
    for number in range(given.rounds):
        for viewers in (0, given.viewers) if number % 2 else (given.viewers, 0):
            await watching.begin(viewers)
            cost, count = await _stretch(gateway, callers, rate, given)
            await watching.end()
            (watched if viewers else alone).append(cost)
            print(f"{viewers:3d} viewers: {cost:.2f} ms of CPU an exchange ({count})", file=sys.stderr, flush=True)
    ratio = statistics.median(watched) / statistics.median(alone) - 1
    return {
        "viewers": given.viewers,
        "workers": given.workers,
        "steps_per_second": given.steps,
        "exchanges_per_second": round(rate, 1),
        "cpu_ms_an_exchange_alone": round(statistics.median(alone), 3),
        "cpu_ms_an_exchange_watched": round(statistics.median(watched), 3),
        "added": round(ratio, 3),
        "added_by_round": [round(one / other - 1, 3) for one, other in zip(watched, alone, strict=True)],
        "added_share_of_a_core": round((statistics.median(watched) - statistics.median(alone)) * rate / 1000, 4),
        "delay_ms": percentiles(watching.delays),
        "reached": ratio <= GOAL,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--steps", type=int, default=200, help="a second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one stretch")
    parser.add_argument("--size", choices=("1k", "60k"), default="1k")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    pin(LOAD_CPU)
    port = free_port()
    provider = subprocess.Popen([sys.executable, "-m", "bench.upstream", "--port", str(port)])
    try:
        settings = {
            "STEPWARDEN_PROVIDER__OPENAI__BASE_URL": f"http://127.0.0.1:{port}",
            "STEPWARDEN_GATEWAY__WORKERS": str(given.workers),
        }
        with tempfile.TemporaryDirectory() as folder:
            pin(TARGET_CPU)
            with RunningGateway(Path(folder), settings) as gateway:
                pin(LOAD_CPU)
                found = asyncio.run(measured(gateway, given))
    finally:
        provider.terminate()
        provider.wait()
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps({"conditions": conditions("openai"), "found": found}, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.pop("STEPWARDEN_KEY", None)
    main()
