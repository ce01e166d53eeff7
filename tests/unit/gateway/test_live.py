"""The live feed: who may see it sees it, many events a write; a viewer that stalls costs a bounded queue."""

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


def test_a_viewer_that_stalls_costs_its_queue_and_is_told_what_it_missed() -> None:
    async def seen() -> list[tuple[str, Any]]:
        feed = LiveFeed(READABLE, capacity=10, gather_seconds=0)
        stream = await begun(feed, ADMIN)
        for _ in range(100):
            feed.publish(recorded())
        return events(await anext(stream))

    found = asyncio.run(seen())
    assert len(found) == 11
    assert found[-1] == ("dropped", {"events": 690})


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
