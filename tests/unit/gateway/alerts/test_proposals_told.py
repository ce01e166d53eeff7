"""What becomes of proposals is told where somebody has to act, or was acted for; not what a person did."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.alerts import bell
from gateway.alerts.bell import Bell
from gateway.alerts.occurrences import Occurrence, State, of_moves
from gateway.config import Alert
from policies.gate.trial import Looked, Trial
from storage.errors import StorageFailed
from storage.trials import Move
from tests.fakes.receiver import running_receiver
from tests.unit.gateway.test_live_ladder import EVE, House, regressing

HOME = "https://gateway.example"


def told(house: House) -> list[Occurrence]:
    return list(of_moves(house.store.revisions.moves_after(0, 100)))


def one_key_first(trial: Trial, number: int) -> Looked:
    """A change that turns out badly, of which one key alone complains at first."""
    return msgspec.structs.replace(regressing(trial, number), key="k1" if number < 20_000 else f"k{number % 2}")


def test_what_waits_for_a_person_and_what_is_taken_back_is_told_each_once(tmp_path: Path) -> None:
    house = House(tmp_path, one_key_first, keys=3)
    house.filed()
    house.lived("active", 2000)
    for _ in range(200):
        house.ladder.look()
    trial = house.store.revisions.trial(1)
    assert trial is not None
    house.seen = 20_000
    house.standing.advance(1, msgspec.structs.replace(trial, cursor=20_000), [])
    house.lived("rolled_back")
    expected = [("proposal", "needs_a_person"), ("proposal", "one_voice"), ("rolled_back", "worse_live")]
    assert [(each.occasion, each.reason) for each in told(house)] == expected
    assert {(each.app, each.proposal) for each in told(house)} == {("default", 1)}
    house.store.close()


def test_what_a_person_takes_back_is_not_told(tmp_path: Path) -> None:
    house = House(tmp_path, regressing)
    house.filed()
    house.lived("active", 2000)
    house.standing.roll_back("default", None, EVE)
    assert house.one().state == "rolled_back"
    assert "rolled_back" not in [each.occasion for each in told(house)]
    house.store.close()


def test_the_bell_tells_what_comes_after_its_start_with_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "_LOOK_SECONDS", 0.01)
    house = House(tmp_path, regressing)

    async def rung(url: str) -> None:
        alert = Alert(name="oncall", on=("proposal",), url_env="URL")
        ringing = Bell([alert], {"URL": url}, lambda: HOME)
        ringing.start(State, house.store.revisions)
        house.filed()
        await asyncio.to_thread(house.lived, "canary")
        await asyncio.to_thread(receiver.wait, 1)
        await ringing.stop()

    with running_receiver() as receiver:
        asyncio.run(rung(receiver.url))
    said: Any = json.loads(receiver.received[0][1])
    assert said["type"] == "stepwarden.proposal"
    assert said["data"]["link"] == f"{HOME}/#/proposals/1"
    assert (said["data"]["app"], said["data"]["proposal"], said["data"]["reason"]) == ("default", 1, "needs_a_person")
    house.store.close()


class Book:
    """Moves 8 and 9 come after the start; it cannot be read at first."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.four = threading.Event()

    def newest_move(self) -> int:
        return 7

    def moves_after(self, number: int, limit: int) -> list[Move]:
        del limit
        self.asked.append(number)
        if len(self.asked) == 4:
            self.four.set()
        if len(self.asked) == 1:
            raise StorageFailed("reading ledger.db", OSError("the disk is away"))
        return [move(each) for each in (8, 9) if each > number]


def move(number: int) -> Move:
    return Move(
        number=number,
        proposal=number,
        app="default",
        state="rolled_back",
        rung="live",
        outcome="failed",
        why="worse_live",
        person=False,
        at_ns=0,
        since_ns=0,
        filed_ns=0,
    )


def test_the_bell_goes_on_where_it_was_and_reads_again_what_it_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "_LOOK_SECONDS", 0.001)
    book = Book()

    async def rung(url: str) -> None:
        alert = Alert(name="oncall", on=("rolled_back",), url_env="URL")
        ringing = Bell([alert], {"URL": url}, lambda: HOME)
        ringing.start(State, book)
        await asyncio.to_thread(receiver.wait, 1)
        await asyncio.to_thread(book.four.wait, 20)
        await ringing.stop()

    with running_receiver() as receiver:
        asyncio.run(rung(receiver.url))
    assert book.asked[:4] == [7, 7, 9, 9]
