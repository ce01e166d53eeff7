"""The live feed: who may see it sees it, many events a write, made once for all; a viewer that stalls costs little."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from gateway.api.access import EVERY_APP
from gateway.api.live import FeedOver, LiveFeed, TooManyViewers
from gateway.stations.asks import Glimpse
from gateway.viewers import Audience, Rooms, Viewer
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.holds import Hold
from tests.contract.api_store import READABLE, asked, judged, recorded
from tests.fakes.screen import Screen, events

ALL = Audience(EVERY_APP, overseer=True)
ONE = ["step"] * 6 + ["exchange"]


class Unread(dict[str, Any]):
    """Dialects that nobody may look for: no event is made."""

    def get(self, *_: Any) -> Any:
        raise AssertionError("an event was made for nobody")


def come(feed: LiveFeed, audience: Audience = ALL, *, room: int = 1 << 20, reads: bool = True) -> tuple[Screen, Viewer]:
    screen = Screen(reads=reads)
    viewer = Viewer(screen, room)
    feed.enter(audience, viewer)
    return screen, viewer


def names(said: Sequence[bytes]) -> list[list[str]]:
    return [[name for name, _ in events(chunk)] for chunk in said]


def test_what_comes_in_quick_succession_is_one_write() -> None:
    async def seen() -> list[bytes]:
        feed = LiveFeed(READABLE, gather_seconds=30)
        screen, _ = come(feed)
        feed.publish(recorded())
        await screen.holds(1)
        for _ in range(3):
            feed.publish(recorded())
        feed.close()
        return await screen.holds(2)

    assert names(asyncio.run(seen())) == [ONE, ONE * 3]


def test_viewers_who_may_see_the_same_get_the_very_same_bytes() -> None:
    async def seen() -> list[bytes]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        screens = [come(feed)[0] for _ in range(3)]
        feed.publish(recorded())
        return [(await screen.holds(1))[0] for screen in screens]

    one, *others = asyncio.run(seen())
    assert all(each is one for each in others)


def test_an_app_is_seen_by_its_own_viewers_and_by_those_of_all() -> None:
    async def seen() -> list[list[str]]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        screens = [come(feed, Audience(app, overseer=False))[0] for app in ("shop", "bank", EVERY_APP)]
        feed.publish(recorded(app="shop"))
        feed.publish(recorded(app="bank"))
        feed.close()
        return [
            [data["app"] for chunk in screen.said for name, data in events(chunk) if name == "exchange"]
            for screen in screens
        ]

    assert asyncio.run(seen()) == [["shop"], ["bank"], ["shop", "bank"]]


def test_a_viewer_that_stalls_costs_bounded_bytes_and_is_told_what_it_missed() -> None:
    async def seen() -> tuple[int, list[tuple[str, Any]]]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        (stalled, _), (reading, _) = come(feed, room=40_000, reads=False), come(feed, room=40_000)
        for count in range(1, 101):
            feed.publish(recorded())
            await reading.holds(count)
            assert stalled.unsent() < 41_000
        stalled.read()
        await stalled.says(b"event: dropped\n")
        return sum(len(events(chunk)) for chunk in reading.said), [e for chunk in stalled.said for e in events(chunk)]

    read, found = asyncio.run(seen())
    assert read == 700, "who reads loses nothing to who does not"
    name, data = found[-1]
    assert (name, data["events"] + len(found) - 1) == ("dropped", 700)
    assert len(found) > 7


def test_a_burst_does_not_gather_without_end() -> None:
    async def seen() -> list[bytes]:
        feed = LiveFeed(READABLE, gather_seconds=30)
        screen, _ = come(feed)
        feed.publish(recorded())
        await screen.holds(1)
        for _ in range(160):
            feed.publish(recorded())
        return await screen.holds(3)

    assert max(map(len, asyncio.run(seen()))) < 1 << 20


def test_in_a_quiet_time_viewers_are_reminded_and_the_first_event_after_it_does_not_wait() -> None:
    async def seen() -> list[bytes]:
        feed = LiveFeed(READABLE, gather_seconds=30, quiet_seconds=0.02)
        screen, _ = come(feed)
        await screen.says(b": nothing new\n\n")
        feed.publish(recorded())
        await screen.says(b"event: exchange\n")
        return screen.said

    first, *others = asyncio.run(seen())
    assert first == b": nothing new\n\n"
    assert ONE in names(others)


def test_who_waits_for_a_person_is_seen_by_all_and_what_is_asked_by_overseers_alone() -> None:
    hold = Hold(hold_id="hold_1", ask=asked(recorded()), state="waiting", expires_ns=2)
    decided = msgspec.structs.replace(hold, state="rejected")

    async def seen(audience: Audience) -> list[tuple[str, str, str]]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        screen, _ = come(feed, audience)
        feed.announce(hold)
        feed.announce(decided)
        feed.close()
        return [(name, data["state"], data["text"]) for chunk in screen.said for name, data in events(chunk)]

    text = hold.ask.text
    told = [("hold", "waiting", text), ("hold", "rejected", text)]
    assert asyncio.run(seen(Audience("default", overseer=True))) == told
    assert asyncio.run(seen(Audience("default", overseer=False))) == [(*each[:2], "") for each in told]
    assert asyncio.run(seen(Audience("other", overseer=True))) == []


def test_a_feed_that_is_closed_has_no_place_for_whoever_comes_back() -> None:
    async def seen() -> bool:
        feed = LiveFeed(READABLE)
        feed.close()
        with pytest.raises(FeedOver), feed.place():
            pass
        return await feed.over(60)

    assert asyncio.run(seen()) is True


def test_places_are_counted_and_given_back() -> None:
    async def seen() -> tuple[int, bool]:
        feed = LiveFeed(READABLE, viewers=1)
        with feed.place(), pytest.raises(TooManyViewers), feed.place():
            pass
        with feed.place():
            taken = feed.viewers
        return taken + feed.viewers, await feed.over(0.01)

    assert asyncio.run(seen()) == (1, False)


def test_with_nobody_watching_nothing_is_made() -> None:
    async def seen() -> list[bytes]:
        feed = LiveFeed(Unread())
        screen, viewer = come(feed)
        feed.leave(ALL, viewer)
        feed.leave(ALL, viewer)
        feed.publish(recorded())
        feed.announce(Hold(hold_id="h", ask=asked(recorded()), state="waiting", expires_ns=2))
        feed.close()
        return screen.said

    assert asyncio.run(seen()) == []


def test_who_leaves_takes_nothing_along() -> None:
    async def seen() -> tuple[list[bytes], list[bytes]]:
        feed = LiveFeed(READABLE, gather_seconds=0)
        (gone, viewer), (staying, _) = come(feed), come(feed)
        feed.leave(ALL, viewer)
        feed.publish(recorded())
        await staying.holds(1)
        return gone.said, staying.said

    gone, stayed = asyncio.run(seen())
    assert (gone, names(stayed)) == ([], [ONE])


def test_a_worker_is_told_once_what_all_of_an_audience_there_see_and_nothing_once_they_left() -> None:
    async def seen() -> tuple[list[str], list[list[bytes]]]:
        feed, asked_for = LiveFeed(READABLE, gather_seconds=0), list[str]()
        link: dict[Audience, Viewer] = {}

        async def watch(audience: Audience) -> None:
            asked_for.append(f"watch {audience.app}")
            link[audience] = Viewer(Screen(lambda chunk: rooms.tell(audience, chunk)))
            feed.enter(audience, link[audience])

        def unwatch(audience: Audience) -> None:
            asked_for.append(f"unwatch {audience.app}")
            feed.leave(audience, link.pop(audience))

        rooms = Rooms(watch, unwatch)
        screens = [Screen() for _ in range(3)]
        shop, bank = Audience("shop", overseer=False), Audience("bank", overseer=False)
        came = [(audience, Viewer(screen)) for audience, screen in zip((shop, shop, bank), screens, strict=True)]
        await asyncio.gather(*(rooms.enter(audience, viewer) for audience, viewer in came))
        feed.publish(recorded(app="shop"))
        feed.publish(recorded(app="bank"))
        for screen in screens:
            await screen.holds(1)
        for audience, viewer in came:
            rooms.leave(audience, viewer)
        feed.publish(recorded(app="shop"))
        feed.close()
        return asked_for, [screen.said for screen in screens]

    asked_for, said = asyncio.run(seen())
    assert asked_for == ["watch shop", "watch bank", "unwatch shop", "unwatch bank"]
    assert said[0][0] is said[1][0]
    assert [len(each) for each in said] == [1, 1, 1]
    assert said[2] != said[0]


def underway(recording: Recording, steps: slice = slice(None)) -> Glimpse:
    """What can be seen of an exchange before it is over."""
    exchange, shown = recording.exchange, recording.steps[steps]
    assert exchange.join is not None
    return Glimpse(
        exchange_id=exchange.exchange_id,
        app=exchange.app,
        join=exchange.join,
        model="claude-haiku-4-5",
        started_ns=exchange.started_ns,
        steps=shown,
        texts=tuple(["words"] * len(shown)),
    )


def test_an_exchange_under_way_is_shown_and_what_was_shown_is_not_told_again() -> None:
    async def seen() -> list[tuple[str, Any]]:
        feed, recording = LiveFeed(READABLE, gather_seconds=0), recorded()
        screen, _ = come(feed)
        feed.glimpse(underway(recording, slice(0, 2)))
        feed.glimpse(underway(recording, slice(2, 5)))
        feed.publish(recording)
        feed.publish(recording)
        feed.close()
        return [each for chunk in screen.said for each in events(chunk)]

    found = asyncio.run(seen())
    assert [name for name, _ in found] == ["begun", *["step"] * 6, "exchange", *ONE]
    assert len({data["step_id"] for name, data in found if name == "step"}) == 6
    assert (found[0][1]["exchange_id"], found[1][1]["text"]) == (found[1][1]["exchange_id"], "words")


def test_a_step_is_told_again_once_a_clause_has_made_something_of_it() -> None:
    async def seen() -> list[tuple[str, Any]]:
        feed, recording = LiveFeed(READABLE, gather_seconds=0), judged(recorded())
        screen, _ = come(feed)
        feed.glimpse(underway(recording))
        feed.publish(recording)
        feed.close()
        return [each for chunk in screen.said for each in events(chunk)]

    found = asyncio.run(seen())
    told = [data for name, data in found if name == "step"]
    assert len(told) == 7
    assert (told[-1]["step_id"], told[-1]["verdict"]) == (told[-2]["step_id"], "reject")


def test_a_step_that_turned_out_otherwise_is_told_as_it_is() -> None:
    async def seen() -> list[str]:
        feed, recording = LiveFeed(READABLE, gather_seconds=0), recorded()
        screen, _ = come(feed)
        was = msgspec.structs.replace(recording.steps[5], size=3)
        feed.glimpse(underway(msgspec.structs.replace(recording, steps=(was,))))
        feed.publish(recording)
        feed.close()
        return [name for chunk in screen.said for name, _ in events(chunk)]

    assert asyncio.run(seen()) == ["begun", "step", *ONE]


def test_of_exchanges_that_never_end_or_that_nobody_watches_nothing_is_kept() -> None:
    async def seen() -> list[str]:
        feed, recording = LiveFeed(READABLE, gather_seconds=0), recorded()
        feed.glimpse(underway(recording))
        assert not feed.watched("default")
        screen, _ = come(feed)
        assert feed.watched("default")
        feed.glimpse(underway(recording))
        feed.forget(recording.exchange.exchange_id)
        feed.publish(recording)
        feed.close()
        return [name for chunk in screen.said for name, _ in events(chunk)]

    assert asyncio.run(seen()) == ["begun", *["step"] * 6, *ONE]
