"""What a process tree costs, read from /proc: CPU seconds and memory of a target with all its children."""

import contextlib
import os
import time
from pathlib import Path

import msgspec

_TICK = os.sysconf("SC_CLK_TCK")
_MB = 1 << 20
_CPUCLOCK_SCHED = 2


class Memory(msgspec.Struct, frozen=True):
    """Memory of a process tree, megabytes."""

    largest_rss: float
    """Resident set of the largest process: what one worker costs."""

    total_pss: float
    """Proportional set of the whole tree: shared pages counted once."""

    processes: int


def tree(pid: int) -> list[int]:
    """A process and all its descendants that live."""
    found: list[int] = []
    open_ = [pid]
    while open_:
        current = open_.pop()
        found.append(current)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{current}/task").iterdir():
                open_.extend(int(child) for child in (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, with threads and with children that ended.

    What lives is read from its CPU-time clock, nanoseconds, since a peer as light as nginx uses a handful of scheduler
    ticks in a whole round; children that ended are known in ticks only.
    """
    total = 0.0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime(_cpu_clock(each))
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(field) for field in fields[13:15]) / _TICK
    return total


def children_cpu_seconds(pid: int) -> float:
    """The same of all a process started, those that ended among it, without its own."""
    return cpu_seconds(pid) - time.clock_gettime(_cpu_clock(pid))


def _cpu_clock(pid: int) -> int:
    """Identifier of another process's CPU-time clock (`clock_getcpuclockid`, which Python lacks)."""
    return (~pid << 3) | _CPUCLOCK_SCHED


def settle(pid: int, *, most_s: float = 15.0) -> float:
    """Wait until the tree has nothing left to do (queued recording); returns its CPU seconds then.

    Idle is at most two ticks in 0.3 s. Bounded: a tree that never rests is read as it is.
    """
    deadline = time.monotonic() + most_s
    before = cpu_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = cpu_seconds(pid)
        if now - before <= 2 / _TICK:
            return now
        before = now
    return before


def memory(pid: int) -> Memory:
    """Memory of the tree now."""
    rss: list[float] = []
    pss = 0.0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    rss.append(int(line.split()[1]) * 1024 / _MB)
                elif line.startswith("Pss:"):
                    pss += int(line.split()[1]) * 1024 / _MB
    return Memory(largest_rss=round(max(rss, default=0.0), 1), total_pss=round(pss, 1), processes=len(rss))
