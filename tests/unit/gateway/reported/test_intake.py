"""What waits is bounded, written together, and acknowledged only once it is on the disk."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from gateway.refusals import ReportsNotStored, TooManyReports
from gateway.reported.intake import Intake
from policies.vocabulary.reports import Report
from storage.errors import StorageFailed


class Disk:
    """A writing thread that works when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], None], Future[Any]]] = []
        self.came = asyncio.Event()
        self.batches: list[int] = []
        self.full = False

    def submit(self, job: Callable[[], None]) -> "Future[Any]":
        self.jobs.append((job, Future()))
        self.came.set()
        return self.jobs[-1][1]

    def add(self, reports: Sequence[Report]) -> None:
        if self.full:
            raise StorageFailed("a test", OSError("no space left"))
        self.batches.append(len(reports))

    async def work(self) -> None:
        await self.came.wait()
        self.came.clear()
        job, future = self.jobs.pop()
        try:
            future.set_result(job())
        except StorageFailed as error:
            future.set_exception(error)


def report(weight: int = 10) -> Report:
    return Report(app="a", received_ns=1, weight=weight, spans=())


async def begun(intake: Intake, *reports: Report) -> list["asyncio.Task[None]"]:
    tasks = [asyncio.create_task(intake.take(each)) for each in reports]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def test_what_waits_meanwhile_is_written_together_and_not_acknowledged_before() -> None:
    async def run() -> None:
        disk = Disk()
        intake = Intake(disk, disk.submit, queue_bytes=100)
        tasks = await begun(intake, report())
        tasks += await begun(intake, report(), report(), report())
        assert [task.done() for task in tasks] == [False] * 4
        await disk.work()
        await tasks[0]
        assert [task.done() for task in tasks[1:]] == [False] * 3
        await disk.work()
        await asyncio.gather(*tasks)
        assert disk.batches == [1, 3]

    asyncio.run(run())


def test_beyond_its_room_it_refuses_with_a_time_to_come_again_and_takes_again_later() -> None:
    async def run() -> None:
        disk = Disk()
        intake = Intake(disk, disk.submit, queue_bytes=25)
        tasks = await begun(intake, report(), report())
        with pytest.raises(TooManyReports) as refused:
            await intake.take(report())
        assert (refused.value.status, refused.value.retry_after) == (429, 1)
        while any(not task.done() for task in tasks):
            await disk.work() if disk.jobs else await asyncio.sleep(0)
        assert intake.counters() == {"spans_reported": 0, "spans_refused": 0, "spans_waiting_bytes": 0}
        (alone,) = await begun(intake, report(1_000))  # larger than all the room there is, and nothing else waits
        await disk.work()
        await alone

    asyncio.run(run())


def test_a_disk_that_refuses_is_told_to_the_sender_and_tried_anew_with_the_next() -> None:
    async def run() -> None:
        disk = Disk()
        disk.full = True
        intake = Intake(disk, disk.submit, queue_bytes=25)
        (task,) = await begun(intake, report())
        await disk.work()
        with pytest.raises(ReportsNotStored) as refused:
            await task
        assert (refused.value.status, refused.value.retry_after) == (503, 2)
        disk.full = False
        (task,) = await begun(intake, report())
        await disk.work()
        await task

    asyncio.run(run())


def test_who_leaves_takes_nothing_with_them() -> None:
    async def run() -> None:
        disk = Disk()
        intake = Intake(disk, disk.submit, queue_bytes=25)
        gone, stays = await begun(intake, report(), report())
        gone.cancel()
        await disk.work()
        await stays
        assert disk.batches == [2]

    asyncio.run(run())
