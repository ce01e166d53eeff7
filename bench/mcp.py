"""What the gateway adds to a call of a tool: the same calls with and without it, in turn, in one run.

    python -m bench.mcp [--calls N] [--json F]

The tool server answers at once and is no SDK, so that what is measured is the gateway; the baseline policy is in force.
Over stdio, direct is the server as a child process. Wall-clock milliseconds, medians and 99th percentiles.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.conditions import conditions
from gateway.cli.running import RunningGateway
from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider

TEXT = "It is sunny in this city, and it will stay so for the rest of the week. " * 8
SERVER = """
import json, sys
for line in sys.stdin.buffer:
    value = {"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {"content": [{"type": "text", "text": TEXT}]}}
    sys.stdout.buffer.write(json.dumps(value).encode() + b"\\n")
    sys.stdout.buffer.flush()
"""
WARM = 50


def message(number: int) -> bytes:
    """A call of which each has other arguments, so that nothing remembered helps."""
    arguments = {"city": f"City {number}", "days": number}
    params = {"name": "get_weather", "arguments": arguments, "_meta": {"stepwarden/session": f"bench-{number // 8}"}}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode()


def answer(seen: SeenRequest) -> Answer:
    value = {
        "jsonrpc": "2.0",
        "id": json.loads(seen.body)["id"],
        "result": {"content": [{"type": "text", "text": TEXT}]},
    }
    return Answer(headers=((b"content-type", b"application/json"),), body=(json.dumps(value).encode(),))


class OverHttp:
    """One client connection to an address."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = HTTPConnection(parts.hostname or "", parts.port)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self, number: int) -> None:
        """Call and read the answer."""
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        self._connection.request("POST", self._path, message(number), headers)
        assert TEXT in json.loads(self._connection.getresponse().read())["result"]["content"][0]["text"]


class OverPipe:
    """One client of a process that speaks lines."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def __call__(self, number: int) -> None:
        """Call and read the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(message(number) + b"\n")
        self._process.stdin.flush()
        assert TEXT in json.loads(self._process.stdout.readline())["result"]["content"][0]["text"]


def compared(direct: Callable[[int], None], through: Callable[[int], None], calls: int) -> dict[str, float]:
    """Milliseconds of both, call by call in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(calls + WARM):
        for kind, call in zip(taken, (direct, through), strict=True):
            began = time.perf_counter()
            call(number)
            if number >= WARM:
                kind.append((time.perf_counter() - began) * 1e3)
    one, other = taken
    return {
        "direct_p50": statistics.median(one),
        "through_p50": statistics.median(other),
        "added_p50": statistics.median(other) - statistics.median(one),
        "direct_p99": statistics.quantiles(one, n=100)[98],
        "through_p99": statistics.quantiles(other, n=100)[98],
    }


def started(things: ExitStack, command: list[str]) -> OverPipe:
    """A process that speaks lines, ended with everything else."""
    process = things.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    things.callback(process.terminate)
    return OverPipe(process)


def measured(calls: int) -> dict[str, Any]:
    """Both transports."""
    with ExitStack() as things:
        folder = Path(things.enter_context(tempfile.TemporaryDirectory()))
        server = things.enter_context(BackgroundProvider(answer))
        program = folder / "server.py"
        program.write_text(f"TEXT = {TEXT!r}\n{SERVER}")
        command = [sys.executable, "-u", str(program)]
        config = folder / "stepwarden.toml"
        config.write_text(
            f'[gateway]\ndata_dir = "data"\n[app.default]\npolicy = ["agent-baseline"]\nenforce = true\n'
            f'[mcp.web]\nurl = "{server.url}/mcp"\n[mcp.pipe]\ncommand = {json.dumps(command)}\n'
        )
        gateway = things.enter_context(RunningGateway(folder, {}))
        bridge = [sys.executable, "-m", "gateway.cli.main", "mcp", "--server", "pipe", "--url", gateway.url]
        return {
            "calls": calls,
            "http": compared(OverHttp(f"{server.url}/mcp"), OverHttp(f"{gateway.url}/mcp/web"), calls),
            "stdio": compared(started(things, command), started(things, [*bridge, "--config", str(config)]), calls),
            "conditions": conditions("mcp"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measured(options.calls)
    for transport in ("http", "stdio"):
        figures = ", ".join(f"{name} {value:.2f} ms" for name, value in found[transport].items())
        print(f"{transport}: {figures}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
