"""Which core a process may run on; one core for the target is what makes "requests per core" honest."""

import os


def pin(cpu: int | None) -> None:
    """Keep this process, and whatever it starts from now on, on one core. No-op where the machine has no such core."""
    if cpu is not None and cpu < (os.cpu_count() or 1) and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpu})
