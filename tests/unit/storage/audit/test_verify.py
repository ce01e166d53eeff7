"""The tamper matrix: every kind of file, every kind of change; found, or said to need a witness."""

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from storage.audit.archive import Bundle, Folder
from storage.audit.errors import LogTooNew, NotALog
from storage.audit.findings import Report
from storage.audit.note import Note, read_note
from storage.audit.signing_key import WitnessSigner
from storage.audit.tiles import framed, unbundled
from storage.audit.trust import Trust, read_trust
from storage.audit.verify import SELF_SIGNED, verify
from storage.secret import Secret
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import MemoryArchive, entries, entry, grown, key, log_on, quiet

Files = dict[str, bytes]
SIZE = 2_300
HIGH = 70_000
TRUST = Trust.of_log(key().verifier)

KINDS = {
    "checkpoint": "checkpoint",
    "keys": "vkeys.txt",
    "full bundle": "tile/entries/007",
    "partial bundle": "tile/entries/008.p/252",
    "full tile": "tile/0/007",
    "partial tile": "tile/0/008.p/252",
    "tile above": "tile/1/000.p/8",
}
"""One of each kind of file in a log of 2,300 entries."""

KINDS_HIGH = ("tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1")
"""The kinds that only a log of 70,000 has."""


def files_of(size: int) -> Files:
    disk = MemoryDisk()
    grown(disk, size)
    return disk.files()


@pytest.fixture(scope="module")
def whole() -> Files:
    return files_of(SIZE)


@pytest.fixture(scope="module")
def high() -> Files:
    return files_of(HIGH)


def checked(files: Files, trust: Trust | None = TRUST, since: bytes | None = None) -> Report:
    return verify(MemoryArchive(files), trust, since=since, progress=quiet)


def places(report: Report) -> set[str]:
    return {flaw.place for flaw in report.flaws}


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 65_536])
def test_a_log_as_it_was_written_holds(size: int) -> None:
    disk = MemoryDisk()
    grown(disk, size)
    report = checked(disk.files())
    assert (report.flaws, report.remarks, report.entries) == ((), (), size)
    assert [each.verifier for each in report.signed] == [key().verifier]


@pytest.mark.parametrize("kind", KINDS)
def test_one_flipped_bit_anywhere_in_any_kind_of_file_is_found(whole: Files, kind: str) -> None:
    path = KINDS[kind]
    data = whole[path]
    for at in {0, len(data) // 2, len(data) - 1}:
        report = checked({**whole, path: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]})
        assert not report.holds, at
        assert any(path in place or kind == "checkpoint" for place in (*places(report), _bundle_of(report))), at


def _bundle_of(report: Report) -> str:
    """The bundle of the first entry that a flaw names."""
    first = next((flaw.entry for flaw in report.flaws if flaw.entry is not None), 0)
    index = first // 256
    return f"tile/entries/{index:03d}" + (".p/252" if index == 8 else "")


@pytest.mark.parametrize("path", KINDS_HIGH)
def test_a_changed_tile_far_up_is_found(high: Files, path: str) -> None:
    data = high[path]
    report = checked({**high, path: data[:-1] + bytes([data[-1] ^ 1])})
    assert places(report) == {path}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"checkpoint", "keys"}])
@pytest.mark.parametrize("cut", ["deleted", "cut short", "emptied", "longer"])
def test_a_file_that_is_gone_or_of_another_length_is_named(whole: Files, kind: str, cut: str) -> None:
    path = KINDS[kind]
    files = dict(whole)
    match cut:
        case "deleted":
            del files[path]
        case "cut short":
            files[path] = files[path][:-1]
        case "emptied":
            files[path] = b""
        case _:
            files[path] += b"\0"
    assert path in places(checked(files))


def test_without_a_checkpoint_there_is_no_log(whole: Files) -> None:
    with pytest.raises(NotALog):
        checked({path: data for path, data in whole.items() if path != "checkpoint"})


def _edited(change: Callable[[list[bytes]], None]) -> Callable[[Files], None]:
    def tamper(files: Files) -> None:
        found = unbundled(files["tile/entries/007"])
        change(found)
        files["tile/entries/007"] = b"".join(map(framed, found))

    return tamper


def _swap(first: str, second: str) -> Callable[[Files], None]:
    def tamper(files: Files) -> None:
        files[first], files[second] = files[second], files[first]

    return tamper


