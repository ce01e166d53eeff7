"""The keeper and clauses out of force: told with every opening, by a clock that is handed in, also after a restart."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.admission import Admission
from gateway.alerts.bell import Bell
from gateway.api.live import LiveFeed
from gateway.ids import new_id, new_span
from gateway.keeper import LocalKeeper, Opening
from gateway.metrics import Metrics
from gateway.recorder import Recorder
from gateway.reported.intake import Intake
from gateway.stations.thread import Threader
from policies.vocabulary.audit import RequestAccepted
from policies.vocabulary.modes import EVERY, ModeChange
from storage.store import Store

HOUR = 3600 * 1_000_000_000
CLAUSE = "house/no-launch"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Callable[[Callable[[], int]], LocalKeeper]]:
    """Opens keepers on one directory, each after the one before has ended."""
    opened: list[LocalKeeper] = []

    def end() -> None:
        while opened:
            keeper = opened.pop()
            keeper.recorder.stop(5)
            keeper.store.close()

    def begin(now_ns: Callable[[], int]) -> LocalKeeper:
        end()
        store = Store.open(tmp_path / "data")
        recorder = Recorder(store, queue_exchanges=16, queue_bytes=1 << 20)
        recorder.start()
        keeper = LocalKeeper(
            metrics=Metrics(),
            bell=Bell((), {}, str),
            store=store, keys=store.keys, recorder=recorder, live=LiveFeed({}), now_ns=now_ns,
            threader=Threader(store, new_id=new_id, new_span=new_span, capacity=16),
            admission=Admission(store.keys, loopback=True, now_ns=now_ns), strict=lambda _: False,
            intake=Intake(store.reports, recorder.submit, queue_bytes=1 << 20),
        )  # fmt: skip
        opened.append(keeper)
        return keeper

    yield begin
    end()


def shadowed(keeper: LocalKeeper, app: str = "default") -> tuple[str, ...]:
    accepted = RequestAccepted(actor="owner", tenant=app, exchange=new_id(1), provider="p", operation="chat")
    return asyncio.run(keeper.open(Opening(accepted=accepted))).shadowed


def test_a_clause_is_out_of_force_at_once_until_its_time_and_a_restart_changes_nothing(
    kept: Callable[[Callable[[], int]], LocalKeeper],
) -> None:
    now = [10 * HOUR]
    keeper = kept(lambda: now[0])
    assert shadowed(keeper) == ()
    change = ModeChange(
        clause=CLAUSE, app=EVERY, mode="shadow", at_ns=now[0], until_ns=now[0] + HOUR, by="Eve", key_id=None,
        reason="a false alarm",
    )  # fmt: skip
    asyncio.run(keeper.change_mode(change))
    assert shadowed(keeper) == shadowed(keeper, "mail") == (CLAUSE,)
    keeper = kept(lambda: now[0])
    assert shadowed(keeper) == (CLAUSE,)
    assert keeper.store.modes.changes() == [change]
    now[0] += HOUR
    assert shadowed(keeper) == ()
