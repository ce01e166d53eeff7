"""Measure the gateway beside nginx, a bare ASGI function and, on request, LiteLLM's proxy; print ratios.

    python -m bench.run [--quick | --full] [--with litellm] [--only 60k] [--dialect anthropic] [--json F] [--plot F]

Rounds are interleaved (A B C A B C ...) and medians taken, because a shared machine drifts. The target runs on one
core, load generator and provider on the other; CPU is that of the target's whole process tree until it rests, so
recording that happens after the answer counts. Read docs/BENCH.md before quoting a figure.
"""

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.conditions import conditions, load_average
from bench.payloads import Kind, Size
from bench.pin import pin
from bench.processes import Memory, memory, settle
from bench.recorded import recorded, stored_bytes
from bench.report import goals, table
from bench.report_svg import chart
from bench.targets import (
    HERE,
    LOAD_CPU,
    ROOT,
    TARGET_CPU,
    NotReady,
    Running,
    Target,
    echo,
    litellm,
    nginx,
    started,
    stepwarden,
    stop,
    upstream,
)


class Cell(msgspec.Struct, frozen=True):
    """One point of the grid: what load, how big, how many at once."""

    kind: Kind
    size: Size
    concurrency: int
    pace_ms: float = 0.0

    def key(self) -> str:
        """Name in tables and JSON."""
        return f"{self.kind} {self.size} c={self.concurrency}"


class Plan(msgspec.Struct, frozen=True):
    """How long to measure."""

    seconds: float
    rounds: int
    cells: tuple[Cell, ...]


def plan(given: argparse.Namespace) -> Plan:
    """The grid of this run."""
    sizes: tuple[Size, ...] = (given.only,) if given.only else ("1k", "60k")
    at_once = (1, 64) if given.quick else (1, 64, 256)
    cells = [Cell("sessions", size, c) for size in sizes for c in at_once]
    cells += [Cell("repeat", size, 64) for size in sizes]
    if "1k" in sizes:
        cells += [Cell("stream", "1k", 1, pace_ms=2.0), Cell("stream", "1k", 64, pace_ms=10.0)]
    seconds, rounds = (1.5, 1) if given.quick else (5.0, 5) if given.full else (3.0, 3)
    return Plan(given.seconds or seconds, given.rounds or rounds, tuple(cells))


def load(running: Running, cell: Cell, dialect: str, seconds: float) -> dict[str, Any]:
    """One run of load on one target: its figures, with CPU and memory of the target."""
    process = running.process.pid
    seconds *= running.target.patience
    before = settle(process, most_s=3.0)
    peak = Memory(0.0, 0.0, 0)
    with generator(running, cell, dialect, seconds) as child:
        while child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.5)
            peak = max(peak, memory(process), key=lambda seen: seen.largest_rss)
        figures = answer_of(child)
    figures["cpu_s"] = settle(process) - before
    figures["rss_mb"] = peak.largest_rss
    figures["pss_mb"] = peak.total_pss
    done = max(1, figures["done"])
    figures["cpu_ms"] = figures["cpu_s"] * 1e3 / done
    return figures


