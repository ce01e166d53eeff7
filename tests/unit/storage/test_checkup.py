"""What is wrong with a directory's files is said, each by its name, before a gateway starts and when it does."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from policies.errors import StepwardenError
from storage.checkup import ailments
from storage.errors import FileDamaged, KeysLost, LedgerLost
from storage.store import Store
from tests.unit.storage.stored import agent_session

Harm: TypeAlias = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "data"
    store = Store.open(folder)
    store.append(agent_session(seed=3, turns=4))
    store.audit.head()
    store.close()
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


HARMS: Final[dict[str, tuple[Harm, str]]] = {
    "a day file cut short": (lambda folder: halved(next(folder.glob("spans-*.db"))), "spans-20251123.db is damaged"),
    "a month's file cut short": (lambda folder: halved(folder / "content-202511.db"), "content-202511.db is damaged"),
    "a day file that is none": (lambda folder: (folder / "spans-x.db").write_bytes(b"x" * 99), "spans-x.db is damaged"),
    "meta.db cut short": (lambda folder: halved(folder / "meta.db"), "meta.db is damaged"),
    "ledger.db cut short": (lambda folder: halved(folder / "ledger.db"), "ledger.db is damaged"),
    "no ledger.db": (lambda folder: (folder / "ledger.db").unlink(), "ledger.db is missing or empty"),
    "an empty ledger.db": (lambda folder: (folder / "ledger.db").write_bytes(b""), "ledger.db is missing or empty"),
    "no keys.db": (lambda folder: (folder / "keys.db").unlink(), "keys.db is missing or empty"),
    "a short seal.key": (lambda folder: halved(folder / "seal.key"), "seal.key holds 16 bytes"),
    "an empty checkpoint": (lambda folder: (folder / "audit/checkpoint").write_bytes(b""), "`checkpoint` cannot be"),
    "no checkpoint": (lambda folder: (folder / "audit/checkpoint").unlink(), "`checkpoint` is missing"),
    "no tiles": (lambda folder: shutil.rmtree(folder / "audit/tile"), "is missing"),
    "no audit.key": (lambda folder: (folder / "audit.key").unlink(), "was signed by another key"),
    "an audit.key that is none": (lambda folder: (folder / "audit.key").write_bytes(b"x"), "holds no signing key"),
}
STARTS: Final = frozenset(
    {"an empty checkpoint", "no checkpoint", "no tiles", "no audit.key", "an audit.key that is none"}
)
"""Harms with which a gateway starts: what it records waits to be published, and is not lost."""


def test_a_directory_that_was_closed_well_has_nothing_wrong_and_is_left_alone(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert list(ailments(whole)) == []
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


@pytest.mark.parametrize("name", HARMS)
def test_what_is_wrong_is_said_once_with_its_file_and_what_to_do(copy: Path, name: str) -> None:
    harm, said = HARMS[name]
    harm(copy)
    (found,) = ailments(copy)
    assert said in str(found)
    assert found.remedy()


@pytest.mark.parametrize("name", sorted(HARMS.keys() - STARTS))
def test_a_store_that_does_not_open_says_which_file_it_is(copy: Path, name: str) -> None:
    harm, said = HARMS[name]
    harm(copy)
    with pytest.raises(StepwardenError) as raised:
        Store.open(copy)
    assert said in str(raised.value)
    assert "resumes by itself" not in raised.value.remedy()


def test_entries_that_left_the_ledger_are_missed_where_the_log_is_gone(copy: Path) -> None:
    store = Store.open(copy)
    store.ledger.release(store.audit.size)
    store.close()
    shutil.rmtree(copy / "audit")
    (found,) = ailments(copy)
    assert "published are nowhere else" in str(found)


def test_each_error_names_what_is_lost(tmp_path: Path) -> None:
    for error in (
        *(FileDamaged(tmp_path / f"{kind}.db") for kind in ("spans-1", "content-1", "meta", "keys", "ledger", "other")),
        LedgerLost(tmp_path),
        KeysLost(tmp_path),
    ):
        assert error.remedy()
