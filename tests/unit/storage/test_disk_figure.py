"""What a session costs on disk."""

from pathlib import Path

from storage.store import Store
from tests.unit.storage.stored import agent_session


def test_forty_turns_cost_a_fifteenth_of_their_bytes_on_the_wire(folder: Path, store: Store) -> None:
    """All files of a store that holds nothing else, after the checkpoint: schema, keys and indexes included.

    The audit log is counted by itself: its entries do not shrink, and every exchange here is a batch of its own.
    """
    made = agent_session(seed=0, turns=40)
    wire = sum(one.request.length + one.response.length for one in made)
    assert 85_000 < sum(one.request.length for one in made) / 40 < 97_000
    for one in made:
        store.append([one])
    store.close()
    other = folder.with_name("empty")
    Store.open(other).close()
    log = (folder / "ledger.db").stat().st_size
    disk = sum(path.stat().st_size for path in folder.iterdir()) - log
    print(f"wire {wire} bytes, disk {disk} bytes, {wire / disk:.1f} to one")
    assert disk * 15 <= wire
    assert log - (other / "ledger.db").stat().st_size <= 40 * 1024
