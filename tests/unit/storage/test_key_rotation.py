"""Changing the log's key: what was proven stays proven, and a crash at any moment leaves one key in force."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.audit.archive import Folder
from storage.audit.findings import Report
from storage.audit.note import read_vkey
from storage.audit.proof import read_proof
from storage.audit.signing_key import KEY_FILE, NEXT_KEY_FILE, load_key
from storage.audit.trust import Trust
from storage.audit.verify import verify
from storage.errors import StorageFailed
from storage.rotation import Rotated, RotationPending
from storage.store import Store
from tests.fakes.audit import entries_of, quiet
from tests.fakes.ledger import failing, whatever_writes

WHO = {"by": "Ada Hedgehog", "reason": "the yearly change", "actor": "key_1"}


def checked(folder: Path, vkey: str, since: bytes | None = None) -> Report:
    return verify(Folder(folder / "audit"), Trust.of_log(read_vkey(vkey)), since=since, progress=quiet)


def vkeys(folder: Path) -> list[str]:
    return (folder / "audit" / "vkeys.txt").read_text().split()


def test_the_log_goes_on_under_a_new_key_and_whoever_trusts_either_verifies_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    before = store.audit.head()
    done = store.audit.rotate(**WHO)
    store.keys.create(name="n", role="viewer", app="default", now_ns=1)
    store.audit.head()
    assert vkeys(tmp_path) == [done.retired, done.vkey]
    assert checked(tmp_path, done.retired, since=before).flaws == ()
    assert checked(tmp_path, done.vkey).flaws == ()
    assert load_key(tmp_path / KEY_FILE).verifier.vkey == done.vkey
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(f"{NEXT_KEY_FILE}*"))
    store.close()


def test_the_entry_names_the_person_by_an_alias_and_the_reason_by_a_commitment(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    done = store.audit.rotate(**WHO)
    entry = store.audit.entry(done.index)
    said = json.loads(entry)
    assert (said["type"], said["actor"], said["by"][:7]) == ("log.key_rotated", "key_1", "person_")
    assert b"Hedgehog" not in entry
    assert b"yearly" not in entry
    assert store.ledger.read("SELECT vkey, who, reason FROM key_rotation") == [
        (done.vkey, "Ada Hedgehog", "the yearly change")
    ]
    store.close()


def test_proofs_made_before_and_after_verify_each_under_the_key_of_its_time(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    (entry, first) = store.audit.entry(0), read_proof(store.audit.proof(0))
    done = store.audit.rotate(**WHO)
    store.keys.create(name="n", role="viewer", app="default", now_ns=1)
    store.audit.head()
    later = read_proof(store.audit.proof(0))
    assert first.verify(entry, Trust.of_log(read_vkey(done.retired)))
    assert later.verify(entry, Trust.of_log(read_vkey(done.vkey)))
    store.close()


def test_a_change_that_cannot_be_entered_leaves_the_old_key_in_force(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.audit.head()
    with failing(store.ledger, whatever_writes), pytest.raises(StorageFailed):
        store.audit.rotate(**WHO)
    old = vkeys(tmp_path)
    store.close()
    store = Store.open(tmp_path)
    store.audit.head()
    assert vkeys(tmp_path) == old
    done = store.audit.rotate(**WHO)
    assert [done.retired] == old
    store.close()


def test_a_change_that_cannot_be_published_yet_comes_into_force_by_itself(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.audit.head()
    in_the_way = tmp_path / "audit" / "checkpoint.new"
    in_the_way.mkdir()
    with pytest.raises(RotationPending):
        store.audit.rotate(**WHO)
    in_the_way.rmdir()
    store.audit.head()
    (old, new) = vkeys(tmp_path)
    assert load_key(tmp_path / KEY_FILE).verifier.vkey == new
    assert checked(tmp_path, old).flaws == ()
    store.close()


class Crashed(BaseException):
    """The process died."""


class Crash:
    """Ends the process, as far as its files can tell, at the n-th call that touches one."""

    _CALLS = frozenset({"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir"})

    def __init__(self) -> None:
        self.left: int | None = None
        sys.addaudithook(self._heard)

    def _heard(self, event: str, _: object) -> None:
        if self.left is None or event not in self._CALLS:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Crashed


@pytest.fixture(scope="module")
def crash() -> Iterator[Crash]:
    made = Crash()  # a hook cannot be taken away again, so there is one
    yield made
    made.left = None


def rotated(store: Store, crash: Crash, at: int) -> Rotated | None:
    """Change the key and die at call `at`; None where that happened."""
    crash.left = at
    try:
        return store.audit.rotate(**WHO)
    except Crashed:
        return None
    finally:
        crash.left = None


def test_a_crash_at_any_moment_leaves_one_key_in_force_and_a_log_that_verifies(tmp_path: Path, crash: Crash) -> None:
    done, at = None, 0
    handed_over = 0
    while done is None:
        store = Store.open(tmp_path)
        store.audit.head()
        done = rotated(store, crash, at)
        store.close()
        healed = Store.open(tmp_path)
        healed.keys.create(name="n", role="viewer", app="default", now_ns=1)
        healed.audit.head()
        log = healed.publisher.log
        assert log is not None
        assert load_key(tmp_path / KEY_FILE).verifier == log.signer.verifier, at
        healed.close()
        report = checked(tmp_path, vkeys(tmp_path)[0])
        assert report.flaws == (), at
        handed_over += len(report.successors) > handed_over
        assert len(report.successors) == handed_over
        at += 1
    assert at > 15
    assert 1 < handed_over < at
    assert len([each for each in entries_of(tmp_path) if each["type"] == "log.key_rotated"]) == handed_over
