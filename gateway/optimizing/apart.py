"""Runs apart: optimizers in a process of their own, which shares no interpreter with requests.

While nobody calls, it is a process like any other. With the first request it becomes work that may wait: from then on
it has of the processors what nobody else wants. Whoever leaves ends the process; so does the
gateway's stop; after a kill the next run goes on where it was.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec

from gateway.api.long_work import Watcher
from gateway.backtest.run import Cancelled
from gateway.optimizing.errands import (
    AppRun,
    AskMemory,
    AskPast,
    Begin,
    Broken,
    Complete,
    Completed,
    Count,
    End,
    Errand,
    Far,
    Keep,
    Message,
    Office,
    Report,
    Step,
)
from policies.errors import StepwardenError
from supervisors.optimizers.model import ModelFailed

_LOOK_SECONDS: Final = 0.25
"""How often it is asked whether anybody waits."""

_NICEST: Final = 19

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


class RunEnded(StepwardenError):
    """The process of a run ended before it came to anything."""

    status = 503

    def remedy(self) -> str:
        """What to do."""
        return "Run it again: it goes on where it was. The gateway's log says more; so does the system's, of memory."


def run_apart(errand: Errand, office: Office, watcher: Watcher, busy: Callable[[], bool]) -> tuple[AppRun, ...]:
    """Carry out a run in a process of its own. Blocks; give it a thread. `busy`: whether requests come.

    Raises `Cancelled` once nobody waits any more, `RunEnded`, and what the office raises.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-P", "-m", "gateway.optimizing.process", str(theirs.fileno())]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])  # noqa: S603 - ours
        try:
            theirs.close()
            with Connection(ours.detach()) as link:
                return _served(link, errand, office, watcher, _Manners(process.pid, busy))
        finally:
            process.kill()
            process.wait()


class _Manners:
    """How a process stands behind others. There is no way back: nobody may give a process more than it has."""

    def __init__(self, pid: int, busy: Callable[[], bool]) -> None:
        self._pid = pid
        self._busy = busy
        self._waits = False

    def mind(self) -> None:
        """Let it wait for everybody once requests come."""
        if self._waits or not self._busy():
            return
        self._waits = True
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._pid, _NICEST)
        if sys.platform == "linux":
            # Niceness alone lets whoever runs finish its slice, some milliseconds; such work is interrupted at once.
            with suppress(OSError):
                os.sched_setscheduler(self._pid, os.SCHED_IDLE, os.sched_param(0))


def _served(
    link: "Connection[bytes, bytes]", errand: Errand, office: Office, watcher: Watcher, manners: _Manners
) -> tuple[AppRun, ...]:
    answered = _answers(office)
    try:
        link.send_bytes(_encode(errand))
        while True:
            manners.mind()
            if watcher.gone():
                raise Cancelled("the run was given up")
            if not link.poll(_LOOK_SECONDS):
                continue
            said = _decode(link.recv_bytes())
            if isinstance(said, Report):
                return said.runs
            if isinstance(said, Broken):
                raise RunEnded(f"the run could not go on ({said.kind})")
            if isinstance(said, Far):
                watcher.told(said.done, said.of)
            else:
                link.send_bytes(_encode(answered(said)))
    except (EOFError, ConnectionError):
        raise RunEnded("the process of the run ended") from None


def _answers(office: Office) -> Callable[[Any], Any]:
    """What the office says to each question."""

    def completed(said: Complete) -> Completed:
        try:
            return Completed(completion=office.complete(said.app, said.prompt))
        except ModelFailed as failed:
            return Completed(why=str(failed))

    answers: dict[type[Any], Callable[[Any], Any]] = {
        AskPast: lambda said: office.past(said.app),
        AskMemory: lambda said: office.memory(said.app, until=said.until),
        Keep: lambda said: office.keep(said.proposal, said.climbed),
        Step: lambda said: office.heard(said.heard),
        Count: lambda said: office.count(said.app, said.ends),
        Begin: lambda said: office.begin(said.app, said.subject, since=said.since),
        Complete: completed,
        End: lambda said: office.end(said.app),
    }
    return lambda said: answers[type(said)](said)
