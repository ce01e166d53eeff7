"""How many Python calls one exchange costs on the event loop, and in which functions.

    python -m bench.calls [--size 60k] [--dialect anthropic] [--top 40] [--by own | whole]

Counts do not depend on who else uses the machine: the figure to watch on a busy one. The gateway runs in this
command's child under cProfile, which starts once 50 exchanges have warmed it; the writer thread is not counted.
Microseconds are thread time with the profiler's own cost in it: read them as shares.
"""

import argparse
import atexit
import cProfile
import os
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from bench.pin import pin
from bench.run import Cell, load
from bench.targets import LOAD_CPU, ROOT, TARGET_CPU, NotReady, started, stepwarden, stop, upstream

_WARM = 50
_OUT = "STEPWARDEN_BENCH_CALLS"


def child(out: Path) -> None:
    """The gateway with the profiler around its event loop."""
    from gateway.cli.main import main  # noqa: PLC0415 - only in the child
    from gateway.exchange import DataPlane  # noqa: PLC0415

    profile = cProfile.Profile(time.thread_time)
    carry = DataPlane.__call__
    seen = 0

    async def counted(self: Any, scope: Any, receive: Any, send: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == _WARM:
            profile.enable()
        await carry(self, scope, receive, send)

    def keep() -> None:
        profile.disable()
        profile.dump_stats(out)

    DataPlane.__call__ = counted
    atexit.register(keep)
    sys.argv[0] = "stepwarden"
    main()


def count(given: argparse.Namespace, scratch: Path) -> tuple[pstats.Stats, int]:
    """Profile a gateway under load; (statistics, exchanges they cover)."""
    out = scratch / "calls.prof"
    with started(upstream(), scratch, cpu=LOAD_CPU) as provider:
        target = stepwarden(provider.target.port, scratch)
        environ = {"PYTHONPATH": str(ROOT), _OUT: str(out)}
        argv = (sys.executable, "-m", "bench.calls", *target.argv[1:])
        profiled = msgspec.structs.replace(target, argv=argv, environ=environ)
        with started(profiled, scratch, cpu=TARGET_CPU) as running:
            figures = load(running, Cell(given.kind, given.size, 8, pace_ms=2.0), given.dialect, given.seconds)
            stop(running.process)
    if figures["done"] <= 2 * _WARM or not out.exists():
        raise NotReady(f"only {figures['done']} exchanges: {figures['first_failure']}\n{running.log_tail()}")
    return pstats.Stats(str(out)), figures["done"] - _WARM


def show(stats: pstats.Stats, exchanges: int, given: argparse.Namespace) -> None:
    """Print totals and the dearest functions."""
    rows: dict[Any, Any] = vars(stats)["stats"]
    print(f"{vars(stats)['total_calls'] / exchanges:.0f} calls an exchange, over {exchanges} exchanges")
    column = 2 if given.by == "own" else 3
    for (file, line, name), row in sorted(rows.items(), key=lambda item: -item[1][column])[: given.top]:
        where = file.rpartition("site-packages/")[2].removeprefix(f"{ROOT}/")
        own, whole = row[2] * 1e6 / exchanges, row[3] * 1e6 / exchanges
        print(f"  {row[1] / exchanges:7.1f} calls  own {own:7.1f} us  whole {whole:8.1f} us  {where}:{line} {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("1k", "60k"), default="1k")
    parser.add_argument("--kind", choices=("sessions", "repeat", "stream"), default="sessions")
    parser.add_argument("--dialect", choices=("openai", "anthropic"), default="openai")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--top", type=int, default=40)
    parser.add_argument("--by", choices=("own", "whole"), default="own")
    given = parser.parse_args()
    pin(LOAD_CPU)
    with tempfile.TemporaryDirectory(prefix="stepwarden-calls-") as scratch:
        try:
            stats, exchanges = count(given, Path(scratch))
        except NotReady as failure:
            sys.exit(str(failure))
    show(stats, exchanges, given)


if __name__ == "__main__":
    if _OUT in os.environ:
        child(Path(os.environ[_OUT]))
    else:
        main()
