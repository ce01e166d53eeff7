"""The embedded store fits every slice the house asks for; a type checker reads this, and so does the test run."""

from pathlib import Path

from storage.interface import ContentStore, JoiningMemory, KeyStore, RecordingStore, SpanStore
from storage.keys import KeyRing
from storage.store import Store

SLICES = (RecordingStore, SpanStore, ContentStore, JoiningMemory)


def slices(store: Store) -> tuple[RecordingStore, SpanStore, ContentStore, JoiningMemory, KeyStore]:
    return store, store, store, store, store.keys


def test_the_store_has_every_method_of_every_slice(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    assert slices(store)[0] is store
    store.close()
    for one in SLICES:
        assert {name for name in vars(one) if not name.startswith("_")} <= set(dir(Store))
    assert {name for name in vars(KeyStore) if not name.startswith("_")} <= set(dir(KeyRing))
