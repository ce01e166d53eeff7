"""What the bench calls recorded is what callers got, not as many rows."""

from pathlib import Path

from bench.recorded import recorded
from storage.store import Store
from tests.unit.storage.stored import recording


def test_rows_nobody_was_answered_with_make_up_for_none_that_is_missing(tmp_path: Path) -> None:
    made = [recording(1), recording(2), recording(3, outcome="truncated"), recording(4)]
    with_ids = tmp_path / "gateway.exchanges"
    with_ids.write_text("".join(f"{recording(number).exchange.exchange_id}\n" for number in (1, 3, 4, 77)))
    store = Store.open(tmp_path / "data")
    store.append(made)
    store.close()
    counted = recorded(tmp_path / "data", with_ids)
    assert (counted.exchanges, counted.complete) == (4, 2)
