"""A run of optimizers in a process of its own: it makes way for requests, and ends with whoever waits for it."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gateway.api.long_work import Watcher
from gateway.backtest.run import Cancelled
from gateway.contents import Reach
from gateway.optimizing.apart import RunEnded, run_apart
from gateway.optimizing.errands import AppErrand, AppRun, Errand, Past
from policies.gate.memory import Memory
from policies.vocabulary.ladder import Climb, GateSettings
from policies.vocabulary.revisions import LineEnds, Proposal
from storage.errors import StorageFailed
from storage.optimizer_runs import Run
from storage.optimizer_steps import Heard
from supervisors.optimizers.model import Completion, Spending
from tests.unit.gateway.test_standing import House

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


_RUN = b"gateway.optimizing.process"


class Office:
    """An office where nothing happened yet."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def past(self, app: str) -> Past:
        assert app == "default"
        self._heard()
        return Past(memory=Memory(), waiting=frozenset(), attempts=0, first=True, newest=0)

    def memory(self, app: str, *, until: int) -> Memory:
        raise NotImplementedError

    def keep(self, proposal: Proposal, climbed: Climb) -> int:
        raise NotImplementedError

    def heard(self, step: Heard) -> None:
        raise NotImplementedError

    def count(self, app: str, ends: Sequence[LineEnds]) -> None:
        raise NotImplementedError

    def begin(self, app: str, subject: str, *, since: int) -> Run:
        raise NotImplementedError

    def complete(self, app: str, prompt: str) -> Completion:
        raise NotImplementedError

    def end(self, app: str) -> None:
        raise NotImplementedError


class Desk:
    """A gateway's data directory, and whoever waits for a run over it."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder)
        self.watcher = Watcher(threading.Event(), patience=300)

    def run(self, heard: Callable[[], None], *, busy: bool = False) -> tuple[AppRun, ...]:
        """One run; `heard` is called in mid-run, while the process waits for an answer."""
        errand = Errand(
            run=b"r" * 16,
            directory=str(self.house.store.directory),
            last=self.house.store.last,
            reach=Reach(),
            apps=(
                AppErrand(
                    app="default", parameters=self.house.standing.parameters("default"), salt="s", instructs=False
                ),
            ),
            dry=True,
            ask=(),
            gate=GateSettings(),
            share=0.4,
            spending=Spending(),
            seconds=60,
            words=50,
        )
        return run_apart(errand, Office(heard), self.watcher, lambda: busy)


def children() -> list[int]:
    """The runs that this thread started; other tests may have started other processes."""
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    return [int(each) for each in listed.split() if _RUN in Path(f"/proc/{each}/cmdline").read_bytes()]


def manners() -> list[tuple[int, int]]:
    """How these stand behind others: class and niceness."""
    return [(os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)) for pid in children()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_while_nobody_calls_a_run_is_a_process_like_any_other(desk: Desk) -> None:
    seen: list[tuple[int, int]] = []
    (found,) = desk.run(lambda: seen.extend(manners()))
    assert (found.app, found.episodes) == ("default", 0)
    assert seen == [(os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0))]
    assert children() == []


def test_once_requests_come_it_waits_for_everybody(desk: Desk) -> None:
    seen: list[tuple[int, int]] = []
    desk.run(lambda: seen.extend(manners()), busy=True)
    assert seen == [(os.SCHED_IDLE, 19)], "where the system has no such class, its niceness is all there is"


def test_who_leaves_ends_the_process(desk: Desk) -> None:
    with pytest.raises(Cancelled):
        desk.run(desk.watcher.leave)
    assert children() == []


def test_a_process_that_is_killed_is_told_of_and_nothing_is_left(desk: Desk) -> None:
    def kill() -> None:
        for pid in children():
            os.kill(pid, 9)

    with pytest.raises(RunEnded, match="ended") as ended:
        desk.run(kill)
    assert "goes on" in ended.value.remedy()
    assert children() == []


def test_what_the_ledger_refuses_ends_the_run_with_its_own_words(desk: Desk) -> None:
    def full() -> None:
        raise StorageFailed("writing ledger.db", OSError("disk full"))

    with pytest.raises(StorageFailed):
        desk.run(full)
    assert children() == []


def test_a_run_that_cannot_read_the_record_says_so(desk: Desk) -> None:
    (desk.house.store.directory / "seal.key").rename(desk.house.store.directory / "away.key")
    with pytest.raises(RunEnded):
        desk.run(lambda: None)
    assert children() == []
