"""`stepwarden bench`."""

import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from gateway.cli.options import json_option, named_config
from policies.errors import StepwardenError

_CHUNKS = 50
_WARM_UP = 20
_BODIES = (("1 KB", 1 << 10), ("60 KB", 60 << 10))


class CannotMeasure(StepwardenError):
    """The local provider did not start, or an answer was not the expected one."""

    def remedy(self) -> str:
        """What to look at."""
        return "Run `stepwarden doctor`."


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One load, direct and through the gateway; times in milliseconds, interleaved in one run."""

    load: str
    requests: int
    direct_p50: float
    gateway_p50: float
    added_p50: float
    gateway_p99: float
    cpu_ms: float | None
    """CPU time of the gateway for one request; None where the system does not tell."""


@click.command()
@click.option("--requests", type=click.IntRange(20, 100_000), default=300, show_default=True, help="Per load and way.")
@named_config("Measure with this configuration, its policies say, on a data directory of its own.")
@json_option
def bench(requests: int, config_file: Path | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Measure what a gateway adds on this machine: one caller, full recording, beside the same calls made directly.

    Starts a provider and a gateway as processes of their own; the gateway is as it comes unless a configuration is
    named, whose supervisor and alerts are then asked and told as ever. `make bench` measures load and rivals too.
    """
    from gateway.cli.running import RunningGateway
    from gateway.cli.screen import err, out, print_json

    directory = Path(tempfile.mkdtemp(prefix="stepwarden-bench-"))
    try:
        with _provider() as upstream:
            settings = {"STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": upstream, "STEPWARDEN_GATEWAY__HOST": "127.0.0.1"}
            began = time.monotonic()
            with RunningGateway(directory, settings, config_file) as gateway:
                started = time.monotonic() - began
                found: list[Measured] = []
                for label, size in _BODIES:
                    err().print(f"measuring {label} requests ...")
                    found.append(
                        _measure(label, upstream, gateway.url, gateway.pid, requests, _body(size, stream=False))
                    )
                err().print(f"measuring streams of {_CHUNKS} chunks, to the first one ...")
                streamed = _body(1 << 10, stream=True)
                found.append(_measure("stream, first chunk", upstream, gateway.url, gateway.pid, requests, streamed))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        print_json({"start_seconds": round(started, 3), "cores": os.cpu_count(), "loads": found})
    else:
        console = out()
        console.print(_table(found))
        console.print(f"ready {started:.2f} s after its start; {os.cpu_count()} cores, shared with provider and caller")


def _body(size: int, *, stream: bool) -> bytes:
    request: dict[str, Any] = {"model": "claude-demo-1", "max_tokens": 100, "stream": stream}
    text = "x" * max(1, size - 120)
    return msgspec.json.encode({**request, "messages": [{"role": "user", "content": text}]})


@contextmanager
def _provider() -> Generator[str]:
    """A provider as a process of its own; its base URL."""
    command = [sys.executable, "-P", "-m", "gateway.demo.provider", "--reply-bytes", "1024", "--chunks", str(_CHUNKS)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise CannotMeasure("the local provider did not start")
            yield msgspec.json.decode(line)["url"]
        finally:
            process.terminate()


class _Caller:
    """One keep-alive connection; times calls in nanoseconds to the first byte of the body, and to its end."""

    def __init__(self, base: str, path: str) -> None:
        parts = urlsplit(base)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        self._path = path

    def call(self, body: bytes) -> tuple[int, int]:
        """One call; raises `CannotMeasure` where it is not answered with 200."""
        headers = {"content-type": "application/json", "x-api-key": "bench", "anthropic-version": "2023-06-01"}
        began = time.perf_counter_ns()
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        response.read(1)
        first = time.perf_counter_ns()
        response.read()
        if response.status != http.HTTPStatus.OK:
            raise CannotMeasure(f"a call was answered {response.status}")
        return first - began, time.perf_counter_ns() - began

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _measure(label: str, upstream: str, gateway: str, pid: int, requests: int, body: bytes) -> Measured:
    """The same calls both ways, in turn, so that what else the machine does hits both alike."""
    direct, through = _Caller(upstream, "/v1/messages"), _Caller(gateway, "/anthropic/v1/messages")
    which: Callable[[tuple[int, int]], int] = (lambda pair: pair[0]) if "stream" in label else (lambda pair: pair[1])
    try:
        for _ in range(_WARM_UP):
            direct.call(body)
            through.call(body)
        before = _cpu_seconds(pid)
        pairs = [(which(direct.call(body)), which(through.call(body))) for _ in range(requests)]
        after = _cpu_seconds(pid)
    finally:
        direct.close()
        through.close()
    straight, relayed = [pair[0] / 1e6 for pair in pairs], [pair[1] / 1e6 for pair in pairs]
    cpu = None if before is None or after is None else (after - before) / requests * 1e3
    return Measured(
        load=label,
        requests=requests,
        direct_p50=round(statistics.median(straight), 3),
        gateway_p50=round(statistics.median(relayed), 3),
        added_p50=round(statistics.median(relayed) - statistics.median(straight), 3),
        gateway_p99=round(statistics.quantiles(relayed, n=100)[98], 3),
        cpu_ms=None if cpu is None else round(cpu, 3),
    )


def _cpu_seconds(pid: int) -> float | None:
    """CPU time a process has used; None where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _table(found: list[Measured]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("load")
    for title in ("direct p50", "gateway p50", "added", "ratio", "gateway p99", "gateway CPU"):
        table.add_column(title, justify="right")
    for each in found:
        table.add_row(
            each.load,
            f"{each.direct_p50:.2f} ms",
            f"{each.gateway_p50:.2f} ms",
            f"{each.added_p50:.2f} ms",
            f"{each.gateway_p50 / each.direct_p50:.1f}x" if each.direct_p50 else "-",
            f"{each.gateway_p99:.2f} ms",
            "-" if each.cpu_ms is None else f"{each.cpu_ms:.2f} ms",
        )
    return table
