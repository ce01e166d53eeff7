"""A gateway as a real process of its own, for the demo and for measuring."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway import sockets
from gateway.cli import client
from gateway.config import Config
from policies.errors import StepwardenError

_START_SECONDS = 30.0
_STOP_SECONDS = 40.0
_POLL_SECONDS = 0.05


class DidNotStart(StepwardenError):
    """The gateway process ended, or did not listen in time."""

    def __init__(self, log: Path) -> None:
        super().__init__(f"the gateway did not start; its last words: {_last_words(log)}")

    def remedy(self) -> str:
        """What to look at."""
        return "Run `stepwarden doctor`."


def _last_words(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace").strip()[-500:] or "none"
    except OSError:
        return "none"


class RunningGateway:
    """`stepwarden serve` on a directory of its own; a context manager. `settings` are environment forms."""

    def __init__(self, directory: Path, settings: Mapping[str, str], config_file: Path | None = None) -> None:
        """`config_file`: with this configuration, as far as `settings` say nothing else. Raises as `Config.load`."""
        self.directory = directory
        self.data_dir = directory / "data"
        self.log = directory / "gateway.log"
        own = {"STEPWARDEN_GATEWAY__DATA_DIR": str(self.data_dir), "STEPWARDEN_GATEWAY__PORT": "0", **settings}
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("STEPWARDEN_")} | own
        self.config = Config.load(config_file, environ=self._environ)
        self._named = [] if config_file is None else ["--config", str(config_file.absolute())]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """The process's id; 0 before it started."""
        return self._process.pid if self._process else 0

    def __enter__(self) -> Self:
        """Start it and wait until it listens. Raises `DidNotStart`."""
        # Our own package must win over what lies in the directory it runs in: -P, and nothing read from there.
        command = [sys.executable, "-P", "-m", "gateway.cli.main", "serve", *self._named]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, cwd=self.directory, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while not client.answers(self.data_dir / sockets.CONTROL):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise DidNotStart(self.log)
            time.sleep(_POLL_SECONDS)
        with client.here(self.config) as api:
            self.url = api.get("/api/status")["listening"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it as an operator would; one that does not drain in time is killed. Idempotent."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
