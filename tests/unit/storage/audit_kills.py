"""Killing a process in the middle of its log, again and again, and looking at what the log still holds."""

import random
import subprocess
import sys
from pathlib import Path

from policies.vocabulary.audit import Receipt
from storage.store import Store
from tests.fakes.audit import assert_holds, lines_of, verified

ROOT = Path(__file__).parents[3]


def killed(folder: Path, chance: random.Random) -> list[Receipt]:
    """Start the child, kill it after so many acknowledgements; what it had been told is durable."""
    command = [sys.executable, "-m", "tests.unit.storage.audit_child", str(folder), str(chance.randrange(10_000))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(chance.randrange(1, 200))]
        child.kill()
        told += child.stdout.readlines()
        child.wait()
    whole = [line.split() for line in told if line.endswith(b"\n")]
    assert whole, child.stderr and child.stderr.read()
    return [Receipt(int(index), bytes.fromhex(leaf.decode())) for index, leaf in whole]


def campaign(folder: Path, *, kills: int, seed: int) -> None:
    """After every kill the directory opens, publishes what was left, and the whole log verifies with its record."""
    chance = random.Random(seed)
    receipts: list[Receipt] = []
    for _ in range(kills):
        receipts += killed(folder, chance)
        store = Store.open(folder)
        store.sequencer.flush()
        store.publisher.publish()
        store.close()
        verified(folder)
        assert_holds(lines_of(folder), receipts)
    total = len(lines_of(folder))
    print(f"seed {seed}: {kills} kills, {len(receipts)} entries acknowledged, 0 lost; {total} in the log")
