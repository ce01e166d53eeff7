"""A process that stores batches, says which are finished, and waits to be killed.

Usage: python -m tests.unit.storage.crash_child DIRECTORY SEED FIRST. Prints the first number of each finished batch.
"""

import random
import sys
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from policies.vocabulary.exchanges import Recording
from storage.store import Store
from tests.unit.storage.stored import START_NS, agent_session, renumbered

BATCH = 8
TURNS = 24


@cache
def conversation(seed: int) -> list[Recording]:
    """One of three agents at work."""
    return agent_session(seed=seed, turns=TURNS, session=f"S{seed}")


def batch(seed: int, first: int) -> list[Recording]:
    """The same eight exchanges for the same numbers: some resend history, some cross midnight."""
    session = conversation(seed % 3)
    rng = random.Random(first)
    made = [renumbered(rng.choice(session), first + place) for place in range(BATCH)]
    return [at(one, START_NS + (first // 100 % 3) * 86_400_000_000_000 + first) for one in made]


def at(one: Recording, started_ns: int) -> Recording:
    """The same exchange at another time."""
    return replace(one, exchange=replace(one.exchange, started_ns=started_ns, ended_ns=started_ns + 1))


def main() -> None:
    folder, seed, number = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    store = Store.open(folder)
    print("open", flush=True)
    while True:
        store.append(batch(seed, number))
        print(number, flush=True)
        number += BATCH


if __name__ == "__main__":
    main()
