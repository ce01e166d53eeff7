"""The breaker: closed, open after failures in a row, half open for one probe."""

import pytest

from supervisors.adapters.breaker import Breaker, Pass

PAUSE = 1000


def broken(failures: int = 3, *, at: int = 0) -> Breaker:
    """A breaker that so many failures have opened at this time."""
    breaker = Breaker(failures=failures, pause_ns=PAUSE)
    for _ in range(failures):
        breaker.failed(entered(breaker, at), at)
    return breaker


def entered(breaker: Breaker, now: int) -> Pass:
    leave = breaker.enter(now)
    assert leave is not None
    return leave


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(failures=3, pause_ns=PAUSE)
    for _ in range(2):
        breaker.failed(entered(breaker, 0), 0)
    breaker.succeeded(entered(breaker, 0))
    for _ in range(2):
        breaker.failed(entered(breaker, 0), 0)
    breaker.failed(entered(breaker, 0), 0)
    assert breaker.enter(0) is None


@pytest.mark.parametrize(("now", "open_"), [(0, True), (PAUSE - 1, True), (PAUSE, False)])
def test_it_stays_open_for_the_pause(now: int, *, open_: bool) -> None:
    assert (broken().enter(now) is None) is open_


def test_one_probe_at_a_time_is_let_through_after_the_pause() -> None:
    breaker = broken()
    assert entered(breaker, PAUSE).probe
    assert breaker.enter(PAUSE) is None
    assert breaker.enter(10 * PAUSE) is None


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = broken()
    breaker.succeeded(entered(breaker, PAUSE))
    assert not entered(breaker, PAUSE).probe
    for _ in range(2):
        breaker.failed(entered(breaker, PAUSE), PAUSE)
    assert breaker.enter(PAUSE) is not None  # it counts from the beginning again


def test_a_probe_that_fails_opens_it_for_another_pause() -> None:
    breaker = broken()
    breaker.failed(entered(breaker, PAUSE), PAUSE)
    assert breaker.enter(2 * PAUSE - 1) is None
    assert entered(breaker, 2 * PAUSE).probe


def test_a_probe_nobody_waited_for_leaves_room_for_the_next() -> None:
    breaker = broken()
    breaker.abandoned(entered(breaker, PAUSE))
    assert entered(breaker, PAUSE).probe


def test_what_was_asked_before_it_opened_neither_closes_nor_prolongs_it() -> None:
    breaker = Breaker(failures=1, pause_ns=PAUSE)
    early, late, wrong = (entered(breaker, 0) for _ in range(3))
    breaker.failed(wrong, 0)
    breaker.succeeded(early)
    assert breaker.enter(0) is None
    breaker.failed(late, PAUSE - 1)
    assert entered(breaker, PAUSE).probe
