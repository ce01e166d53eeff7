"""Monitoring: the monitor joined to the record, the clauses in force and the keeper."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol

from gateway.api.reading import Reader
from gateway.config import Config
from gateway.contents import Reach
from gateway.decided import Decided, Rulesets
from gateway.ids import new_id
from gateway.intake import Intake
from gateway.keeper import LocalKeeper
from gateway.supervisor import Supervisor, new_fence
from gateway.wire.dialects import dialects
from policies.afterwards import charges_of, ruling
from policies.evaluate import Ruleset, ruleset_of
from policies.guards.judge import Charge
from policies.vocabulary.canaries import Sight
from policies.vocabulary.critiques import Opinion, Seat
from policies.vocabulary.monitoring import Awaiting, Filed
from policies.vocabulary.steps import Part, Step
from policies.vocabulary.verdicts import ALLOW, Verdict
from storage.monitor_queue import MonitorQueue
from storage.rows import RecordedRow
from supervisors.canaries import Canaries
from supervisors.critics.fences import FENCE_BYTES
from supervisors.monitor import Monitor, MonitorSettings, MonitorState
from supervisors.transcript import STEP_BYTES, Seen

_LEAD: Final = "instructions"
"""Kind of the steps that are shown of a session's beginning however long it is."""

_SECONDS: Final = 60.0
"""For one answer: nobody waits for it."""


class SessionRecord(Protocol):
    """The slice of the record this reads; `storage.store.Store` fits."""

    def backwards(self, session_id: str, after: int) -> Iterator[RecordedRow]:
        """A session's exchanges beyond a number, the newest first."""
        ...


class WaitingSteps:
    """The queue off the event loop; satisfies the monitor's `Queue`."""

    def __init__(self, queue: MonitorQueue, intake: Intake, *, now_ns: Callable[[], int]) -> None:
        self._queue = queue
        self._intake = intake
        self._now_ns = now_ns

    async def fill(self) -> bool:
        """Queue what was recorded since; whether there is more."""
        return await asyncio.to_thread(self._intake.fill)

    async def depth(self) -> int:
        """How many steps wait."""
        return await asyncio.to_thread(self._queue.depth)

    async def next(self, limit: int, busy: Collection[str]) -> list[Awaiting]:
        """The riskiest that may be read now, with others of its session."""
        return await asyncio.to_thread(self._queue.next, limit, now_ns=self._now_ns(), busy=tuple(busy))

    async def least_risky(self, count: int, busy: Collection[str]) -> list[Awaiting]:
        """Those that matter least."""
        return await asyncio.to_thread(self._queue.least_risky, count, busy=tuple(busy))

    async def postpone(self, steps: Sequence[Awaiting], until_ns: int) -> None:
        """Let steps wait until a time."""
        await asyncio.to_thread(self._queue.postpone, steps, until_ns)

    async def forget(self, steps: Sequence[Awaiting]) -> None:
        """Let go of steps that are no longer recorded."""
        await asyncio.to_thread(self._queue.forget, steps)


class RecordedSteps:
    """Sessions as they were recorded, with their texts; satisfies the monitor's `Record`."""

    def __init__(self, record: SessionRecord, reader: Reader) -> None:
        self._record = record
        self._reader = reader

    async def steps(self, session_id: str, *, after: int, wanted: Sequence[str], most: int) -> list[Seen]:
        """Steps beyond an exchange up to the last of those wanted; before these, the newest `most` bytes of text."""
        return await asyncio.to_thread(self._steps, session_id, after, wanted, most)

    def _steps(self, session_id: str, after: int, wanted: Sequence[str], most: int) -> list[Seen]:
        rows = list(_cut(self._record.backwards(session_id, after), wanted, most))
        return [seen for row, steps in reversed(rows) for seen in self._seen(row, steps)]

    def _seen(self, row: RecordedRow, steps: Sequence[Step]) -> Iterator[Seen]:
        texts = self._reader.texts(row.exchange, steps)
        for step, text in zip(steps, texts, strict=True):
            part = None if text is None else Part(kind=step.kind, tool=step.tool, text=text)
            yield Seen(number=row.number, step_id=step.step_id, part=part)


