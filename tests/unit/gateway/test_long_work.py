"""Long work on the record: what it finds is shown as it goes, and it ends with whoever asked for it."""

import asyncio
import threading
from collections.abc import AsyncIterator

from gateway.api.long_work import LongWork, Watcher, WorkRunning
from tests.gateway.house import waited


async def all_of(events: AsyncIterator[bytes]) -> str:
    return b"".join([each async for each in events]).decode()


def test_what_is_found_comes_in_order_before_the_report_whenever_it_was_found() -> None:
    go_on = threading.Event()

    def work(watcher: Watcher) -> str:
        watcher.found("one")
        assert go_on.wait(10)
        watcher.found("two")
        return "done"

    async def follow() -> str:
        events = LongWork().begin(work)
        first = await anext(events)
        go_on.set()
        return first.decode() + await all_of(events)

    told = asyncio.run(follow())
    places = [told.index(f'data: "{each}"') for each in ("one", "two", "done")]
    assert places == sorted(places)
    assert told.count("event: found") == 2


def test_work_that_nobody_ever_asks_about_gives_its_place_back() -> None:
    def until_left(watcher: Watcher) -> None:
        while not watcher.gone():
            threading.Event().wait(0.01)

    async def ask() -> None:
        work = LongWork(patience=0.05)
        work.begin(until_left)  # the caller leaves before the answer begins

        def again() -> AsyncIterator[bytes] | None:
            try:
                return work.begin(lambda _: "mine")
            except WorkRunning:
                return None

        assert 'data: "mine"' in await all_of(waited(again))

    asyncio.run(ask())


def test_who_leaves_ends_a_search_before_it_has_read_everything() -> None:
    left = threading.Event()

    def endless(watcher: Watcher) -> None:
        while not watcher.gone():
            watcher.found("more")
            threading.Event().wait(0.01)
        left.set()

    async def leave() -> None:
        events = LongWork().begin(endless)
        assert b"event: found" in await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        assert await asyncio.to_thread(left.wait, 10)

    asyncio.run(leave())
