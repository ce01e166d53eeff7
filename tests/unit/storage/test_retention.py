"""Retention: whole files go, and nothing that a kept day needs."""

from pathlib import Path

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
