"""Retention: whole files go, and nothing that a kept day needs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from storage.store import Store
from tests.unit.storage.stored import START_NS, recording

DAY = 86_400_000_000_000


def test_days_and_months_go_when_no_kept_day_needs_them(folder: Path) -> None:
    store = Store.open(folder, retention_days=30)
    made = [recording(n, session=f"S{n}", at_ns=START_NS + n * 5 * DAY, state=bytes([n]) * 16) for n in range(12)]
    store.append(made)
    now = START_NS + 55 * DAY
    gone = store.drop_expired(now)
    assert gone == [
        "spans-20251123.db",
        "spans-20251128.db",
        "spans-20251203.db",
        "spans-20251208.db",
        "spans-20251213.db",
        "content-202511.db",
    ]
    assert {path.name for path in folder.glob("content-*.db")} == {"content-202512.db", "content-202601.db"}
    assert sorted(row.session_id for row in store.sessions()) == sorted(f"S{n}" for n in range(5, 12))
    assert store.find_states([bytes([1]) * 16]) == []
    for one in made[5:]:
        body = store.body(one.exchange.exchange_id, "request")
        assert body is not None
        assert body.raw == one.request.raw
    assert store.exchange(made[0].exchange.exchange_id) is None
    assert store.drop_expired(now) == []
    store.append([recording(50, at_ns=now)])
    store.close()


def test_a_session_that_goes_on_stays(folder: Path) -> None:
    store = Store.open(folder, retention_days=10)
    store.append([recording(1), recording(2, at_ns=START_NS + 12 * DAY)])
    assert store.drop_expired(START_NS + 12 * DAY) == ["spans-20251123.db"]
    row = store.session("S1")
    assert row is not None
    assert row.exchanges == 2
    assert [one.exchange_id for one in store.exchanges("S1")] == [recording(2).exchange.exchange_id]
    store.close()


def test_many_expired_sessions_go_in_small_steps(folder: Path) -> None:
    store = Store.open(folder, retention_days=1)
    store.append([recording(n, session=f"S{n:05d}") for n in range(1200)])
    store.drop_expired(START_NS + 9 * DAY)
    assert store.sessions() == []
    assert store.stats().exchanges == 0
    store.close()


def swept(folder: Path, times: Sequence[float]) -> list[list[str]]:
    """What goes at sweeps so many days after the one thing that is recorded, each by a process of its own."""
    found: list[list[str]] = []
    for days in times:
        store = Store.open(folder, retention_days=10)
        found.append(store.sweep(START_NS + round(days * DAY)))
        store.close()
    return found


GONE = ["spans-20251123.db", "content-202511.db"]


@pytest.mark.parametrize("known", [[], [0.1, 2]], ids=["never swept", "swept before"])
def test_a_clock_that_leaps_deletes_nothing_until_it_has_gone_on_for_a_day(folder: Path, known: list[float]) -> None:
    store = Store.open(folder)
    store.append([recording(1)])
    store.close()
    assert not any(swept(folder, known))
    found = swept(folder, [400, 400.5, 400.9, 401.1])
    assert found == [[], [], [], GONE]


@pytest.mark.parametrize(
    "later",
    [pytest.param([2.1, 2.2], id="it is set right"), pytest.param([800, 800.9], id="it leaps once more")],
)
def test_a_clock_that_does_not_go_on_from_where_it_leapt_deletes_nothing(folder: Path, later: list[float]) -> None:
    store = Store.open(folder)
    store.append([recording(1)])
    store.close()
    assert not any(swept(folder, [2, 400, 400.5, *later]))
    assert len(list(folder.glob("spans-*.db"))) == 1


def test_a_clock_that_goes_on_is_followed(folder: Path) -> None:
    store = Store.open(folder)
    store.append([recording(1)])
    store.close()
    assert swept(folder, [1, 3, 5.5, 8, 10]) == [[], [], [], [], []]
    assert swept(folder, [12]) == [GONE[:1]], "of its month, other days are kept"


def test_whoever_reads_a_period_meanwhile_gets_the_days_that_are_left(folder: Path) -> None:
    store = Store.open(folder, retention_days=3)
    made = [recording(n, at_ns=START_NS + n * DAY) for n in range(6)]
    store.append(made)
    reading = store.period(0, START_NS + 9 * DAY)
    first = next(reading)
    assert store.drop_expired(START_NS + 5 * DAY) == ["spans-20251123.db", "spans-20251124.db"]
    rest = [row.exchange.exchange_id for row in reading]
    assert [first.exchange.exchange_id, *rest] == [one.exchange.exchange_id for one in (made[0], *made[2:])]
    store.close()
