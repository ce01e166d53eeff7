"""The live feed: who may see it sees it, many events a write, made once for all; a viewer that stalls costs little."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gateway.api.access import EVERY_APP
from gateway.api.live import FeedOver, LiveFeed
from policies.vocabulary.holds import Hold
from policies.vocabulary.keys import Principal, Role
from tests.contract.api_store import READABLE, asked, recorded

ADMIN = Principal(role="admin", app=EVERY_APP)


def events(chunk: bytes) -> list[tuple[str, Any]]:
    """The events of a chunk; comments are none."""
    found = []
    for block in chunk.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


async def begun(feed: LiveFeed, principal: Principal) -> AsyncIterator[bytes]:
    stream = feed.watch(principal)
    assert await anext(stream) == b": watching\n\n"
    return stream


def test_what_comes_in_quick_succession_is_one_write() -> None:
    async def seen() -> list[list[str]]:
        feed = LiveFeed(READABLE, gather_seconds=0.05)
        stream = await begun(feed, ADMIN)
        feed.publish(recorded())
        first = await anext(stream)
        for _ in range(3):
            feed.publish(recorded())
        return [[name for name, _ in events(chunk)] for chunk in (first, await anext(stream))]

    one = ["step"] * 6 + ["exchange"]
    assert asyncio.run(seen()) == [one, one * 3]


def test_viewers_who_may_see_the_same_get_the_very_same_bytes() -> None:
    auditor = Principal(role="auditor", app=EVERY_APP, key_id="key_1")

    async def seen() -> list[bytes]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        streams = [await begun(feed, who) for who in (ADMIN, ADMIN, auditor)]
        feed.publish(recorded())
        return [await anext(stream) for stream in streams]

    one, *others = asyncio.run(seen())
    assert all(each is one for each in others)


def test_an_app_is_seen_by_its_own_viewers_and_by_those_of_all() -> None:
    async def seen() -> list[list[str]]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        streams = [await begun(feed, Principal(role="viewer", app=app)) for app in ("shop", "bank", EVERY_APP)]
        feed.publish(recorded(app="shop"))
        feed.publish(recorded(app="bank"))
        feed.close()
        return [
            [data["app"] async for chunk in stream for name, data in events(chunk) if name == "exchange"]
            for stream in streams
        ]

    assert asyncio.run(seen()) == [["shop"], ["bank"], ["shop", "bank"]]


def test_a_viewer_that_stalls_costs_bounded_bytes_and_is_told_what_it_missed() -> None:
    async def seen() -> tuple[int, list[tuple[str, Any]]]:
        feed = LiveFeed(READABLE, capacity=40_000, gather_seconds=0)
        stalled, reading = await begun(feed, ADMIN), await begun(feed, ADMIN)
        read = 0
        for _ in range(100):
            feed.publish(recorded())
            read += len(events(await anext(reading)))
        chunk = await anext(stalled)
        assert len(chunk) < 41_000
        return read, events(chunk)

    read, found = asyncio.run(seen())
    assert read == 700, "who reads loses nothing to who does not"
    name, data = found[-1]
    assert (name, data["events"] + len(found) - 1) == ("dropped", 700)
    assert len(found) > 7


def test_a_burst_does_not_gather_without_end() -> None:
    async def seen() -> list[int]:
        feed = LiveFeed(READABLE, gather_seconds=30)
        stream = await begun(feed, ADMIN)
        feed.publish(recorded())
        sizes = [len(await anext(stream))]
        while len(sizes) < 3:
            for _ in range(80):
                feed.publish(recorded())
            async with asyncio.timeout(10):
                sizes.append(len(await anext(stream)))
        return sizes

    assert max(asyncio.run(seen())) < 1 << 20


def test_in_a_quiet_time_viewers_are_reminded_and_the_first_event_after_it_does_not_wait() -> None:
    async def seen() -> tuple[bytes, list[str]]:
        feed = LiveFeed(READABLE, gather_seconds=30, quiet_seconds=0.02)
        stream = await begun(feed, ADMIN)
        quiet = await anext(stream)
        async with asyncio.timeout(10):
            feed.publish(recorded())
            while not (found := events(await anext(stream))):
                pass
        return quiet, [name for name, _ in found]

    quiet, names = asyncio.run(seen())
    assert quiet == b": nothing new\n\n"
    assert names == ["step"] * 6 + ["exchange"]


def test_who_waits_for_a_person_is_seen_by_all_and_what_is_asked_by_overseers_alone() -> None:
    hold = Hold(hold_id="hold_1", ask=asked(recorded()), state="waiting", expires_ns=2)
    decided = msgspec.structs.replace(hold, state="rejected")

    async def seen(role: Role, app: str) -> list[tuple[str, str, str]]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        stream = await begun(feed, Principal(role=role, app=app, key_id="key_1"))
        feed.announce(hold)
        feed.announce(decided)
        feed.close()
        return [(name, data["state"], data["text"]) async for chunk in stream for name, data in events(chunk)]

    text = hold.ask.text
    for role in ("auditor", "operator", "admin"):
        assert asyncio.run(seen(role, "default")) == [("hold", "waiting", text), ("hold", "rejected", text)]
    assert asyncio.run(seen("viewer", "default")) == [("hold", "waiting", ""), ("hold", "rejected", "")]
    assert asyncio.run(seen("operator", "other")) == []


def test_a_feed_that_is_closed_stays_so_for_whoever_comes_back() -> None:
    async def seen() -> list[bytes]:
        feed = LiveFeed(READABLE)
        late = feed.watch(ADMIN)
        feed.close()
        with pytest.raises(FeedOver):
            feed.watch(ADMIN)
        return [chunk async for chunk in late]

    assert asyncio.run(asyncio.wait_for(seen(), 10)) == []


def test_with_nobody_watching_nothing_is_made() -> None:
    feed = LiveFeed(READABLE)
    feed.publish(recorded())
    feed.announce(Hold(hold_id="h", ask=asked(recorded()), state="waiting", expires_ns=2))
    assert feed.viewers == 0


def test_who_leaves_takes_nothing_along() -> None:
    async def seen() -> tuple[int, int, list[str]]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        leaving, staying = await begun(feed, ADMIN), await begun(feed, ADMIN)
        await leaving.aclose()  # type: ignore[attr-defined]
        one = feed.viewers
        feed.publish(recorded())
        names = [name for name, _ in events(await anext(staying))]
        await staying.aclose()  # type: ignore[attr-defined]
        return one, feed.viewers, names

    assert asyncio.run(seen()) == (1, 0, ["step"] * 6 + ["exchange"])
