"""Where the gateway's time goes: py-spy on the gateway under load, as shares by function.

    python -m venv .venvs/bench && .venvs/bench/bin/pip install py-spy      (once)
    python -m bench.hotspots [--size 60k] [--kind sessions] [--concurrency 32] [--top 30] [--raw F]

Sampling may need root or `kernel.yama.ptrace_scope=0`. Threads that wait are left out. The gateway is not paused for a
sample (pausing costs more than the work): single stacks may be torn, sums are right. Own time is what stands
directly in a function; with time includes what it called.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.pin import pin
from bench.run import Cell, answer_of, generator
from bench.targets import LOAD_CPU, ROOT, TARGET_CPU, NotReady, started, stepwarden, upstream

_SPY = ROOT / ".venvs" / "bench" / "bin" / "py-spy"
_WAITING = ("Condition.wait ", "_worker (concurrent", "Runner.run (asyncio")
"""Innermost frames of threads that have nothing to do."""


def sample(given: argparse.Namespace, scratch: Path, raw: Path) -> None:
    """Record collapsed stacks of a gateway under load into `raw`."""
    with started(upstream(), scratch, cpu=LOAD_CPU) as provider:
        target = stepwarden(provider.target.port, scratch)
        cell = Cell(given.kind, given.size, given.concurrency, pace_ms=5.0)
        with (
            started(target, scratch, cpu=TARGET_CPU) as running,
            generator(running, cell, given.dialect, given.seconds + 3) as child,
        ):
            argv = [
                str(_SPY), "record", "--nonblocking", "-d", str(int(given.seconds)), "-r", "250", "-f", "raw", "-o",
                str(raw), "-p", str(running.process.pid),
            ]  # fmt: skip
            if given.native:
                argv.append("--native")
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=given.seconds + 60)
            if done.returncode != 0:
                raise NotReady(f"py-spy: {done.stderr[-500:]}")
            child.wait(60)
            figures = answer_of(child)
            print(f"{figures['rps']:.0f} answers/s under the profiler; statuses {figures['statuses']}")


def shares(raw: Path) -> tuple[Counter[str], Counter[str], int]:
    """(own samples, samples with callees, all samples) by `function (file`."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in raw.read_text().splitlines():
        stack, count = line.rsplit(" ", 1)
        frames = [frame.rsplit(":", 1)[0] for frame in stack.split(";")]
        if frames[-1].startswith(_WAITING):
            continue
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    return own, whole, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("1k", "60k"), default="1k")
    parser.add_argument("--kind", choices=("sessions", "repeat", "stream"), default="sessions")
    parser.add_argument("--dialect", choices=("openai", "anthropic"), default="openai")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--top", type=int, default=30)
    parser.add_argument("--native", action="store_true", help="with C frames")
    parser.add_argument("--raw", type=Path, help="keep the stacks here, for a flame graph")
    given = parser.parse_args()
    pin(LOAD_CPU)
    if not _SPY.exists():
        sys.exit("py-spy is not installed: see --help")
    with tempfile.TemporaryDirectory(prefix="stepwarden-hotspots-") as scratch:
        raw = given.raw or Path(scratch) / "stacks.txt"
        try:
            sample(given, Path(scratch), raw)
        except NotReady as failure:
            sys.exit(str(failure))
        own, whole, total = shares(raw)
    for title, counts in (("own time", own), ("with callees", whole)):
        print(f"\n{title}")
        for frame, count in counts.most_common(given.top):
            print(f"  {100 * count / total:5.1f}%  {frame}")


if __name__ == "__main__":
    main()