TAMPERED: dict[str, tuple[Callable[[Files], None], str]] = {
    "an entry edited": (_edited(lambda e: e.__setitem__(3, entry(7 * 256 + 3, type="guard.decision"))), "tile/0/007"),
    "an entry deleted": (_edited(lambda e: e.pop(3)), "tile/entries/007"),
    "an entry inserted": (_edited(lambda e: e.insert(3, entry(3))), "tile/entries/007"),
    "an entry replaced by its neighbour": (_edited(lambda e: e.__setitem__(3, e[4])), "entry 1795"),
    "two entries swapped": (_edited(lambda e: e.reverse()), "entry 1792"),
    "two bundles swapped": (_swap("tile/entries/007", "tile/entries/006"), "entry 1536"),
    "two tiles swapped": (_swap("tile/0/007", "tile/0/006"), "tile/0/007"),
    "tiles of two levels swapped": (_swap("tile/0/008.p/252", "tile/1/000.p/8"), "tile/1/000.p/8"),
    "a stray tile": (lambda files: files.update({"tile/0/0xx": b"x"}), "tile/0/0xx"),
    "a second spelling of a tile": (lambda files: files.update({"tile/0/x000/007": b"x"}), "tile/0/x000/007"),
    "an older partial tile that never was": (
        lambda files: files.update({"tile/0/008.p/9": b"x" * 288}),
        "tile/0/008.p/9",
    ),
    "an older partial bundle that never was": (
        lambda files: files.update({"tile/entries/007.p/1": framed(b"x")}),
        "tile/entries/007.p/1",
    ),
    "a signature by nobody": (
        lambda files: files.update({"checkpoint": _signed_by("stranger", files["checkpoint"])}),
        "checkpoint",
    ),
    "a key named beside": (
        lambda files: files.update({"vkeys.txt": f"{key('stranger').verifier.vkey}\n".encode()}),
        "vkeys.txt",
    ),
    "keys named after it": (
        lambda files: files.update({"vkeys.txt": files["vkeys.txt"] * 3}),
        "vkeys.txt",
    ),
}


def _signed_by(name: str, checkpoint: bytes) -> bytes:
    text = read_note(checkpoint).text
    return Note(text, (key(name).sign(text),)).encode()


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_tampered_with_is_found_where_it_is(whole: Files, name: str) -> None:
    tamper, place = TAMPERED[name]
    files = dict(whole)
    tamper(files)
    assert place in places(checked(files))


def test_entries_and_tiles_rewritten_together_do_not_fit_what_was_signed(whole: Files) -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    log.integrate([entry(index, forged=True) for index in range(SIZE)])
    log.publish()
    (flaw,) = checked({**disk.files(), "checkpoint": whole["checkpoint"]}).flaws
    assert (flaw.place, "root hash" in flaw.what) == ("checkpoint", True)


def test_a_damaged_log_is_reported_and_not_compared_with_an_earlier_head(whole: Files) -> None:
    report = checked({path: data for path, data in whole.items() if path != "tile/0/003"}, since=whole["checkpoint"])
    assert places(report) == {"tile/0/003"}
    assert "was not checked" in report.remarks[0]


def test_a_quorum_of_witnesses_is_asked_for(whole: Files) -> None:
    signer = WitnessSigner("witness.example/w1", Secret(b"w" * 32))
    policy = f"log {key().verifier.vkey}\nwitness W {signer.verifier.vkey}\nquorum W\n"
    trust = read_trust(policy.encode())
    (flaw,) = checked(whole, trust).flaws
    assert "quorum" in flaw.what
    note = read_note(whole["checkpoint"])
    cosigned = Note(note.text, (*note.signatures, signer.cosign(note.text, 1_764_000_000)))
    assert checked({**whole, "checkpoint": cosigned.encode()}, trust).holds


def test_the_first_entry_that_does_not_hold_is_named(whole: Files) -> None:
    files = dict(whole)
    _edited(lambda e: e.__setitem__(200, e[200].replace(b"request", b"REQUEST")))(files)
    assert checked(files).flaws[0].entry == 7 * 256 + 200


def test_a_log_made_anew_under_another_key_is_not_the_one_trusted(whole: Files) -> None:
    disk = MemoryDisk()
    log = log_on(disk, signers=[key("stranger")])
    log.integrate(entries(0, 300))
    log.publish()
    assert "checkpoint" in places(checked(disk.files()))
    alone = checked(disk.files(), trust=None)
    assert (alone.holds, alone.remarks) == (True, (SELF_SIGNED,))  # which is why it says that


