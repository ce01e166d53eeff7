"""A disk that is full, or breaks: a typed error, nothing half there, and work goes on when it can."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from policies.vocabulary.audit import ApiKeyRevoked
from policies.vocabulary.exchanges import Recording
from storage.errors import StorageFailed
from storage.store import Store
from tests.fakes.audit import assert_holds, lines_of, verified
from tests.unit.storage.stored import agent_session, recording


def limit(store: Store, kind: str, pages: int | None) -> None:
    """Let one file not grow beyond its present size plus so many pages; None lifts the limit."""
    writer = store._writer
    connection = {
        "content": lambda: writer._month("202511").file.connection,
        "spans": lambda: writer._day("20251123").connection,
        "meta": lambda: writer._meta.connection,
    }[kind]()
    present = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {2**31 if pages is None else present + pages}")


@pytest.mark.parametrize("kind", ["content", "spans", "meta"])
def test_a_batch_that_does_not_fit_is_not_there_at_all(store: Store, kind: str) -> None:
    store.append([recording(0)])
    batch = [recording(number, session=f"S{number}") for number in range(1, 200)]
    limit(store, kind, 1)
    with pytest.raises(StorageFailed):
        store.append(batch)
    assert [one.exchange_id for one in store.recent()] == [recording(0).exchange.exchange_id]
    assert [row.session_id for row in store.sessions()] == ["S1"]
    assert len(store.after(None, 1000)[0]) == 1
    limit(store, kind, None)
    store.append(batch)
    assert store.stats().exchanges == 200
    body = store.body(batch[-1].exchange.exchange_id, "request")
    assert body is not None
    assert body.raw == batch[-1].request.raw


def test_what_a_half_committed_batch_left_is_taken_back(store: Store) -> None:
    store.append([recording(0)])
    meta = store._writer._meta.connection
    # The commit of the last file fails after the others are through.
    meta.execute("CREATE TABLE late (x REFERENCES session (id) DEFERRABLE INITIALLY DEFERRED)")
    meta.execute("PRAGMA foreign_keys = ON")
    meta.execute("CREATE TRIGGER fail AFTER INSERT ON session BEGIN INSERT INTO late VALUES (-1); END")
    with pytest.raises(StorageFailed):
        store.append([recording(1, session="S9"), recording(2, session="S9")])
    assert [one.exchange_id for one in store.recent()] == [recording(0).exchange.exchange_id]
    meta.execute("DROP TRIGGER fail")
    store.append([recording(1, session="S9"), recording(2, session="S9")])
    assert len(store.exchanges("S9")) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "small"
    mounted.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("mounting a tmpfs needs more rights than this run has")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def append_until_it_fails(store: Store, made: list[Recording]) -> int:
    """How many were stored."""
    for kept, one in enumerate(made):
        try:
            store.append([one])
        except StorageFailed:
            return kept
    return pytest.fail("the disk never filled")


def test_on_a_full_disk_finished_batches_stay_and_writing_resumes(small_disk: Path) -> None:
    folder = small_disk / "data"
    ballast = small_disk / "ballast"
    store = Store.open(folder)
    ballast.write_bytes(bytes(1024 * 1024))
    made = agent_session(seed=4, turns=60)
    kept = append_until_it_fails(store, made)
    assert [one.exchange_id for one in store.exchanges("S1")] == [one.exchange.exchange_id for one in made[:kept]]
    ballast.unlink()
    store.append([made[kept]])
    store.close()
    store = Store.open(folder)
    assert store.stats().exchanges == kept + 1
    for one in made[: kept + 1]:
        body = store.body(one.exchange.exchange_id, "request")
        assert body is not None
        assert body.raw == one.request.raw
    store.close()


def test_on_a_full_disk_the_audit_log_refuses_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    """Nothing acknowledged is lost, nobody is told what is not durable, and no restart is needed."""
    store = Store.open(small_disk / "data")
    receipts = [store.sequencer.durable(REVOKED).result() for _ in range(5)]
    store.audit.head()
    receipts.append(store.sequencer.durable(REVOKED).result())  # not published yet
    ballast = small_disk / "ballast"
    filled(ballast)
    for _ in range(200):  # room that SQLite had before the disk was full
        try:
            receipts.append(store.sequencer.durable(REVOKED).result())
        except StorageFailed:
            break
    else:
        pytest.fail("the disk never filled")
    store.sequencer.put(*[REVOKED] * 300)
    with pytest.raises(StorageFailed):
        store.audit.head()
    assert store.audit.failing
    ballast.unlink()
    store.sequencer.flush()
    receipts.append(store.sequencer.durable(REVOKED).result())
    store.audit.head()
    assert store.audit.failing is None
    store.close()
    verified(small_disk / "data")
    assert_holds(lines_of(small_disk / "data"), receipts)


REVOKED = ApiKeyRevoked(actor="owner", key="key_1")


def filled(ballast: Path) -> None:
    """Leave no room at all."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


@pytest.fixture
def common_user() -> Iterator[None]:
    """Not root, whom no mode keeps out of anything."""
    if os.geteuid():
        yield
        return
    os.seteuid(_NOBODY)
    yield
    os.seteuid(0)


_NOBODY = 65_534


def test_a_log_whose_folder_becomes_read_only_waits_and_goes_on(common_user: None) -> None:
    del common_user
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        store = Store.open(data)
        store.audit.head()
        (data / "audit").chmod(0o500)
        receipt = store.sequencer.durable(REVOKED).result()
        with pytest.raises(StorageFailed):
            store.audit.head()
        (data / "audit").chmod(0o700)
        store.audit.head()
        assert store.audit.failing is None
        store.close()
        assert_holds(lines_of(data), [receipt])


def test_a_directory_that_cannot_be_written_is_refused_with_a_sentence_and_left_alone(common_user: None) -> None:
    del common_user
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        Store.open(data).close()
        before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
        (data / "lock").unlink()
        before.pop("lock")
        data.chmod(0o500)
        with pytest.raises(StorageFailed, match=r"Permission denied|unable to open"):
            Store.open(data)
        data.chmod(0o700)
        assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before
