"""Which thread of the gateway its CPU goes to: microseconds an exchange by thread, of a gateway under load.

    python -m bench.threads [--size 60k] [--kind sessions] [--concurrency 64] [--seconds 4] [--rounds 3]

The gateway is the one `bench.run` measures, but that its threads carry their names where Linux shows them. Read from
the scheduler, nanoseconds; what is recorded after the last answer counts, too. `switches` are how often a thread gave
the core up or lost it, an exchange: where two threads want the interpreter, they hand it to each other.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

from bench.pin import pin
from bench.run import Cell, load
from bench.targets import LOAD_CPU, ROOT, TARGET_CPU, Running, started, stepwarden, upstream

_CHILD = "STEPWARDEN_BENCH_THREADS"
_COMM = 15
"""Bytes of a thread's name that Linux keeps."""


def child() -> None:
    """The gateway, whose threads write down their names."""
    from gateway.cli.main import main  # noqa: PLC0415 - only in the child

    run = threading.Thread.run

    def named(self: threading.Thread) -> None:
        name = self.name.removeprefix("stepwarden-").encode()[:_COMM]
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_bytes(name)
        run(self)

    threading.Thread.run = named
    sys.argv[0] = "stepwarden"
    main()


class Spent(msgspec.Struct):
    """What a thread used."""

    cpu_ns: int = 0
    switches: int = 0


def spent(pid: int) -> dict[str, Spent]:
    """By name of the thread; the main one is called `loop`."""
    found: dict[str, Spent] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            name = "loop" if task.name == str(pid) else (task / "comm").read_text().strip()
            one = found.setdefault(name, Spent())
            one.cpu_ns += int((task / "schedstat").read_text().split()[0])
            lines = (task / "status").read_text().splitlines()
            one.switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return found


def measure(running: Running, given: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """CPU microseconds and switches an exchange, by thread."""
    pid = running.process.pid
    before = spent(pid)
    figures = load(running, Cell(given.kind, given.size, given.concurrency, pace_ms=5.0), given.dialect, given.seconds)
    after, done = spent(pid), max(1, figures["done"])
    found = {
        name: ((each.cpu_ns - start.cpu_ns) / done / 1e3, (each.switches - start.switches) / done)
        for name, each in after.items()
        for start in (before.get(name, Spent()),)
    }
    found["all"] = (figures["cpu_ms"] * 1e3, sum(switches for _, switches in found.values()))
    print(f"{figures['rps']:.0f} answers/s, {figures['rss_mb']:.0f} MB", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("1k", "60k"), default="1k")
    parser.add_argument("--kind", choices=("sessions", "repeat", "stream"), default="sessions")
    parser.add_argument("--dialect", choices=("openai", "anthropic"), default="openai")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pin(LOAD_CPU)
    rounds: list[dict[str, tuple[float, float]]] = []
    with (
        tempfile.TemporaryDirectory(prefix="stepwarden-threads-") as folder,
        started(upstream(), Path(folder), cpu=LOAD_CPU) as provider,
    ):
        target = stepwarden(provider.target.port, Path(folder))
        environ = {"PYTHONPATH": str(ROOT), _CHILD: "1"}
        argv = (sys.executable, "-m", "bench.threads", *target.argv[1:])
        named = msgspec.structs.replace(target, argv=argv, environ=environ)
        with started(named, Path(folder), cpu=TARGET_CPU) as running:
            load(running, Cell(given.kind, given.size, 8, pace_ms=1.0), given.dialect, 1.0)
            rounds += [measure(running, given) for _ in range(given.rounds)]
    middle = {
        name: [statistics.median([each.get(name, (0.0, 0.0))[at] for each in rounds]) for at in (0, 1)]
        for name in rounds[-1]
    }
    for name, (cpu, switches) in sorted(middle.items(), key=lambda item: item[1][0]):
        if cpu >= 1:
            print(f"{name:16}{cpu:8.0f} us {switches:7.3f} switches")


if __name__ == "__main__":
    if _CHILD in os.environ:
        child()
    else:
        main()
