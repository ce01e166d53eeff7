"""A real gateway process on loopback, for tests that talk to it as a user's client does."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).parents[2]
READY_WITHIN = 60.0
"""Seconds; generous, as the machine of a test run is busy."""

ENDED_WITHIN = 60.0
"""Seconds from SIGTERM, drain time included; as generous."""

_PORTS = range(20_000, 32_000)
"""Systems hand out ports from 32,768 on (Linux) or 49,152 on (others) to whoever asks for any."""


@dataclass(frozen=True)
class GatewayProcess:
    """A gateway that answered `/readyz`."""

    url: str
    folder: Path
    """Holds `stepwarden.toml`, the data directory and `gateway.log`."""
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text(errors="replace")

    def ended(self) -> int:
        """The exit code, once it has one."""
        return self.process.wait(ENDED_WITHIN)

    def command(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI against this gateway; stdout and stderr as text."""
        line = [sys.executable, "-m", "gateway.cli.main", *words, "--url", self.url]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def free_port() -> int:
    """A port nobody listens on and no other process is given: below those the system hands out by itself, and each
    test process of a run (`PYTEST_XDIST_WORKER`) has its own.
    """
    here, of = _place()
    tried = range(_PORTS.start + here, _PORTS.stop, of)
    for _ in range(100):
        port = secrets.choice(tried)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free for a gateway")


def _place() -> tuple[int, int]:
    """Which of how many test processes this is."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return int(worker), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def config_text(*, port: int, folder: Path, providers: Mapping[str, str], more: str = "") -> str:
    """A configuration file: `providers` gives the base URL of each provider, named after its dialect."""
    tables = "\n".join(
        f'[provider.{name}]\ndialect = "{name}"\nbase_url = "{base_url}"\n' for name, base_url in providers.items()
    )
    gateway = f'[gateway]\nhost = "127.0.0.1"\nport = {port}\ndata_dir = "{folder / "data"}"\n'
    return f"{gateway}\n{tables}\n{more}"


@contextmanager
def running_gateway(
    folder: Path,
    providers: Mapping[str, str],
    *,
    more: str = "",
    options: Sequence[str] = (),
    python: str = sys.executable,
    ready_within: float = READY_WITHIN,
) -> Iterator[GatewayProcess]:
    """Start a gateway for these providers, wait until it is ready, stop it with SIGTERM at the end.

    `options` are further words for `stepwarden serve`; `python` is the interpreter of another environment;
    `ready_within` is in seconds.
    """
    port = free_port()
    config = folder / "stepwarden.toml"
    config.write_text(config_text(port=port, folder=folder, providers=providers, more=more))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("STEPWARDEN_", "OTEL_"))}
    command = [python, "-m", "gateway.cli.main", "serve", "--config", str(config), *options]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    gateway = GatewayProcess(f"http://127.0.0.1:{port}", folder, process)
    try:
        _wait_ready(gateway, ready_within)
        yield gateway
    finally:
        _stop(process)


def _wait_ready(gateway: GatewayProcess, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and gateway.process.poll() is None:
        if _ready(gateway):
            return
        with suppress(subprocess.TimeoutExpired):
            gateway.process.wait(0.05)
    raise AssertionError(f"the gateway was not ready (exit code {gateway.process.poll()}); its log:\n{gateway.log}")


def _ready(gateway: GatewayProcess) -> bool:
    connection = HTTPConnection(*gateway.address, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(ENDED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"the gateway did not stop within {ENDED_WITHIN:g} s of SIGTERM") from None
