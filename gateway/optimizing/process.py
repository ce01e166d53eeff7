"""The process of one run of optimizers: it reads the record by connections of its own, and has no pen.

    python -m gateway.optimizing.process DESCRIPTOR

`gateway/optimizing/apart.py` starts it, and lets it wait for everybody once requests come. Whoever started it is at the
other end of the descriptor; where nobody is there any more, it ends.
"""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from gateway import logs, struct_types
from gateway.api.reading import Reader
from gateway.optimizing.episodes import RecordedEpisodes
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
    Past,
    Report,
    Step,
)
from gateway.optimizing.run import Workshop
from gateway.wire.dialects import dialects
from policies.gate.memory import Memory
from policies.vocabulary.ladder import Climb
from policies.vocabulary.revisions import LineEnds, Proposal
from storage.optimizer_runs import Run
from storage.optimizer_steps import Heard
from storage.view import StoreView
from supervisors.optimizers.model import Completion, ModelFailed

_LOG: Final = logging.getLogger("stepwarden.optimizer")

_TOLD_SECONDS: Final = 0.25
"""How often it says how far it is, and so finds out that nobody listens."""

T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode


class Correspondence:
    """The office as it is reached from here. Raises `OSError` or `EOFError` where nobody is there any more."""

    def __init__(self, link: "Connection[bytes, bytes]") -> None:
        self._link = link

    def past(self, app: str) -> Past:
        """See `Office.past`."""
        return self._asked(AskPast(app=app), Past)

    def memory(self, app: str, *, until: int) -> Memory:
        """See `Office.memory`."""
        return self._asked(AskMemory(app=app, until=until), Memory)

    def keep(self, proposal: Proposal, climbed: Climb) -> int:
        """See `Office.keep`."""
        return self._asked(Keep(proposal=proposal, climbed=climbed), int)

    def heard(self, step: Heard) -> None:
        """See `Office.heard`."""
        self._asked(Step(heard=step), None)

    def count(self, app: str, ends: Sequence[LineEnds]) -> None:
        """See `Office.count`."""
        self._asked(Count(app=app, ends=tuple(ends)), None)

    def begin(self, app: str, subject: str, *, since: int) -> Run:
        """See `Office.begin`."""
        return self._asked(Begin(app=app, subject=subject, since=since), Run)

    def complete(self, app: str, prompt: str) -> Completion:
        """See `Office.complete`."""
        said = self._asked(Complete(app=app, prompt=prompt), Completed)
        if said.completion is None:
            raise ModelFailed(said.why)
        return said.completion

    def end(self, app: str) -> None:
        """See `Office.end`."""
        self._asked(End(app=app), None)

    def tell(self, message: Message) -> None:
        """Say something that nobody answers."""
        self._link.send_bytes(_encode(message))

    def _asked(self, message: Message, answer: type[T] | None) -> T | Any:
        self.tell(message)
        return msgspec.msgpack.decode(self._link.recv_bytes(), type=answer)


class _Pace:
    """How far a run is, told now and then."""

    def __init__(self, tell: Callable[[Message], None], apps: int) -> None:
        self._tell = tell
        self._apps = apps
        self._at = 0
        self._far = (0, apps)
        self._told = time.monotonic()

    def next(self, at: int) -> None:
        """The next app."""
        self._at = at

    def progress(self, done: int, of: int) -> None:
        """So much is done for this app."""
        self._far = (self._at * of + done, self._apps * of)
        self.rest()

    def rest(self) -> None:
        """Say how far it is, where that was some time ago."""
        if time.monotonic() - self._told >= _TOLD_SECONDS:
            self._told = time.monotonic()
            self._tell(Far(done=self._far[0], of=self._far[1]))


def carried_out(errand: Errand, office: Correspondence) -> tuple[AppRun, ...]:
    """What the run comes to, app by app."""
    pace, runs = _Pace(office.tell, len(errand.apps)), list[AppRun]()
    with StoreView(Path(errand.directory), errand.last) as view:
        reader = Reader(view, dialects().by_name(), errand.reach)
        episodes = RecordedEpisodes(view, reader, labels=view.labels, holds=view.holds, critiques=view.critiques)
        shop = Workshop(episodes, office, errand)
        for at, wanted in enumerate(errand.apps):
            pace.next(at)
            runs.append(shop.run(wanted, progress=pace.progress, rest=pace.rest))
    return tuple(runs)


def main() -> int:
    """The whole life of the process; its exit code."""
    logs.configure()
    struct_types.work_out()
    link: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    office = Correspondence(link)
    try:
        errand = msgspec.msgpack.decode(link.recv_bytes(), type=Errand)
        try:
            office.tell(Report(runs=carried_out(errand, office)))
        except (OSError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            _LOG.error("a run of optimizers cannot go on", extra={"error": type(error).__name__})
            office.tell(Broken(kind=type(error).__name__))
    except (ConnectionError, EOFError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
