"""Opening: one process, one key, schemas that only go forward, private files."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database

from storage.errors import (
    DirectoryExposed,
    DirectoryInUse,
    KeyFileBroken,
    KeyFileExposed,
    NoDirectory,
    SchemaTooNew,
    WrongSealKey,
)
from storage.opening import make_directory
from storage.schema import Schema, statements
from storage.store import Store, wal_reset_exposed
from tests.unit.storage.stored import recording

HOLD = """
import sys
from pathlib import Path
from storage.store import Store
held = Store.open(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_directory(folder: Path) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DirectoryInUse) as raised:
            Store.open(folder)
        assert raised.value.pid == holder.pid
        assert "--data-dir" in raised.value.remedy()
        holder.kill()
    Store.open(folder).close()


def test_a_second_opener_in_the_same_process_is_refused(folder: Path, store: Store) -> None:
    with pytest.raises(DirectoryInUse):
        Store.open(folder)
    store.close()
    store.close()
    Store.open(folder).close()


def test_directory_and_files_are_for_their_owner_only(folder: Path, store: Store) -> None:
    store.append([recording(1)])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert "meta.db-wal" in modes
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o770, 0o777, 0o702])
def test_a_directory_of_ours_that_others_can_enter_is_closed_to_them(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    Store.open(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_shared_directory_is_refused_and_left_as_it_is(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(DirectoryExposed) as raised:
        Store.open(folder)
    assert "data_dir" in raised.value.remedy()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert not list(folder.iterdir())


@pytest.mark.parametrize("inside", ["", "data"])
def test_a_place_where_no_directory_can_be_is_said_with_what_to_do(tmp_path: Path, inside: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(NoDirectory) as raised:
        Store.open(file / inside)
    assert "data_dir" in raised.value.remedy()
    assert file.read_text() == "mine"


def test_a_directory_of_somebody_else_that_others_can_enter_is_refused(folder: Path) -> None:
    theirs = Path("/usr")
    if os.geteuid() == 0:
        theirs = folder
        folder.mkdir()
        folder.chmod(0o755)
        os.chown(folder, 65_534, 65_534)
    with pytest.raises(DirectoryExposed):
        make_directory(theirs)
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755


def test_a_key_file_others_can_read_is_refused(folder: Path, store: Store) -> None:
    store.close()
    (folder / "seal.key").chmod(0o640)
    with pytest.raises(KeyFileExposed) as raised:
        Store.open(folder)
    assert "chmod 600" in raised.value.remedy()


def test_a_key_file_of_the_wrong_length_is_refused(folder: Path, store: Store) -> None:
    store.close()
    (folder / "seal.key").write_bytes(b"short")
    with pytest.raises(KeyFileBroken):
        Store.open(folder)


def test_a_lost_or_other_key_is_refused_and_not_replaced(folder: Path, store: Store) -> None:
    store.append([recording(1)])
    store.close()
    key = folder / "seal.key"
    kept = key.read_bytes()
    key.write_bytes(bytes(32))
    with pytest.raises(WrongSealKey):
        Store.open(folder)
    key.unlink()
    with pytest.raises(WrongSealKey):
        Store.open(folder)
    assert not key.exists()
    key.touch(mode=0o600)
    key.write_bytes(kept)
    Store.open(folder).close()


@pytest.mark.parametrize("name", ["meta.db", "ledger.db", "spans-20251123.db", "content-202511.db"])
def test_a_file_of_a_newer_release_is_refused(folder: Path, store: Store, name: str) -> None:
    store.append([recording(1)])
    store.close()
    db = Database(folder / name)
    kind = name.partition(".")[0].partition("-")[0]
    db["_sqlite_migrations"].insert({"migration_set": f"stepwarden.{kind}", "name": f"{kind}_9999", "applied_at": "-"})
    db.close()
    with pytest.raises(SchemaTooNew, match="9999"):
        Store.open(folder)


def test_a_script_is_split_at_its_statements_and_nowhere_else() -> None:
    script = """
    CREATE TABLE a (x TEXT DEFAULT ';'); -- one; two
    CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; END;
    """
    db = Database(memory=True)
    for statement in statements(script):
        db.conn.execute(statement)
    assert db.table_names() == ["a"]
    assert [trigger.name for trigger in db.triggers] == ["t"]
    db.close()


def test_a_failed_migration_leaves_nothing_and_stays_pending(tmp_path: Path) -> None:
    db = Database(tmp_path / "any.db")
    broken = Schema("meta", {"meta_0001": "CREATE TABLE a (x);", "meta_0002": "CREATE TABLE b (x); SELECT * FROM c;"})
    with pytest.raises(sqlite3.OperationalError):
        broken.apply(db, tmp_path / "any.db")
    assert [name for name in db.table_names() if not name.startswith("_")] == ["a"]
    mended = Schema("meta", {"meta_0001": "CREATE TABLE a (x);", "meta_0002": "CREATE TABLE b (x);"})
    mended.apply(db, tmp_path / "any.db")
    assert "b" in db.table_names()
    db.close()


def test_sessions_are_replayed_from_the_day_files(folder: Path, store: Store) -> None:
    store.append([recording(1, state=b"a" * 16), recording(2), recording(3, session="S2")])
    before, states = store.sessions(), store.find_states([b"a" * 16])
    store.close()
    (folder / "meta.db").unlink()
    store = Store.open(folder)
    assert store.sessions() == before
    assert store.find_states([b"a" * 16]) == states
    store.append([recording(4)])
    row = store.session("S1")
    assert row is not None
    assert row.exchanges == 3
    store.close()


@pytest.mark.parametrize(
    ("version", "exposed"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 1), False),
    ],
)
def test_the_wal_reset_bug_is_known_by_version(version: tuple[int, int, int], *, exposed: bool) -> None:
    assert wal_reset_exposed(version) is exposed


def test_stats_say_what_is_there(store: Store) -> None:
    store.append([recording(1), recording(2, session="S2")])
    stats = store.stats()
    assert (stats.exchanges, stats.sessions, stats.content, stats.kept_whole) == (2, 2, "encrypted", 0)
    assert [file.name for file in stats.files] == [
        "content-202511.db",
        "keys.db",
        "ledger.db",
        "meta.db",
        "spans-20251123.db",
    ]
    assert stats.bytes == sum(file.bytes for file in stats.files)
    assert stats.sqlite_version == sqlite3.sqlite_version
