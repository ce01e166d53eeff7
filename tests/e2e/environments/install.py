"""Environments of the foreign clients, under `.venvs/`, each from its lock file with hashes.

    python tests/e2e/environments/install.py [NAME ...]

Does nothing where an environment is already what its lock file says.
"""

import hashlib
import os
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
VENVS = HERE.parents[2] / ".venvs"
STAMP = ".installed-from"
LOCKS = {
    "agents": "agents.txt",
    "conformance": "conformance/package-lock.json",
    "extras": "extras.txt",
    "litellm": "litellm.txt",
    "node": "node/package-lock.json",
    "phoenix": "phoenix.txt",
    "sqlite": "sqlite.txt",
    "telemetry": "telemetry.txt",
    "telemetry-old": "telemetry-old.txt",
    "tools": "tools.txt",
}


class NotInstalled(Exception):
    """An environment of the client tests is missing or older than its lock file."""


def environment(name: str) -> Path:
    """The folder of an environment that is up to date; raises `NotInstalled`."""
    folder = VENVS / name
    stamp = folder / STAMP
    if not stamp.exists() or stamp.read_text() != _digest(name):
        raise NotInstalled(f"{name}: run `python tests/e2e/environments/install.py {name}`")
    return folder


def install(name: str) -> float:
    """Build an environment from its lock file, from scratch where that changed; returns seconds."""
    began = time.monotonic()
    try:
        environment(name)
    except NotInstalled:
        _install_node(name) if LOCKS[name].endswith(".json") else _install_python(name)
        (VENVS / name / STAMP).write_text(_digest(name))
    return time.monotonic() - began


def _digest(name: str) -> str:
    return hashlib.sha256((HERE / LOCKS[name]).read_bytes()).hexdigest()


def _install_python(name: str) -> None:
    folder = VENVS / name
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # the lock is complete, so nothing is left to resolve; byte code is compiled when it is first run
    subprocess.run([*pip, "--require-hashes", "--no-deps", "--no-compile", "-r", str(HERE / LOCKS[name])], check=True)


def _install_node(name: str) -> None:
    folder = VENVS / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        (folder / file).write_bytes((HERE / name / file).read_bytes())
    # no package's own scripts run: the native binaries of Claude Code and Codex are packages themselves
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "npm_config_update_notifier": "false"})


def main(names: list[str]) -> None:
    """Install all environments, or these, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        for name, seconds in pool.map(lambda name: (name, install(name)), names or sorted(LOCKS)):
            print(f"{name}: {seconds:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
