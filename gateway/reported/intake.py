"""Intake: reports on their way to the disk, at the keeper. Several that wait are written together.

What waits is bounded, and what does not fit is refused: nothing is acknowledged that is not on the disk. Lives on one
event loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, Protocol

from gateway.refusals import ReportsNotStored, TooManyReports
from policies.vocabulary.reports import Report

log = logging.getLogger("stepwarden.reported")

_BATCH_BYTES: Final = 4 << 20
"""Written at once: the thread that writes has the record to write too."""


class ReportStore(Protocol):
    """The slice of storage the intake needs; `storage.reports.ReportBook` fits."""

    def add(self, reports: Sequence[Report]) -> None:
        """Make reports durable. Raises `StepwardenError`."""
        ...


class _Waiting(NamedTuple):
    report: Report
    stored: "asyncio.Future[None]"


class Intake:
    """The queue of reports and the one task that empties it."""

    def __init__(
        self, store: ReportStore, submit: Callable[[Callable[[], None]], "Future[Any]"], *, queue_bytes: int
    ) -> None:
        """`submit` runs a job on the thread that writes."""
        self._store = store
        self._submit = submit
        self._queue_bytes = queue_bytes
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._stored = 0
        self._refused = 0

    def counters(self) -> Mapping[str, int]:
        """Counts since the start, and what waits now."""
        return {
            "spans_reported": self._stored,
            "spans_refused": self._refused,
            "spans_waiting_bytes": self._bytes,
        }

    async def take(self, report: Report) -> None:
        """Keep a report; on return it is on the disk. Raises `TooManyReports` or `ReportsNotStored`."""
        if self._bytes and self._bytes + report.weight > self._queue_bytes:
            self._refused += len(report.spans)
            raise TooManyReports("More spans wait to be stored than there is room for.")
        waiting = _Waiting(report, asyncio.get_running_loop().create_future())
        self._bytes += report.weight
        self._queue.append(waiting)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
        await waiting.stored

    async def _write(self) -> None:
        try:
            while self._queue:
                await self._write_some(self._some())
        finally:
            self._writing = None

    def _some(self) -> list[_Waiting]:
        some: list[_Waiting] = []
        size = 0
        while self._queue and size < _BATCH_BYTES:
            some.append(self._queue.popleft())
            size += some[-1].report.weight
        return some

    async def _write_some(self, some: Sequence[_Waiting]) -> None:
        reports = [each.report for each in some]
        failure: ReportsNotStored | None = None
        try:
            await asyncio.wrap_future(self._submit(lambda: self._store.add(reports)))
            self._stored += sum(len(report.spans) for report in reports)
        except Exception:
            log.exception("reported spans could not be stored")
            failure = ReportsNotStored("The spans could not be stored.")
        for each in some:
            self._bytes -= each.report.weight
            if each.stored.done():
                continue  # its caller left
            if failure is None:
                each.stored.set_result(None)
            else:
                each.stored.set_exception(failure)
