"""Logs as fast as it can until it is killed; says on stdout what was acknowledged: index, leaf hash."""

import os
import random
import sys
import threading
from pathlib import Path

from policies.vocabulary.audit import ApiKeyRevoked
from storage.publisher import Publisher, open_log
from storage.store import Store
from tests.unit.storage.stored import recording


def main(folder: Path, seed: int) -> None:
    store = Store.open(folder)
    publisher = Publisher(store.ledger, lambda: open_log(folder, store.ledger.origin), seconds=0.01)
    publisher.start()
    threads = [threading.Thread(target=call, args=(store, number)) for number in range(4)]
    for thread in threads:
        thread.start()
    chance = random.Random(seed)
    first = seed * 100_000
    while True:
        batch = [recording(first + number) for number in range(chance.choice([1, 5, 40]))]
        first += len(batch)
        store.append(batch)
        store.keys.create(name="n", role="viewer", app="default", now_ns=1)


def call(store: Store, number: int) -> None:
    while True:
        receipt = store.sequencer.durable(ApiKeyRevoked(actor="owner", key=f"key_{number}")).result()
        os.write(1, f"{receipt.index} {receipt.leaf_hash.hex()}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