def _cut(rows: Iterable[RecordedRow], wanted: Sequence[str], most: int) -> Iterator[tuple[RecordedRow, Sequence[Step]]]:
    """Of exchanges from the newest back, what is shown: those wanted, and what came before while there is room."""
    asked = {step_id.partition(".")[0] for step_id in wanted}
    begun = False
    for row in rows:
        if row.exchange.exchange_id in asked:
            begun = True
            yield row, row.steps
        elif begun:
            most -= sum([min(step.size, STEP_BYTES) + FENCE_BYTES for step in row.steps])
            yield row, row.steps if most >= 0 else [step for step in row.steps if step.kind == _LEAD]


class InForceClauses:
    """The clauses in force; satisfies the monitor's `Clauses`."""

    def __init__(self, rulesets: Rulesets) -> None:
        self._rulesets = rulesets

    def charges(self, app: str, clauses: Collection[str]) -> tuple[Charge, ...]:
        """What to hold steps against."""
        ruleset = self._of(app)
        return () if ruleset is None else charges_of(ruleset, clauses)

    def ruling(self, app: str, opinions: Sequence[Opinion]) -> Verdict:
        """What the bands make of opinions."""
        ruleset = self._of(app)
        return ALLOW if ruleset is None else ruling(ruleset, opinions)

    def _of(self, app: str) -> Ruleset | None:
        return ruleset_of(self._rulesets(), app)


class CritiquesKept:
    """Where critiques go; satisfies the monitor's `Book`."""

    def __init__(self, keeper: LocalKeeper) -> None:
        self._keeper = keeper

    async def settle(self, several: Sequence[Filed]) -> Sequence[Filed]:
        """Keep what came of steps that waited, and act on it; what was kept."""
        return await self._keeper.settle(several)


def open_monitor(config: Config, keeper: LocalKeeper, supervisor: Supervisor, rulesets: Rulesets) -> Monitor:
    """The monitor of a gateway that has a supervisor; it reads once it is run. Raises `StorageFailed`.

    From here on canaries are mixed in among what both seats are asked.
    """
    store = keeper.store
    reach = Reach.within(config.limits)
    intake = Intake(store.monitor_queue, store, rulesets, now_ns=time.time_ns)
    settings = config.supervisor
    decided = Decided(rulesets)

    def canaries(seat: Seat) -> Canaries:
        return Canaries(
            seat,
            settings.canary_every,
            known=decided,
            book=store.canaries,
            model=supervisor.caller.model,
            now_ns=time.time_ns,
        )

    supervisor.gate.watch(canaries("gate"))
    return Monitor(
        supervisor.caller,
        queue=WaitingSteps(store.monitor_queue, intake, now_ns=time.time_ns),
        record=RecordedSteps(store, Reader(store, dialects().by_name(), reach)),
        clauses=InForceClauses(rulesets),
        book=CritiquesKept(keeper),
        canaries=canaries("monitor"),
        settings=MonitorSettings(
            seconds=_SECONDS,
            sessions=settings.monitor_sessions,
            room=settings.monitor_room,
        ),
        draw=new_fence,
        new_id=new_id,
        clock=time.monotonic_ns,
        now_ns=time.time_ns,
    )


def counters(state: MonitorState, sights: Iterable[Sight]) -> dict[str, int]:
    """What `/api/status` counts of the monitor, and of the canaries of each seat."""
    sights = tuple(sights)
    return {
        "monitor_read": state.read,
        "monitor_failed": state.failed,
        "monitor_shed": state.shed,
        "monitor_waiting": state.waiting,
        "canaries_read": sum(sight.read for sight in sights),
        "canaries_missed": sum(sight.missed for sight in sights),
        "canaries_cried": sum(sight.cried for sight in sights),
        "supervisor_blind": int(any(sight.blind for sight in sights)),
    }
