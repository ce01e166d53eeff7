"""What is committed gets published, whatever fails in between; an entry is in the ledger or under a checkpoint."""

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from policies.vocabulary.audit import ApiKeyRevoked, Receipt
from storage.audit.archive import Folder
from storage.audit.directory import LogDirectory
from storage.audit.errors import LogForked, LogGapped
from storage.audit.signing_key import key_of
from storage.audit.stored import stored_entry
from storage.audit.tiles import WIDTH
from storage.errors import StorageFailed
from storage.ledger import Ledger
from storage.publisher import Publisher, open_log
from tests.fakes.audit import assert_holds, lines_of, verified
from tests.fakes.disk import Fault, MemoryDisk, healthy


class Shelf:
    """A ledger on a disk that works, and the log's files in memory, where power can be lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder)
        self.disk = MemoryDisk()
        self.receipts: list[Receipt] = []
        self.opened()

    def opened(self) -> None:
        signer = key_of(self.folder / "audit.key", self.ledger.origin)
        origin = self.ledger.origin
        self.publisher = Publisher(self.ledger, lambda: LogDirectory(self.disk, origin=origin, signers=[signer]))

    def write(self, count: int) -> None:
        """Entries that are acknowledged."""
        for first in range(0, count, 100):
            batch = [ApiKeyRevoked(actor="owner", key=f"key_{first + n}") for n in range(min(100, count - first))]
            self.receipts += self.ledger.write([], entries=batch)

    def lose_power(self, random: Random) -> None:
        """Everything in memory and whatever was not synced is gone; the ledger syncs every commit."""
        self.disk = self.disk.after_power_loss(random)
        self.ledger.close()
        self.ledger = Ledger(self.folder)
        self.opened()

    def assert_whole(self) -> None:
        """Everything acknowledged is published, where its receipt says."""
        size = self.publisher.publish().checkpoint.size
        assert size == self.ledger.next_seq
        assert_holds([stored_entry(self.disk.read, index, size) for index in range(size)], self.receipts)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.ledger.close()


def test_what_is_committed_is_published_and_verifies_by_itself(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    publisher = Publisher(ledger, lambda: open_log(tmp_path, ledger.origin))
    ledger.write([], entries=[ApiKeyRevoked(actor="owner", key="key_1")] * 300)
    publisher.publish()
    publisher.stop()
    ledger.close()
    verified(tmp_path)
    assert [json.loads(line)["seq"] for line in lines_of(tmp_path)] == list(range(301))
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600


def test_entries_leave_the_ledger_only_when_they_stand_in_full_bundles_under_a_checkpoint(shelf: Shelf) -> None:
    shelf.write(WIDTH - 2)
    shelf.publisher.publish()
    assert shelf.ledger.first_kept == 0
    shelf.write(10)
    assert shelf.ledger.first_kept == 0
    shelf.publisher.publish()
    assert shelf.ledger.first_kept == WIDTH
    kept = shelf.ledger.entries(0, 1000)
    assert (kept.first, len(kept.lines)) == (WIDTH - 1, 10)  # a group leaves as a whole
    shelf.assert_whole()


def fails_at(number: int) -> Fault:
    left = [number]

    def fault(call: str, path: str) -> OSError | None:
        del call, path
        left[0] -= 1
        return OSError(errno.ENOSPC, "No space left on device") if left[0] == -1 else None

    return fault


def test_every_call_that_fails_once_is_made_up_for_without_a_restart(shelf: Shelf) -> None:
    failed = 0
    for number in range(200):
        shelf.write(7)
        shelf.disk.fault = fails_at(number % 25)
        try:
            shelf.publisher.publish()
        except StorageFailed:
            failed += 1
            assert shelf.publisher.state().failing is not None
        shelf.disk.fault = healthy
        shelf.publisher.publish()
        assert shelf.publisher.state().failing is None
    assert failed > 50
    shelf.assert_whole()


def power_losses(shelf: Shelf, random: Random, times: int) -> None:
    """Write, publish with faults, lose power: again and again; nothing acknowledged may go."""
    for _ in range(times):
        for _ in range(random.randrange(4)):
            shelf.write(random.choice([1, 20, 300]))
            shelf.disk.fault = fails_at(random.randrange(40))
            try:
                shelf.publisher.publish()
            except StorageFailed:
                pass
            finally:
                shelf.disk.fault = healthy
        shelf.lose_power(random)
    shelf.assert_whole()


@pytest.mark.parametrize("seed", range(6))
def test_power_lost_anywhere_takes_nothing_that_was_acknowledged(shelf: Shelf, seed: int) -> None:
    power_losses(shelf, Random(seed), 8)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_thousand_power_losses(tmp_path: Path) -> None:
    for seed in range(100):  # a fresh log for each, or comparing would take all the time
        folder = tmp_path / str(seed)
        folder.mkdir()
        shelf = Shelf(folder)
        power_losses(shelf, Random(seed), 10)
        shelf.ledger.close()


def test_a_ledger_and_a_log_that_are_not_one_are_seen_and_left_alone(shelf: Shelf, tmp_path: Path) -> None:
    shelf.write(20)
    shelf.publisher.publish()
    files = shelf.disk.files()
    other = tmp_path / "other"
    other.mkdir()
    behind = Ledger(other)
    behind.write([("UPDATE audit_state SET origin = ?", (shelf.ledger.origin,))], entries=())
    for expected in (LogForked, LogForked):
        publisher = Publisher(behind, published_by(shelf))
        with pytest.raises(expected):
            publisher.publish()
        behind.write([], entries=[ApiKeyRevoked(actor="owner", key="other")] * 30)
    behind.release(25)
    with pytest.raises(LogGapped):
        Publisher(behind, published_by(shelf)).publish()
    assert shelf.disk.files() == files
    behind.close()


def test_a_ledger_restored_from_an_older_backup_is_seen(shelf: Shelf, tmp_path: Path) -> None:
    shelf.write(5)
    shelf.ledger.close()
    older = tmp_path / "older"
    older.mkdir()
    shutil.copy(tmp_path / "ledger.db", older)
    shelf.ledger = Ledger(tmp_path)
    shelf.opened()
    shelf.write(5)
    shelf.publisher.publish()
    restored = Ledger(older)
    with pytest.raises(LogForked):
        Publisher(restored, published_by(shelf)).publish()
    restored.close()


def published_by(shelf: Shelf) -> Callable[[], LogDirectory]:
    signer = key_of(shelf.folder / "audit.key", shelf.ledger.origin)
    return lambda: LogDirectory(shelf.disk, origin=shelf.ledger.origin, signers=[signer])


def test_a_folder_that_cannot_be_written_keeps_entries_in_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    (tmp_path / "audit").write_text("in the way")
    publisher = Publisher(ledger, lambda: open_log(tmp_path, ledger.origin))
    with pytest.raises(StorageFailed):
        publisher.publish()
    assert publisher.state().failing is not None
    assert len(ledger.entries(0, 10).lines) == 1
    (tmp_path / "audit").unlink()
    assert publisher.publish().checkpoint.size == 1
    assert publisher.state().failing is None
    publisher.stop()
    ledger.close()
    assert Folder(tmp_path / "audit").read("checkpoint", 1 << 16)
