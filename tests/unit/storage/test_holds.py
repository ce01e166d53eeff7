"""A hold: one answer for exactly one step, good once and for a while, wherever and however often it is asked for."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from policies.vocabulary.holds import Hold, HoldAsk, Review
from storage.errors import HoldDecided
from storage.holds import HoldBook
from storage.ledger import Ledger
from storage.secret import Secret

MINUTE = 60 * 1_000_000_000
EVE = Review(actor="owner", by="Eve")


def ask(binding: bytes = b"a", exchange_id: str = "E1") -> HoldAsk:
    return HoldAsk(
        binding=binding.ljust(32),
        exchange_id=exchange_id,
        session_id="S1",
        app="shop",
        kind="tool_call",
        tool="pay",
        text="{}",
        clauses=("house/pay",),
        reason="needs_approval",
        at_ns=1,
    )


class Desk:
    """A book of holds over files, which can be closed and opened again, with a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ledger = Ledger(folder)
        self.book = HoldBook(self._ledger, Secret(bytes(32)))
        self.now = 0

    def asked(self, binding: bytes = b"a") -> Hold:
        return self.book.join(ask(binding), now_ns=self.now, expires_ns=self.now + MINUTE)

    def decided(self, hold: Hold, *, approve: bool) -> Hold:
        until = self.now + MINUTE
        return self.book.decide(hold.hold_id, approve=approve, answer=EVE, now_ns=self.now, expires_ns=until)

    def restarted(self) -> "Desk":
        self._ledger.close()
        other = Desk(self._folder)
        other.now = self.now
        return other

    def close(self) -> None:
        self._ledger.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.close()


def test_an_approval_is_good_for_one_call_by_whoever_asks_next(desk: Desk) -> None:
    hold = desk.asked()
    assert desk.decided(hold, approve=True).state == "approved"
    assert desk.asked().state == "approved"
    again = desk.asked()
    assert (again.state, again.hold_id == hold.hold_id) == ("waiting", False)
    assert not desk.book.use(hold.hold_id, "E9")


def test_an_approval_for_one_step_is_none_for_another(desk: Desk) -> None:
    desk.decided(desk.asked(b"a"), approve=True)
    assert desk.asked(b"b").state == "waiting"
    assert desk.asked(b"a").state == "approved"


def test_an_approval_that_nobody_used_in_time_is_none(desk: Desk) -> None:
    hold = desk.asked()
    desk.decided(hold, approve=True)
    desk.now += 2 * MINUTE
    assert desk.asked().hold_id != hold.hold_id


@pytest.mark.parametrize("state", ["rejected", "expired"])
def test_a_step_that_was_not_approved_stays_so_however_often_it_is_tried(desk: Desk, state: str) -> None:
    hold = desk.asked()
    ended = desk.decided(hold, approve=False) if state == "rejected" else desk.book.expire(hold.hold_id)
    assert ended.state == state
    assert not desk.book.use(hold.hold_id, "E2")
    for _ in range(2):
        found = desk.asked()
        assert (found.hold_id, found.state) == (hold.hold_id, state)


def test_a_person_may_still_approve_what_expired_and_decides_once(desk: Desk) -> None:
    hold = desk.asked()
    desk.book.expire(hold.hold_id)
    desk.decided(hold, approve=True)
    with pytest.raises(HoldDecided):
        desk.decided(hold, approve=False)
    assert desk.asked().state == "approved"
    with pytest.raises(HoldDecided):
        desk.decided(hold, approve=True)


def test_what_waited_past_its_time_is_expired_when_it_is_asked_for_again(desk: Desk) -> None:
    hold = desk.asked()
    desk.now += 2 * MINUTE
    found = desk.asked()
    assert (found.hold_id, found.state) == (hold.hold_id, "expired")


def test_what_was_decided_while_somebody_gave_up_is_not_expired(desk: Desk) -> None:
    hold = desk.asked()
    desk.decided(hold, approve=True)
    assert desk.book.expire(hold.hold_id).state == "approved"


@pytest.mark.parametrize("before", ["waiting", "approved", "rejected"])
def test_a_hold_outlives_a_restart(tmp_path: Path, before: str) -> None:
    desk = Desk(tmp_path)
    hold = desk.asked()
    if before != "waiting":
        desk.decided(hold, approve=before == "approved")
    desk = desk.restarted()
    kept = desk.book.get(hold.hold_id)
    assert (kept.state, msgspec.structs.replace(kept.ask, clauses=hold.ask.clauses)) == (before, hold.ask)
    found = desk.asked()
    assert (found.hold_id, found.state) == (hold.hold_id, before)
    desk.close()


def test_of_several_holds_of_one_step_the_newest_counts(desk: Desk) -> None:
    desk.decided(desk.asked(), approve=True)
    desk.asked()  # uses the approval up
    rejected = desk.decided(desk.asked(), approve=False)
    assert desk.asked().hold_id == rejected.hold_id
