"""What the published log costs on disk: entries taken in, proofs, and verifying all of it.

    python -m bench.audit_log [--entries 1000000] [--keep DIR]

A log of so many entries is made (`--keep` uses or makes one of your own). Printed are: how fast it grew; groups of 100
more entries, each integrated and published, which is a checkpoint and its syncs for each; proofs of random entries out
of it, with the files in the system's cache and after they were put out of it; and `audit verify` over all of it.
Times are wall clock, with CPU beside them: on a busy disk the two are far apart.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.entries import accepted
from storage.audit.archive import Folder
from storage.audit.directory import VKEYS, LogDirectory
from storage.audit.findings import Report
from storage.audit.note import read_vkey
from storage.audit.signing_key import key_of
from storage.audit.trust import Trust
from storage.audit.verify import verify
from storage.entry_lines import EntryLines

_ORIGIN = "stepwarden.invalid/bench"
_TOGETHER = 4096
_GROUP = 100
_GROUPS = 30
_PROOFS = 500


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=1_000_000)
    options.add_argument("--keep", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = given.keep or Path(scratch) / "log"
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder, given.entries)


def measure(folder: Path, entries: int) -> None:
    """Print one line a figure."""
    log = LogDirectory.open(folder / "audit", origin=_ORIGIN, signers=[key_of(folder / "audit.key", _ORIGIN)])
    if log.size < entries:
        more = entries - log.size
        wall, cpu = timed(lambda: grow(log, entries))
        print(
            f"{more} entries integrated, {_TOGETHER} at a time: {more / wall:.0f}/s, {cpu / more * 1e6:.2f} us CPU each"
        )
    wall, cpu = timed(lambda: publish_groups(log))
    count = _GROUP * _GROUPS
    print(f"groups of {_GROUP}, each published: {count / wall:.0f} entries/s, {cpu / count * 1e6:.2f} us CPU each")
    numbers = random.Random(1).sample(range(log.checkpoint.size), _PROOFS)
    for state, forget in (("cached", None), ("cold", folder / "audit")):
        log.close()
        log = LogDirectory.open(folder / "audit", origin=_ORIGIN, signers=[key_of(folder / "audit.key", _ORIGIN)])
        print(f"a proof out of {log.checkpoint.size}, {state}: {spread(prove(log, numbers, forget))}")
    log.close()
    print(f"verifying {log.checkpoint.size} entries: {verified(folder / 'audit')}")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall, and of this thread's CPU."""
    wall, cpu = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - wall, time.thread_time() - cpu


def lines(first: int) -> Iterator[bytes]:
    """Entries like those of a gateway, from one place in the log on."""
    numbered = EntryLines(first, None)
    while True:
        made = numbered.lines([accepted(number) for number in range(numbered.next, numbered.next + _TOGETHER)])
        numbered.keep(len(made))
        yield from made


def grow(log: LogDirectory, size: int) -> None:
    """Let the log have so many entries, and publish it."""
    made = lines(log.size)
    while log.size < size:
        count = min(_TOGETHER, size - log.size)
        log.integrate([next(made) for _ in range(count)])
    log.publish()


def publish_groups(log: LogDirectory) -> None:
    """Let it grow as it does where a checkpoint is wanted at once."""
    made = lines(log.size)
    for _ in range(_GROUPS):
        log.integrate([next(made) for _ in range(_GROUP)])
        log.publish()


def prove(log: LogDirectory, numbers: list[int], forget: Path | None) -> list[tuple[float, float]]:
    """Seconds of each proof, encoded: on the wall, and of CPU.

    Before each, the files of a folder are put out of the system's cache where one is named.
    """
    took: list[tuple[float, float]] = []
    for number in numbers:
        if forget is not None:
            put_out(forget)
        before, cpu = time.perf_counter(), time.thread_time()
        log.receipt(number).encode()
        took.append((time.perf_counter() - before, time.thread_time() - cpu))
    return took


def put_out(folder: Path) -> None:
    """Have the system read these files from the disk again."""
    for path in folder.rglob("tile/*/**/*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def spread(took: list[tuple[float, float]]) -> str:
    """Median, p99 and the longest in milliseconds, and the median of CPU."""
    wall = [each for each, _ in took]
    parts = statistics.quantiles(wall, n=100)
    cpu = statistics.median(each for _, each in took)
    return (
        f"{parts[49] * 1e3:.2f} ms median, {parts[98] * 1e3:.2f} ms p99, {max(wall) * 1e3:.2f} ms at most; "
        f"{cpu * 1e3:.2f} ms CPU"
    )


def verified(folder: Path) -> str:
    """How long verifying takes; raises where the log does not hold."""
    trust = Trust.of_log(*map(read_vkey, folder.joinpath(VKEYS).read_text().split()))
    reports: list[Report] = []
    wall, cpu = timed(lambda: reports.append(verify(Folder(folder), trust, progress=_quiet)))
    if not reports[0].holds:
        raise SystemExit(f"the log does not hold: {reports[0].flaws[0]}")
    return f"{wall:.1f} s, {cpu:.1f} s CPU"


def _quiet(done: int, whole: int) -> None:
    """No bar: it would be measured too."""


if __name__ == "__main__":
    main()
