"""The door to backtests of a running gateway: one at a time, told how far it is, ended by whoever leaves."""

import asyncio
import json
import threading
from typing import Any

import pytest

from gateway.api.backtests import Backtests
from gateway.api.long_work import LongWork, WorkRunning
from gateway.backtest.history import Wanted
from gateway.backtest.run import Cancelled, Candidate
from policies.vocabulary.backtests import Backtest, Interference

REPORT = Backtest(
    policies=("p",), enforce=True, sessions=0, exchanges=0, steps=0, flips=(), flipped=0, hypothetical=0,
    then=Interference(), now=Interference(), unreplayed=(),
)  # fmt: skip
NOTHING = Candidate(policies=())


class Endless:
    """A laboratory with a history that does not end; raises as the real one does once nobody waits."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def run(self, candidate: Any, wanted: Any, *, progress: Any, gone: Any, rest: Any, examples: int) -> Backtest:
        del candidate, wanted, rest, examples
        pause = threading.Event()
        progress(1, 2)
        while not gone():
            pause.wait(0.01)
        self.ended.set()
        raise Cancelled("given up")


class Done:
    """A laboratory that is done at once, one way or the other."""

    def __init__(self, outcome: Backtest | Exception) -> None:
        self._outcome = outcome

    def run(self, *_: Any, **__: Any) -> Backtest:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def service(laboratory: Any) -> Backtests:
    return Backtests(laboratory, rest=lambda: None, work=LongWork())


async def all_of(backtests: Backtests) -> list[str]:
    return [event.decode() async for event in backtests.begin(NOTHING, Wanted(), examples=0)]


def test_whoever_leaves_ends_it_and_the_next_may_begin() -> None:
    async def leave() -> None:
        laboratory = Endless()
        backtests = service(laboratory)
        events: Any = backtests.begin(NOTHING, Wanted(), examples=0)
        assert json.loads((await anext(events)).split(b"data: ")[1]) == {"done": 1, "of": 2}
        with pytest.raises(WorkRunning):
            backtests.begin(NOTHING, Wanted(), examples=0)
        await events.aclose()
        assert await asyncio.to_thread(laboratory.ended.wait, 5)

    asyncio.run(leave())


def test_who_leaves_before_the_first_word_does_not_keep_the_next_from_beginning() -> None:
    async def twice() -> None:
        backtests = service(Done(REPORT))
        backtests.begin(NOTHING, Wanted(), examples=0)  # and nobody follows it
        while True:
            try:
                events = backtests.begin(NOTHING, Wanted(), examples=0)
            except WorkRunning:
                await asyncio.sleep(0.01)
            else:
                assert [event async for event in events][-1].startswith(b"event: report")
                return

    asyncio.run(asyncio.wait_for(twice(), 30))


def test_a_gateway_that_stops_does_not_wait_for_it() -> None:
    async def stop() -> None:
        backtests = service(Endless())
        events: Any = backtests.begin(NOTHING, Wanted(), examples=0)
        await anext(events)
        backtests.close()
        assert b"event: error" in [event async for event in events][-1]

    asyncio.run(stop())


def test_the_last_event_is_the_report_or_why_there_is_none() -> None:
    (event,) = asyncio.run(all_of(service(Done(REPORT))))
    assert event.startswith("event: report\n")
    backtests = service(Done(RuntimeError("content nobody may read")))
    (event,) = asyncio.run(all_of(backtests))
    assert event.startswith("event: error\n")
    assert "content nobody" not in event
    asyncio.run(all_of(backtests))  # and it is free again
