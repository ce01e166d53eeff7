from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from storage.audit.directory import LogDirectory
from storage.audit.errors import LogKeyExposed, LogKeyWrong, NoteMalformed, NotSigned, SignatureInvalid
from storage.audit.findings import Report
from storage.audit.handover import hand_over, read_handover
from storage.audit.note import ED25519, Signer, read_note
from storage.audit.signing_key import KEY_FILE, adopt_next, create_key, key_of, load_key, next_key
from storage.audit.trust import Trust
from storage.audit.verify import verify
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import ORIGIN, MemoryArchive, entries, entry, grown, key, log_on, quiet

FIRST, SECOND, THIRD = key("first"), key("second"), key("third")


def rotation(log: LogDirectory, successor: Signer) -> bytes:
    """The entry that hands over to another key."""
    return entry(log.size, type="log.key_rotated", handover=log.hand_over(successor))


def rotated(disk: MemoryDisk, *successors: Signer) -> LogDirectory:
    """A log of 300 entries that was handed over, once a successor, with ten entries after each."""
    log = grown(disk, 300)
    for successor in successors:
        log.integrate([rotation(log, successor)])
        log.publish()
        log.integrate(entries(log.size, log.size + 10))
        log.publish()
    return log


def checked(disk: MemoryDisk, trusted: Signer, since: bytes | None = None) -> Report:
    return verify(MemoryArchive(disk.files()), Trust.of_log(trusted.verifier), since=since, progress=quiet)


def test_the_checkpoint_of_a_handover_carries_both_signatures_and_the_next_only_the_new() -> None:
    disk = MemoryDisk()
    log = grown(disk, 300)
    log.integrate([rotation(log, SECOND)])
    log.publish()
    assert len(read_note(log.note).verified([FIRST.verifier, SECOND.verifier])) == 2
    log.integrate(entries(301, 302))
    log.publish()
    assert [each.verifier for each in read_note(log.note).verified([FIRST.verifier, SECOND.verifier])] == [
        SECOND.verifier
    ]


@pytest.mark.parametrize("trusted", [FIRST, SECOND, THIRD])
def test_trust_in_any_key_of_the_log_reaches_its_head(trusted: Signer) -> None:
    disk = MemoryDisk()
    rotated(disk, SECOND, THIRD)
    report = checked(disk, trusted)
    assert report.flaws == ()
    assert report.successors == (SECOND.verifier, THIRD.verifier)
    assert disk.files()["vkeys.txt"].decode().split() == [each.verifier.vkey for each in (FIRST, SECOND, THIRD)]
    assert not checked(disk, key("stranger")).holds


@pytest.mark.parametrize("named", [(FIRST, key("stranger")), (FIRST,), (FIRST, SECOND, THIRD, key("stranger"))])
def test_other_keys_named_beside_the_log_than_its_entries_lead_to_are_found(named: tuple[Signer, ...]) -> None:
    disk = MemoryDisk()
    rotated(disk, SECOND)
    disk.write("vkeys.txt", "".join(f"{each.verifier.vkey}\n" for each in named).encode())
    assert [flaw.place for flaw in checked(disk, FIRST).flaws] == ["vkeys.txt"]


def test_heads_signed_before_a_handover_still_count() -> None:
    disk = MemoryDisk()
    log = grown(disk, 300)
    head = log.note
    log.integrate([rotation(log, SECOND)])
    log.publish()
    assert checked(disk, FIRST, since=head).holds


def test_a_handover_the_old_key_did_not_sign_is_refused_by_the_log_and_by_the_verifier() -> None:
    disk = MemoryDisk()
    log = grown(disk, 3)
    forged = entry(3, type="log.key_rotated", handover=hand_over(log.checkpoint, THIRD, SECOND))
    log.hand_over(SECOND)
    with pytest.raises(NotSigned):
        log.integrate([forged])
    thief = MemoryDisk()
    made = log_on(thief, signers=[THIRD])
    made.integrate(entries(0, 3))
    made.publish()
    made.hand_over(SECOND)
    made.integrate([forged])
    made.publish()
    report = checked(thief, FIRST)
    assert not report.holds


def test_the_old_key_vouches_for_what_was_there_before_it_left() -> None:
    """Who stole the second key cannot rewrite what the first had signed."""
    honest, forged = MemoryDisk(), MemoryDisk()
    log = grown(honest, 300)
    handover = rotation(log, SECOND)
    other = log_on(forged, signers=[FIRST, SECOND])
    other.integrate([*(entry(index, forged=True) for index in range(300)), handover])
    other.publish()
    report = checked(forged, FIRST)
    assert [flaw.place for flaw in report.flaws] == ["entry 300"]
    assert "rewritten" in report.flaws[0].what


