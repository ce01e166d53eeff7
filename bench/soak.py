"""Does memory stay flat? 100,000 exchanges through one gateway, its resident set every 5,000, and the slope.

    python -m bench.soak [--exchanges 100000] [--size 1k] [--concurrency 32] [--most-seconds 300] [--json F]

The slope is a least-squares line over the second half (the first fills caches that are bounded). Flat means that
the line rises by less than 5 MB per 100,000 exchanges. Bounded by `--most-seconds`; what was reached is said.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.conditions import conditions, load_average
from bench.payloads import PATHS
from bench.pin import pin
from bench.processes import memory, settle
from bench.recorded import recorded, stored_bytes
from bench.run import answer_of
from bench.targets import LOAD_CPU, ROOT, TARGET_CPU, NotReady, Running, started, stepwarden, upstream

_FLAT_MB = 5.0


def burst(running: Running, given: argparse.Namespace, requests: int) -> dict[str, Any]:
    """One slice of the soak: exactly `requests` exchanges, unless something fails."""
    target = running.target
    argv = [
        sys.executable, "-m", "bench.load", "--port", str(target.port), "--prefix", target.prefixes[given.dialect],
        "--dialect", given.dialect, "--size", given.size, "--concurrency", str(given.concurrency), "--seconds", "120",
        "--requests", str(requests), "--cpu", str(LOAD_CPU), "--exchanges", str(running.exchanges),
    ]  # fmt: skip
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        child.wait(180)
        return answer_of(child)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def slope(points: list[tuple[int, float]]) -> float | None:
    """Megabytes per 100,000 exchanges over the second half of the points."""
    half = points[len(points) // 2 :]
    if len(half) < 3:
        return None
    line = statistics.linear_regression([at / 100_000 for at, _ in half], [mb for _, mb in half])
    return round(line.slope, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--step", type=int, default=5_000)
    parser.add_argument("--size", choices=("1k", "60k"), default="1k")
    parser.add_argument("--dialect", choices=tuple(PATHS), default="openai")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--most-seconds", type=float, default=300.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    pin(LOAD_CPU)
    try:
        with tempfile.TemporaryDirectory(prefix="stepwarden-soak-") as scratch:
            result = soak(given, Path(scratch))
    except NotReady as failure:
        sys.exit(str(failure))
    print(f"slope {result['slope_mb_per_100k']} MB per 100,000 exchanges (second half); flat: {result['flat']}")
    print(f"recorded {result['stored_complete']} of {result['relayed']} relayed; store {result['store_mb']} MB")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1) + "\n")


def soak(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run it; prints a line per slice."""
    result: dict[str, Any] = {"conditions": conditions(given.dialect), "size": given.size}
    points: list[tuple[int, float]] = []
    with started(upstream(), scratch, cpu=LOAD_CPU) as provider:
        target = stepwarden(provider.target.port, scratch)
        assert target.data_dir is not None
        with started(target, scratch, cpu=TARGET_CPU) as running:
            pid = running.process.pid
            print(f"idle RSS {memory(pid).largest_rss} MB")
            deadline = time.monotonic() + given.most_seconds
            relayed = 0
            while relayed < given.exchanges and time.monotonic() < deadline:
                done = burst(running, given, min(given.step, given.exchanges - relayed))
                relayed += done["done"]
                seen = memory(pid)
                points.append((relayed, seen.largest_rss))
                print(f"{relayed:>8} exchanges  RSS {seen.largest_rss:6.1f} MB  {done['rps']:6.0f}/s", flush=True)
                if done["broken"] or done["refused"] or not done["done"]:
                    raise NotReady(f"the soak broke: {done['first_failure']}\n{running.log_tail()}")
            settle(pid)
            counted = recorded(target.data_dir, running.exchanges)
            size = stored_bytes(target.data_dir)
    result["points"] = points
    result["relayed"] = relayed
    result["stored_complete"] = counted.complete
    result["store_mb"] = round(size / 1e6, 1)
    result["slope_mb_per_100k"] = slope(points)
    rising = result["slope_mb_per_100k"]
    result["flat"] = None if rising is None else rising < _FLAT_MB
    result["conditions"]["load_average_after"] = load_average()
    return result


if __name__ == "__main__":
    main()
