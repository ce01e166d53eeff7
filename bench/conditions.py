"""Under which conditions a result was measured; without them a figure says nothing."""

import datetime as dt
import os
import platform
import re
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.targets import ROOT

_LIBRARIES = ("aiohttp", "httptools", "litestar", "msgspec", "uvicorn", "uvloop", "blake3", "zstandard", "cryptography")


def conditions(dialect: str) -> dict[str, Any]:
    """Machine, versions, commit and load before the run. Names no host."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "dialect": dialect,
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "pinning": "target on core 1; load generator and provider on core 0",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "interpreter_ms": interpreter_ms(),
        "versions": {name: _version(name) for name in _LIBRARIES},
        "nginx": _said("nginx", "-v") or _said("/usr/sbin/nginx", "-v"),
        "litellm": _litellm_version(),
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "uncommitted": bool(_said("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")),
        "load_average_before": load_average(),
    }


def interpreter_ms() -> float:
    """CPU milliseconds of a fixed piece of plain Python, the best of five.

    One release differs by a third between builds with and without profile-guided optimisation, and with it every ratio
    to a peer that is no Python.
    """
    taken: list[float] = []
    for _ in range(5):
        began = time.process_time()
        _plain_python()
        taken.append((time.process_time() - began) * 1e3)
    return round(min(taken), 1)


def _plain_python() -> int:
    """Calls, small objects, dictionaries and joined bytes: what handling a request is made of."""
    named = {number: str(number) for number in range(100)}
    total = 0
    for number in range(20_000):
        pair = (named.get(number % 100, ""), b"%d" % number)
        total += len(b": ".join((pair[0].encode(), pair[1]))) + _longest(pair)
    return total


def _longest(pair: tuple[str, bytes]) -> int:
    return max(len(pair[0]), len(pair[1]))


def load_average() -> list[float]:
    """One, five and fifteen minutes."""
    return [round(each, 2) for each in os.getloadavg()]


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _said(*argv: str) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return None
    return (done.stdout + done.stderr).strip()


def _litellm_version() -> str | None:
    found = sorted((ROOT / ".venvs" / "bench-litellm" / "lib").glob("python*/site-packages/litellm-*.dist-info"))
    return found[0].name.removeprefix("litellm-").removesuffix(".dist-info") if found else None
