from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.audit import merkle
from storage.audit.checkpoint import read_checkpoint
from storage.audit.directory import LogDirectory
from storage.audit.errors import EntryTooLong, LogDamaged, LogForked, LogGapped, LogInUse, LogKeyWrong
from storage.audit.note import read_note
from storage.audit.proof import read_proof
from tests.fakes.disk import MemoryDisk, healthy
from tests.unit.storage.audit.house import ORIGIN, entries, entry, grown, key, log_on


def test_a_new_log_is_empty_and_signed() -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    note = read_note(disk.files()["checkpoint"])
    assert note.verified([key().verifier])
    assert read_checkpoint(note.text) == log.checkpoint
    assert (log.checkpoint.size, log.checkpoint.root) == (0, merkle.EMPTY_ROOT)
    assert disk.files()["vkeys.txt"].decode() == f"{key().verifier.vkey}\n"


def test_what_is_published_can_be_read_and_proved_after_opening_again() -> None:
    disk = MemoryDisk()
    grown(disk, 700)
    log = log_on(disk)
    for index in (0, 255, 256, 511, 512, 699):
        assert log.entry(index) == entry(index)
        proof = log.prove(index)
        leaf = merkle.leaf_hash(entry(index))
        merkle.verify_inclusion(leaf, index, proof.size, proof.hashes, log.checkpoint.root)
        assert read_proof(log.receipt(index).encode()) == log.receipt(index)


def test_proofs_after_the_first_read_the_tile_of_their_leaf_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = MemoryDisk()
    grown(disk, 3 * 256 + 40)
    read: list[str] = []
    whole = disk.read
    monkeypatch.setattr(disk, "read", lambda path: read.append(path) or whole(path))
    log = log_on(disk)
    log.prove(0)
    read.clear()
    proof = log.prove(300)
    assert read == ["tile/0/001"]
    merkle.verify_inclusion(merkle.leaf_hash(entry(300)), 300, proof.size, proof.hashes, log.checkpoint.root)


def test_nothing_is_proved_before_it_is_published() -> None:
    log = grown(MemoryDisk(), 3)
    log.integrate(entries(3, 5))
    assert (log.size, log.checkpoint.size) == (5, 3)
    for question in (
        lambda: log.entry(3),
        lambda: log.prove(3),
        lambda: log.prove(1, 5),
        lambda: log.consistency(1, 5),
    ):
        with pytest.raises(ValueError, match=r"log of 3|tree of"):
            question()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=6))
def test_each_checkpoint_extends_all_before_it(steps: list[tuple[int, bool]]) -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    heads = [log.checkpoint]
    for count, again in steps:
        log.integrate(entries(log.size, log.size + count))
        heads.append(log.publish())
        if again:
            log = log_on(disk)
    for head in heads:
        proof = log.consistency(head.size, log.checkpoint.size)
        merkle.verify_consistency(head.size, log.checkpoint.size, head.root, log.checkpoint.root, proof)


def test_handing_over_the_same_again_changes_nothing_and_other_bytes_are_a_fork() -> None:
    disk = MemoryDisk()
    log = grown(disk, 300)
    before = disk.files()
    log.integrate(entries(250, 300), at=250)
    log.publish()
    assert disk.files() == before
    with pytest.raises(LogForked) as fork:
        log.integrate([entry(298), b"other", entry(300)], at=298)
    assert fork.value.index == 299
    with pytest.raises(LogGapped):
        log.integrate([entry(301)], at=301)
    assert (disk.files(), log.size) == (before, 300)


def test_what_was_integrated_and_not_published_is_healed() -> None:
    disk = MemoryDisk()
    grown(disk, 200).integrate(entries(200, 600))
    log = log_on(disk)
    assert log.size == 200
    log.integrate(entries(150, 500), at=150)
    assert log.publish().size == 500
    whole = MemoryDisk()
    grown(whole, 500)
    healed = {path: data for path, data in disk.files().items() if path != "tile/entries/000.p/200"}
    assert {path for path in healed if path not in whole.files()} == set()
    assert {path: healed[path] for path in whole.files()} == whole.files()


