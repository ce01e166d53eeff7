"""What is on disk stays readable: dictionaries never change, tables are strict, migrations are never edited."""

import shutil
import sqlite3
import subprocess
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from storage.codec import agent_dictionary
from storage.dictionary import samples
from storage.schema import KINDS, Schema
from storage.store import Store

ROOT = Path(__file__).parents[2]
DICTIONARY_1 = "6e54a63862b4143fd3c20b43627fbd7c155a0e1bd99016ad94991f2c97707134"


def test_the_dictionary_of_codec_two_is_the_one_contents_were_made_with() -> None:
    assert sha256(agent_dictionary()).hexdigest() == DICTIONARY_1
    assert len(agent_dictionary()) <= 64 * 1024


def test_dictionary_samples_are_the_same_every_time() -> None:
    assert samples(60) == samples(60)


def test_every_table_of_ours_is_strict(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    store.close()
    for path in (tmp_path / "data").glob("*.db"):
        connection = sqlite3.connect(path)
        loose = [
            name
            for name, strict in connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
            if not strict and not name.startswith(("sqlite_", "_sqlite_"))
        ]
        connection.close()
        assert loose == []


def test_cleaning_up_leaves_the_record_and_its_key_alone(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    kept, built = tmp_path / "stepwarden-data" / "seal.key", tmp_path / "build" / "lib"
    for path in (kept, built):
        path.parent.mkdir()
        path.touch()
    subprocess.run([make, "-f", str(ROOT / "Makefile"), "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert (kept.exists(), built.exists()) == (True, False)


def test_migrations_are_numbered_without_gaps_and_belong_to_a_kind() -> None:
    known = {name for kind in KINDS for name in Schema.shipped(kind).names}
    shipped = {entry.name.removesuffix(".sql") for entry in files("storage").joinpath("migrations").iterdir()}
    assert shipped == known
    for kind in KINDS:
        names = Schema.shipped(kind).names
        assert names == tuple(f"{kind}_{number:04d}" for number in range(1, len(names) + 1))