@contextlib.contextmanager
def generator(running: Running, cell: Cell, dialect: str, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """The load generator as a process of its own, killed if it outlives its bounds."""
    target: Target = running.target
    argv = [
        sys.executable, "-m", "bench.load", "--port", str(target.port), "--prefix", target.prefixes[dialect],
        "--dialect", dialect, "--size", cell.size, "--kind", cell.kind, "--concurrency", str(cell.concurrency),
        "--seconds", str(seconds), "--warmup", str(min(0.5, seconds / 5)), "--pace-ms", str(cell.pace_ms),
        "--cpu", str(LOAD_CPU), "--exchanges", str(running.exchanges),
    ]  # fmt: skip
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
    watchdog = time.monotonic() + seconds + 60
    try:
        yield child
        child.wait(max(1.0, watchdog - time.monotonic()))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def answer_of(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The figures a generator printed."""
    assert child.stdout is not None
    line = child.stdout.read()
    if child.returncode != 0 or not line:
        raise NotReady(f"the load generator ended with code {child.returncode}")
    return json.loads(line)


def median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of rounds: medians of figures, sums of counts, worst memory."""
    row: dict[str, Any] = {
        name: round(statistics.median(each[name] for each in rounds), 4) for name in ("cpu_ms", "rps", "mean_body")
    }
    for name in ("done", "sent", "broken", "clean_streams"):
        row[name] = sum(each[name] for each in rounds)
    for name in ("latency_ms", "ttfc_ms", "lag_ms"):
        for at in ("p50", "p99"):
            seen = [each[name][at] for each in rounds if each[name][at] is not None]
            row[f"{name.removesuffix('_ms')}_{at}_ms"] = round(statistics.median(seen), 3) if seen else None
    row["rps_per_core"] = round(1000 / row["cpu_ms"], 1) if row["cpu_ms"] else None
    row["rss_mb"] = max(each["rss_mb"] for each in rounds)
    row["pss_mb"] = max(each["pss_mb"] for each in rounds)
    row["cpu_ms_rounds"] = [round(each["cpu_ms"], 4) for each in rounds]
    row["failure"] = next((each["first_failure"] for each in rounds if each["first_failure"]), "")
    return row


def warm(running: Running, dialect: str) -> int:
    """A second of every kind of load that nobody counts; returns the answers, for the count of recorded ones."""
    cells = (Cell("sessions", "1k", 8), Cell("sessions", "60k", 8), Cell("stream", "1k", 8, pace_ms=1.0))
    return sum(load(running, cell, dialect, 1.0)["done"] for cell in cells)


def measure(targets: list[Running], steps: Plan, dialect: str) -> dict[str, dict[str, Any]]:
    """All rounds of all cells, interleaved. Returns {cell: {target: figures}}."""
    seen: dict[str, dict[str, list[dict[str, Any]]]] = {}
    runs = steps.rounds * len(steps.cells) * len(targets)
    at = 0
    for _ in range(steps.rounds):
        for cell in steps.cells:
            for running in targets:
                at += 1
                say(f"[{at}/{runs}] {cell.key()}: {running.target.name}")
                figures = load(running, cell, dialect, steps.seconds)
                seen.setdefault(cell.key(), {}).setdefault(running.target.name, []).append(figures)
    say("")
    return {cell: {name: median(rounds) for name, rounds in rows.items()} for cell, rows in seen.items()}


def say(text: str) -> None:
    """One line of progress, on a terminal in place."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="" if text else "\n", file=sys.stderr, flush=True)


def completeness(running: Running, cells: dict[str, dict[str, Any]], warmed: int) -> dict[str, Any] | None:
    """Stored of relayed after all load, for a target that records."""
    data = running.target.data_dir
    if data is None:
        return None
    relayed = warmed + sum(rows[running.target.name]["done"] for rows in cells.values() if running.target.name in rows)
    counted = recorded(data, running.exchanges)
    return {
        "relayed": relayed,
        "stored": counted.exchanges,
        "stored_complete": counted.complete,
        "store_bytes": stored_bytes(data),
    }


def sigterm(provider_port: int, scratch: Path, dialect: str) -> dict[str, Any]:
    """Send SIGTERM in the middle of load to a gateway of its own; count what was answered and what was recorded."""
    target = stepwarden(provider_port, scratch, name="stepwarden-sigterm")
    assert target.data_dir is not None
    with started(target, scratch, cpu=TARGET_CPU) as running:
        with generator(running, Cell("sessions", "60k", 32), dialect, 6.0) as child:
            time.sleep(3.0)
            running.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            code = stop(running.process)
            took = time.monotonic() - began
            child.wait(60)
            figures = answer_of(child)
        counted = recorded(target.data_dir, running.exchanges)
    return {
        "relayed": figures["done"],
        "cut_before_the_end_of_an_answer": figures["broken"],
        "refused_connections": figures["refused"],
        "stored_complete": counted.complete,
        "stored": counted.exchanges,
        "exit_code": code,
        "drain_s": round(took, 2),
    }


def bench(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Start everything, measure, stop everything; returns the result as it is stored."""
    steps = plan(given)
    result: dict[str, Any] = {"conditions": conditions(given.dialect), "plan": msgspec.to_builtins(steps)}
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(started(upstream(), scratch, cpu=LOAD_CPU))
        port = provider.target.port
        wanted = [echo(), nginx(port, scratch)]
        if not given.without_gateway:
            wanted.append(stepwarden(port, scratch))
        if "litellm" in given.with_:
            wanted.append(litellm(port, scratch))
        running = [provider]
        running += [stack.enter_context(started(target, scratch, cpu=TARGET_CPU)) for target in wanted]
        result["start"] = {
            each.target.name: {"ready_s": round(each.ready_s, 3), "idle": msgspec.to_builtins(memory(each.process.pid))}
            for each in running
        }
        warmed = {each.target.name: warm(each, given.dialect) for each in running}
        result["cells"] = measure(running, steps, given.dialect)
        result["recorded"] = {}
        for each in running:
            counted = completeness(each, result["cells"], warmed[each.target.name])
            if counted:
                result["recorded"][each.target.name] = counted
        if not given.without_gateway:
            result["recorded"]["after_sigterm"] = sigterm(port, scratch, given.dialect)
    result["conditions"]["load_average_after"] = load_average()
    result["goals"] = goals(result)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="one short round")
    length.add_argument("--full", action="store_true", help="five rounds of 5 s")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--only", choices=("1k", "60k"))
    parser.add_argument("--with", dest="with_", action="append", default=[], choices=("litellm",))
    parser.add_argument("--without-gateway", action="store_true", help="peers only")
    parser.add_argument("--dialect", choices=("openai", "anthropic"), default="openai")
    parser.add_argument("--json", type=Path, help="default bench/results/local/DATE.json")
    parser.add_argument("--plot", type=Path, help="SVG; default beside the JSON")
    given = parser.parse_args()
    pin(LOAD_CPU)
    with tempfile.TemporaryDirectory(prefix="stepwarden-bench-") as scratch:
        try:
            result = bench(given, Path(scratch))
        except NotReady as failure:
            sys.exit(str(failure))
    stamp = result["conditions"]["date"].replace(":", "").replace("-", "")
    out: Path = given.json or HERE / "results" / "local" / f"{stamp}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    plot: Path = given.plot or out.with_suffix(".svg")
    plot.write_text(chart(result))
    print(table(result))
    print(f"\n{out}\n{plot}")


if __name__ == "__main__":
    main()
