"""What the audit log costs: CPU for each exchange, durable entries a second, and the wait of a strict request.

    python -m bench.audit_micro [--exchanges 2000]

CPU is thread time of the statements themselves, so other load on the machine hardly shows; the waits are wall clock.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from bench.entries import accepted as accepted_entry
from policies.audited import ended
from policies.vocabulary.audit import BLIND_BYTES, Entry, commitment
from policies.vocabulary.exchanges import Exchange
from storage.audit.directory import LogDirectory
from storage.ledger import Ledger
from storage.publisher import Publisher, open_log
from storage.sequencer import Sequencer
from storage.step_seals import seal_written
from storage.store import Store
from tests.unit.storage.stored import agent_session, renumbered

_BODY = os.urandom(45_000)
"""As long as the median request of an agent's run."""

_BATCH = 32


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--exchanges", type=int, default=2000)
    exchanges = options.parse_args().exchanges
    with tempfile.TemporaryDirectory() as folder:
        costs = {
            "accepted entry, made and queued (event loop)": accepted(Path(folder) / "a", exchanges),
            "commitment to a 45 KB body (event loop, strict only)": committed(exchanges),
            "entries of its end (writer thread)": ends(exchanges),
            "its share of a seal (writer thread)": sealed(Path(folder) / "b", exchanges),
            "its 2.03 entries sequenced (sequencer thread)": sequenced(Path(folder) / "c", exchanges),
            "its 2.03 entries published (publisher thread)": published(Path(folder) / "c", exchanges),
        }
        for name, micros in costs.items():
            print(f"{micros:8.1f} us CPU  {name}")
        strict = costs["commitment to a 45 KB body (event loop, strict only)"]
        print(f"{sum(costs.values()) - strict:8.1f} us CPU  all of it, buffered; {strict:.1f} more where strict")
        print(f"{durable(Path(folder) / 'd', 20_000):8.0f} durable entries/s, in groups of 256")
        for callers in (1, 16):
            waits = strict_waits(Path(folder) / f"e{callers}", callers, 50)
            spread = statistics.quantiles(waits, n=100)
            print(
                f"{spread[49] * 1e3:8.2f} ms median, {spread[98] * 1e3:.2f} ms p99: "
                f"wait for a strict entry with {callers} at a time"
            )


def each(count: int, work: Callable[[], object]) -> float:
    """CPU microseconds of this thread for each of `count`."""
    before = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - before) / count / 1000


def accepted(folder: Path, count: int) -> float:
    folder.mkdir()
    ledger = Ledger(folder)
    sequencer = Sequencer(ledger, limit=count + 1)

    def work() -> None:
        for number in range(count):
            sequencer.put(accepted_entry(number))

    micros = each(count, work)
    sequencer.close()
    ledger.close()
    return micros


def committed(count: int) -> float:
    blind = os.urandom(BLIND_BYTES)
    return each(count, lambda: [commitment(blind, sha256(_BODY).digest()) for _ in range(count)])


def of_session(count: int) -> list[Exchange]:
    made = agent_session(seed=1, turns=20)
    return [renumbered(made[number % 20], number).exchange for number in range(count)]


def ends(count: int) -> float:
    exchanges = of_session(count)
    return each(count, lambda: [list(ended(exchange, None, b"r" * 32, b"s" * 32)) for exchange in exchanges])


def sealed(folder: Path, count: int) -> float:
    made = agent_session(seed=1, turns=20)
    store = Store.open(folder)
    append = vars(store)["_writer"].append  # behind the door: the store would seal at once
    written = [
        append([renumbered(made[number % 20], number) for number in range(first, min(first + _BATCH, count))])
        for first in range(0, count, _BATCH)
    ]

    def work() -> None:
        for batch in written:
            seal_written(batch)

    micros = each(count, work)
    store.close()
    return micros


def of_exchanges(count: int) -> list[Entry]:
    found: list[Entry] = []
    for number, exchange in enumerate(of_session(count)):
        found += [accepted_entry(number), *ended(exchange, None, b"r" * 32, b"s" * 32)]
    return found + [accepted_entry(number) for number in range(count // _BATCH)]


def sequenced(folder: Path, count: int) -> float:
    folder.mkdir()
    ledger = Ledger(folder)
    entries = of_exchanges(count)

    def work() -> None:
        for first in range(0, len(entries), 256):
            ledger.append([], entries=entries[first : first + 256])

    micros = each(count, work)
    ledger.close()
    return micros


def published(folder: Path, count: int) -> float:
    ledger = Ledger(folder)
    log: list[LogDirectory] = []
    publisher = Publisher(ledger, lambda: open_log(folder, ledger.origin))
    micros = each(count, lambda: log.append(publisher.publish()))
    publisher.stop()
    ledger.close()
    return micros


def durable(folder: Path, count: int) -> float:
    folder.mkdir()
    ledger = Ledger(folder)
    sequencer = Sequencer(ledger)
    publisher = Publisher(ledger, lambda: open_log(folder, ledger.origin), seconds=1.0)
    publisher.start()
    before = time.perf_counter()
    for number in range(count):
        sequencer.put(accepted_entry(number))
    sequencer.flush()
    rate = count / (time.perf_counter() - before)
    publisher.stop()
    sequencer.close()
    ledger.close()
    return rate


def strict_waits(folder: Path, callers: int, rounds: int) -> list[float]:
    folder.mkdir()
    ledger = Ledger(folder)
    sequencer = Sequencer(ledger)
    waits: list[float] = []
    for number in range(rounds):
        before = time.perf_counter()
        for future in [sequencer.durable(accepted_entry(number)) for _ in range(callers)]:
            future.result()
            waits.append(time.perf_counter() - before)
    sequencer.close()
    ledger.close()
    return waits


if __name__ == "__main__":
    main()
