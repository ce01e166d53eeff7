"""Kill -9 at any moment: the store opens, is whole, and holds every batch that was finished."""

import os
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.store import Store
from tests.unit.storage.crash_child import BATCH, batch

ROOT = Path(__file__).parents[3]


def run_until_killed(folder: Path, seed: int, first: int, after_s: float) -> list[int]:
    """Start the child, kill it so long after it opened the store; the batches it said were finished."""
    command = [sys.executable, "-m", "tests.unit.storage.crash_child", str(folder), str(seed), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        opened = child.stdout.readline()
        if opened != b"open\n":
            pytest.fail(child.stderr.read().decode())
        timer = threading.Timer(after_s, child.kill)
        timer.start()
        finished = [int(line) for line in child.stdout.read().split(b"\n")[:-1]]
        timer.join()
        return finished


def damage(folder: Path) -> list[str]:
    """What SQLite finds wrong with the files as the crash left them."""
    found: list[str] = []
    for path in folder.glob("*.db"):
        connection = sqlite3.connect(path)
        found += [f"{path.name}: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        connection.close()
    return found


def check(folder: Path, seed: int, finished: list[int], sample: random.Random) -> None:
    assert damage(folder) == []
    store = Store.open(folder)
    stored = {one.exchange_id for one in store.recent(limit=1_000_000)}
    for first in finished:
        assert {one.exchange.exchange_id for one in batch(seed, first)} <= stored
    # Unfinished batches may be there in part: whatever is there is whole.
    checked = sample.sample(finished, min(8, len(finished)))
    next_batch = [finished[-1] + BATCH] if finished else []
    for first in checked + next_batch:
        for one in batch(seed, first):
            if one.exchange.exchange_id not in stored:
                continue
            request, response = (
                store.body(one.exchange.exchange_id, "request"),
                store.body(one.exchange.exchange_id, "response"),
            )
            assert request is not None
            assert response is not None
            assert (request.raw, response.raw) == (one.request.raw, one.response.raw)
            assert tuple(step.seq for step in store.exchange_steps(one.exchange.exchange_id)) == tuple(
                step.seq for step in one.steps
            )
    assert sum(row.exchanges for row in store.sessions(limit=100)) == len(stored)
    store.close()


def kill(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    finished, first = list[int](), 0
    for _ in range(kills):
        finished += run_until_killed(folder, seed, first, rng.uniform(0.0, 0.4))
        first = (finished[-1] if finished else 0) + 2 * BATCH
        check(folder, seed, finished, rng)


def test_no_finished_batch_is_lost_to_a_kill(folder: Path) -> None:
    kill(folder, kills=4, seed=11)


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_no_finished_batch_is_lost_to_a_hundred_kills(folder: Path) -> None:
    seed = int(os.environ.get("STEPWARDEN_SEED", random.SystemRandom().randrange(2**31)))
    print(f"STEPWARDEN_SEED={seed}")
    kill(folder, kills=100, seed=seed)