def test_an_earlier_head_shows_a_rewritten_and_a_shortened_log(whole: Files) -> None:
    """What the key's owner can do undetected by the files alone: a witness, or a head kept elsewhere, shows it."""
    kept = MemoryDisk()
    grown(kept, 500)
    head = kept.files()["checkpoint"]
    assert checked(whole, since=head).holds
    other, shorter = MemoryDisk(), MemoryDisk()
    log = log_on(other)
    log.integrate([entry(index, forged=True) for index in range(600)])
    log.publish()
    grown(shorter, 400)
    for disk, said in ((other, "rewritten"), (shorter, "removed")):
        assert checked(disk.files()).holds
        (flaw,) = checked(disk.files(), since=head).flaws
        assert said in flaw.what
    stranger = _signed_by("stranger", head)
    assert places(checked(whole, since=stranger)) == {"the earlier checkpoint"}


def test_files_beyond_the_head_are_spoken_of_and_do_not_break_it() -> None:
    disk = MemoryDisk()
    log = grown(disk, 300)
    log.integrate(entries(300, 900))
    report = checked(disk.files())
    assert report.holds
    assert "beyond the signed head" in report.remarks[0]


def test_a_log_that_grows_while_it_is_read_holds() -> None:
    disk = MemoryDisk()
    log = grown(disk, 200)
    files = disk.files()
    log.integrate(entries(200, 600))
    log.publish()
    later = disk.files()
    report = checked({**later, "checkpoint": files["checkpoint"]})
    assert "tile/0/000.p/200" not in later
    assert report.holds


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (b"no json", "canonical"),
        (b'{"seq":0,"seq":1}', "canonical"),
        (b'{"type":"x","seq":1}', "canonical"),
        (b'{"seq": 1}', "canonical"),
        (b'{"seq":2}', "says it is number 2"),
        (b'{"seq":true}', "says it is number True"),
        (b'{"type":"x"}', "says it is number None"),
    ],
)
def test_an_entry_says_its_own_number_in_canonical_json(made: bytes, said: str) -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    log.integrate([entry(0), made])
    log.publish()
    (flaw,) = checked(disk.files()).flaws
    assert said in flaw.what
    assert flaw.entry == 1


def test_an_entry_of_a_version_to_come_is_not_judged() -> None:
    disk = MemoryDisk()
    log = log_on(disk)
    log.integrate([entry(0, v=2)])
    log.publish()
    with pytest.raises(LogTooNew):
        checked(disk.files())


def test_a_folder_and_a_bundle_read_the_same_and_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    disk = MemoryDisk()
    grown(disk, 300)
    for path, data in disk.files().items():
        (tmp_path / "log" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "log" / path).write_bytes(data)
    with ZipFile(tmp_path / "bundle.zip", "w") as made:
        for path, data in disk.files().items():
            made.writestr(path, data)
    for files in (Folder(tmp_path / "log"), Bundle(tmp_path / "bundle.zip")):
        assert verify(files, TRUST, progress=quiet).holds
    tile = tmp_path / "log" / "tile" / "0" / "000"
    tile.rename(tmp_path / "kept")
    tile.symlink_to(tmp_path / "kept")
    assert places(verify(Folder(tmp_path / "log"), TRUST, progress=quiet)) == {"tile/0/000"}


def test_a_bundle_cut_short_damaged_or_ambiguous_is_refused(tmp_path: Path) -> None:
    disk = MemoryDisk()
    grown(disk, 3)
    path = tmp_path / "bundle.zip"
    with ZipFile(path, "w") as made:
        for name, data in disk.files().items():
            made.writestr(name, data)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(NotALog):
        Bundle(path)
    at = data.index(disk.files()["tile/0/000.p/3"])
    path.write_bytes(data[:at] + b"?" + data[at + 1 :])
    assert places(verify(Bundle(path), TRUST, progress=quiet)) == {"tile/0/000.p/3"}
    path.write_bytes(data)
    with ZipFile(path, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("checkpoint", b"another")
    with pytest.raises(NotALog):
        Bundle(path)


def test_progress_is_told_to_the_end(whole: Files) -> None:
    told: list[tuple[int, int]] = []
    verify(MemoryArchive(whole), TRUST, progress=lambda done, total: told.append((done, total)))
    assert (told[0], told[-1], len(told)) == ((256, SIZE), (SIZE, SIZE), 9)