def test_partial_files_go_once_a_full_one_is_published() -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    for size in (1, 100, 255):
        log.integrate(entries(log.size, size))
        log.publish()
    assert {"tile/0/000.p/1", "tile/0/000.p/100", "tile/0/000.p/255"} < set(disk.files())
    log.integrate(entries(255, 257))
    assert "tile/0/000.p/255" in disk.files()  # the checkpoint still needs it
    log.publish()
    assert {path for path in disk.files() if path.startswith("tile/")} == {
        "tile/0/000",
        "tile/0/001.p/1",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/1",
    }


def test_partial_files_stay_where_the_checkpoint_could_not_be_replaced() -> None:
    disk = MemoryDisk()
    log = grown(disk, 255)
    log.integrate(entries(255, 257))
    disk.fault = lambda *asked: OSError("full") if asked[1] == "checkpoint.new" else None
    with pytest.raises(OSError, match="full"):
        log.publish()
    assert {"tile/0/000.p/255", "tile/entries/000.p/255"} < set(disk.files())


def test_what_a_failed_attempt_left_is_gone_once_a_shorter_one_is_published() -> None:
    disk = MemoryDisk()
    log = grown(disk, 200)
    disk.fault = lambda *asked: OSError("gone") if asked == ("fsync", "tile/0/001.p") else None
    with pytest.raises(OSError, match="gone"):
        log.integrate(entries(200, 300))
    assert "tile/0/001.p/44" in disk.files()
    disk.fault = healthy
    log.integrate(entries(200, 250))
    log.publish()
    assert {path for path in disk.files() if path.startswith("tile/0")} == {"tile/0/000.p/200", "tile/0/000.p/250"}


def test_no_file_under_the_checkpoint_is_ever_written_again() -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    for size in (10, 256, 300, 1000):
        covered = {path for path in disk.files() if path.startswith("tile/")}
        disk.calls.clear()
        log.integrate(entries(log.size, size))
        log.publish()
        assert covered.isdisjoint(path for call, path in disk.calls if call == "write")


def test_files_are_durable_before_the_checkpoint_that_covers_them() -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    log.integrate(entries(0, 300))
    unsynced = [path for path, inode in disk.names.items() if inode is not None and inode.durable != inode.data]
    assert unsynced == []
    assert set(disk.names) == set(disk.durable)


def test_a_log_whose_checkpoint_is_gone_is_not_begun_anew() -> None:
    disk = MemoryDisk()
    grown(disk, 10)
    disk.unlink("checkpoint")
    before = disk.files()
    with pytest.raises(LogDamaged):
        log_on(disk)
    assert disk.files() == before


def test_an_edge_that_does_not_fit_the_checkpoint_is_damage() -> None:
    for path in ("tile/0/001.p/10", "tile/entries/001.p/10", "tile/1/000.p/1"):
        disk = MemoryDisk()
        grown(disk, 266)
        disk.write(path, disk.files()[path][:-1] + b"?")
        with pytest.raises(LogDamaged):
            log_on(disk)
        disk.unlink(path)
        with pytest.raises(LogDamaged):
            log_on(disk)


def test_another_key_or_another_origin_is_refused() -> None:
    disk = MemoryDisk()
    grown(disk, 1)
    with pytest.raises(LogKeyWrong):
        log_on(disk, signers=[key("other")])
    with pytest.raises(LogKeyWrong):
        LogDirectory(disk, origin="else.example", signers=[key("first", "else.example")])
    with pytest.raises(LogKeyWrong):
        log_on(disk, signers=[key("first", "else.example")])


def test_an_entry_too_long_leaves_the_log_as_it_was() -> None:
    log = grown(MemoryDisk(), 2)
    with pytest.raises(EntryTooLong):
        log.integrate([b"short", b"a" * 65_536])
    log.integrate([entry(2)])
    assert log.publish().size == 3


def test_a_real_folder_has_one_writer_and_no_other_reader(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    log = LogDirectory.open(path, origin=ORIGIN, signers=[key()])
    log.integrate(entries(0, 300))
    log.publish()
    with pytest.raises(LogInUse):
        LogDirectory.open(path, origin=ORIGIN, signers=[key()])
    assert {found.stat().st_mode & 0o077 for found in (path, *path.rglob("*"))} == {0}
    log.close()
    again = LogDirectory.open(path, origin=ORIGIN, signers=[key()])
    assert again.entry(299) == entry(299)
    again.close()
