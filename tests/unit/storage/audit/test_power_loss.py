"""What a log promises its writer: whatever fails or is lost whenever, it heals, and never takes back what it signed."""

import errno
from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest

from storage.audit.directory import LogDirectory
from storage.audit.trust import Trust
from storage.audit.verify import verify
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import entries, key, log_on, memory_archive, quiet
from tests.unit.storage.audit.power import campaign

SEED = 20_261_129

T = TypeVar("T")


@pytest.mark.parametrize("seed", range(SEED, SEED + 40))
def test_no_power_loss_takes_back_what_was_signed(seed: int) -> None:
    campaign(seed)


def scripted(disk: MemoryDisk) -> LogDirectory:
    """A short life with full tiles, partial ones and a clean-up; what fails is done again, as the publisher does."""
    log = persistent(lambda: log_on(disk))
    for size in (100, 300):
        persistent(lambda size=size: log.integrate(entries(log.size, size), at=log.size))
        persistent(log.publish)
    return log


def persistent(act: Callable[[], T]) -> T:
    """Do it again until the disk lets it be."""
    while True:
        try:
            return act()
        except OSError:
            continue


def test_any_one_call_may_fail_and_the_log_goes_on() -> None:
    healthy = MemoryDisk()
    scripted(healthy)
    for number in range(len(healthy.calls)):
        one_fault(number)


def one_fault(number: int) -> None:
    place = iter(range(10_000))

    def fault(call: str, path: str) -> OSError | None:
        return OSError(errno.EIO, "the disk says no", path) if next(place) == number else None

    disk = MemoryDisk(fault)
    log = scripted(disk)
    assert log.checkpoint.size == 300
    # A sync that failed must not be believed the second time: what is signed is durable.
    after = disk.after_power_loss(Random(number))
    report = verify(memory_archive(after.files()), Trust.of_log(key().verifier), progress=quiet)
    assert (report.flaws, report.entries) == ((), 300)


def test_a_full_disk_stops_the_log_and_an_emptied_one_lets_it_go_on() -> None:
    full = [False]

    def fault(call: str, path: str) -> OSError | None:
        return OSError(errno.ENOSPC, "no space left", path) if full[0] and call in {"write", "mkdir"} else None

    disk = MemoryDisk(fault)
    log = log_on(disk)
    log.integrate(entries(0, 200))
    log.publish()
    full[0] = True
    for _ in range(5):
        with pytest.raises(OSError, match="no space"):
            log.integrate(entries(200, 600))
        with pytest.raises(OSError, match="no space"):
            log_on(disk).integrate(entries(200, 600))
    assert (log.size, log.entry(199), log.prove(5).size) == (200, entries(199, 200)[0], 200)
    full[0] = False
    log.integrate(entries(200, 600))
    assert log.publish().size == 600
    report = verify(memory_archive(disk.files()), Trust.of_log(key().verifier), progress=quiet)
    assert (report.flaws, report.remarks) == ((), ())