def test_a_handover_does_not_speak_of_what_comes_after_it() -> None:
    disk = MemoryDisk()
    later = grown(MemoryDisk(), 9).hand_over(SECOND)
    log = log_on(disk, signers=[FIRST, SECOND])
    log.integrate([entry(0, type="log.key_rotated", handover=later), *entries(1, 9)])
    log.publish()
    (flaw,) = checked(disk, FIRST).flaws
    assert "longer than it was" in flaw.what


def test_a_handover_is_to_a_key_at_hand() -> None:
    log = grown(MemoryDisk(), 3)
    elsewhere = hand_over(log.checkpoint, FIRST, THIRD)
    with pytest.raises(LogKeyWrong):
        log.integrate([entry(3, type="log.key_rotated", handover=elsewhere)])
    assert log.size == 3


def test_a_handover_for_another_log_or_with_a_broken_signature_is_refused() -> None:
    log = grown(MemoryDisk(), 3)
    other = key("first", "else.example")
    foreign = LogDirectory(MemoryDisk(), origin="else.example", signers=[other]).checkpoint
    text = hand_over(foreign, other, SECOND)
    broken = hand_over(log.checkpoint, FIRST, SECOND).replace("\n3\n", "\n2\n")
    log.hand_over(SECOND)
    for handover, error in ((text, NoteMalformed), (broken, SignatureInvalid), ("", NoteMalformed)):
        with pytest.raises(error):
            log.integrate([entry(3, type="log.key_rotated", handover=handover)])


def test_only_an_entry_of_that_type_hands_over() -> None:
    assert read_handover(entry(1, note="log.key_rotated")) is None
    assert read_handover(b"log.key_rotated") is None


@pytest.mark.parametrize("seed", range(30))
def test_power_lost_while_the_key_changes_leaves_one_key_in_force(seed: int) -> None:
    random = Random(seed)
    disk = MemoryDisk()
    log = grown(disk, 300)
    handover = rotation(log, SECOND)
    left = iter(range(random.randrange(25)))
    disk.fault = lambda *_: None if next(left, None) is not None else OSError("power")
    with suppress(OSError):
        log.integrate([handover], at=300)
        log.publish()
    after = disk.after_power_loss(random)
    again = log_on(after, signers=[FIRST, SECOND])
    again.integrate([handover], at=300)
    again.publish()
    assert again.signer.verifier == SECOND.verifier
    assert checked(after, FIRST).flaws == ()
    again.integrate(entries(301, 302))
    again.publish()
    assert log_on(after, signers=[SECOND]).signer.verifier == SECOND.verifier
    assert checked(after, FIRST).flaws == ()


def test_a_key_is_made_once_private_and_known_again(tmp_path: Path) -> None:
    made = key_of(tmp_path / KEY_FILE, ORIGIN)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]
    assert key_of(tmp_path / KEY_FILE, ORIGIN).verifier == made.verifier
    with pytest.raises(LogKeyWrong):
        key_of(tmp_path / KEY_FILE, "else.example")
    with pytest.raises(FileExistsError):
        create_key(tmp_path / KEY_FILE, ORIGIN, ED25519)


def test_the_next_key_takes_the_place_of_the_last(tmp_path: Path) -> None:
    key_of(tmp_path / KEY_FILE, ORIGIN)
    following = next_key(tmp_path, ORIGIN)
    adopt_next(tmp_path, key().verifier)
    assert load_key(tmp_path / KEY_FILE).verifier != following.verifier  # not in force, so not adopted
    adopt_next(tmp_path, following.verifier)
    adopt_next(tmp_path, following.verifier)
    assert load_key(tmp_path / KEY_FILE).verifier == following.verifier
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    key_of(tmp_path / KEY_FILE, ORIGIN)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(LogKeyExposed):
        load_key(tmp_path / KEY_FILE)


def test_a_key_file_that_is_damaged_is_refused_without_being_shown(tmp_path: Path) -> None:
    path = tmp_path / KEY_FILE
    key_of(path, ORIGIN)
    line = path.read_text()
    secret = line.strip().split("+", 4)[4]  # which may hold the sign that parts what is before it
    for damaged in ("", line[:-5], line.replace("PRIVATE", "PUBLIC"), line.replace("+", "-"), line[:-4] + "AAA\n"):
        path.write_text(damaged)
        with pytest.raises(LogKeyWrong) as error:
            load_key(path)
        assert secret[:20] not in f"{error.value} {error.value.remedy()}"
