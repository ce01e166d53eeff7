"""The crew: the data-plane workers of one gateway, each on a socket of its own; one that dies is started again."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess

from gateway.config import Config
from gateway.serving.worker import work

log = logging.getLogger("stepwarden.serve")

_RESTART_SECONDS = 1.0

GRACE_SECONDS = 5.0
"""Beyond the drain time: for the exporter's last batch, and before a worker that does not end is killed."""


class Crew:
    """The data-plane workers of one gateway."""

    def __init__(self, config: Config, listeners: list[socket.socket]) -> None:
        self._config = config
        self._listeners = listeners
        self._spawning = multiprocessing.get_context("spawn")
        self._workers: list[BaseProcess] = []

    def start(self) -> None:
        """Start one worker on each listening socket."""
        self._workers = [self._spawn(number) for number in range(len(self._listeners))]

    def _spawn(self, number: int) -> BaseProcess:
        arguments = (self._config, self._listeners[number])
        worker = self._spawning.Process(target=work, args=arguments, name=f"stepwarden-worker-{number}")
        worker.start()
        return worker

    def hang_up(self) -> None:
        """Let every worker read its policies anew."""
        self._signal(signal.SIGHUP)

    def cut(self) -> None:
        """Let no worker wait for its open requests any more."""
        self._signal(signal.SIGUSR1)

    def _signal(self, which: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, which)

    async def watch(self, stopping: asyncio.Event) -> None:
        """Start dead workers again until told to stop."""
        while not stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RESTART_SECONDS)
            for number, worker in enumerate(self._workers):
                if not worker.is_alive() and not stopping.is_set():
                    log.error("a worker died and is started again", extra={"exit_code": worker.exitcode})
                    self._workers[number] = self._spawn(number)

    async def stop(self) -> None:
        """Let every worker drain; one that outlives its time is ended."""
        for listener in self._listeners:
            listener.close()  # else the kernel goes on taking connections that no worker will serve
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + self._config.limits.drain_seconds + GRACE_SECONDS
        for worker in self._workers:
            await asyncio.to_thread(worker.join, max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                log.error("a worker did not drain in time")
                worker.kill()
                await asyncio.to_thread(worker.join)
