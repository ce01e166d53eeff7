"""The tamper matrix, field by field: whatever is changed in a row of the record or in an entry, verifying finds it."""

import json
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from policies.vocabulary.erasures import Order
from policies.vocabulary.findings import Evidence, Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.verdicts import Verdict
from storage import spans
from storage.audit.archive import Folder
from storage.audit.errors import LogTooNew
from storage.audit.tiles import framed, unbundled
from storage.audit.verify import verify
from storage.store import Store
from storage.ulids import unpack
from tests.fakes.audit import entries_of, quiet, verified
from tests.unit.storage.stored import agent_session, recording
from tests.unit.storage.test_step_seals import blinded, found_wrong

COLUMNS: Final = [
    *[("exchange", name) for name in spans.EXCHANGE_COLUMNS],
    *[("common", name) for name in spans.COMMON_COLUMNS],
    *[("branch", name) for name in spans.BRANCH_COLUMNS],
]
NUMBER: Final = 3
"""The exchange that is tampered with: it has steps, and a judgement."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of two batches, all of it sealed, whose log holds entries of many types."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    store = Store.open(folder)
    rejects = Verdict(name="reject", reason="sensitive_data", clauses=("house/a",))
    finding = Finding(
        clause="house/a",
        guard="secrets.0",
        score=90,
        state="violation",
        evidence=(Evidence(start=0, end=4, label="x"),),
    )
    judged = Judged(ruleset="r1", verdict=rejects, steps=(StepJudgement(seq=1, verdict=rejects, findings=(finding,)),))
    made = [blinded(one) for one in agent_session(seed=7, turns=6)]
    made[NUMBER - 1] = msgspec.structs.replace(made[NUMBER - 1], judged=judged)
    store.append(made[:4])
    store.append(made[4:])
    store.append([blinded(recording(90, session="S9"))])
    store.sequencer.flush()
    store.erase(Order(scope="session:S9", basis="asked", by="Ada", actor="owner"), 1)
    store.sequencer.flush()
    store.publisher.publish()
    store.close()
    verified(folder)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


def day_of(folder: Path) -> Path:
    return next(folder.glob("spans-*.db"))


def other(value: Any, kind: str) -> list[Any]:
    """Values that are not this one, of its column's type where it has one."""
    if isinstance(value, bytes) and value:
        return [bytes([value[0] ^ 1]) + value[1:], value[:-1] + bytes([value[-1] ^ 1]), value[:-1], value + b"\0"]
    if isinstance(value, str):
        return [f"{value}x", value[:-1] or "y"]
    if isinstance(value, int):
        return [value + 1000, -value - 1]
    if isinstance(value, float):
        return [value + 1]
    return [{"INTEGER": 7, "REAL": 0.5, "BLOB": b"\x01"}.get(kind, "x")]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_no_column_of_a_row_is_changed_unseen(copy: Path, table: str, column: str) -> None:
    day = day_of(copy)
    where = {"exchange": "id", "common": "common", "branch": "branch"}[table]
    with closing(sqlite3.connect(day)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        (row,) = connection.execute(f"SELECT {where} FROM exchange WHERE id = ?", (NUMBER,)).fetchone()
        kinds = {each[1]: each[2] for each in connection.execute(f"PRAGMA table_info({table})")}
        (value,) = connection.execute(f"SELECT {column} FROM {table} WHERE id = ?", (row,)).fetchone()
    pristine = day.read_bytes()
    for changed in [*other(value, kinds[column]), *([] if value is None else [None])]:
        with closing(sqlite3.connect(day)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (changed, row))
            except sqlite3.IntegrityError:
                continue  # no such value can stand there
            connection.commit()
        assert found_wrong(copy)[0], (table, column, changed)
        day.write_bytes(pristine)


def packed(folder: Path, column: str) -> Any:
    with closing(sqlite3.connect(day_of(folder))) as connection:
        query = f"SELECT {column} FROM exchange WHERE id = ?"
        raw = connection.execute(query, (NUMBER,)).fetchone()[0]
    return msgspec.msgpack.decode(zlib.decompress(raw) if column == "judged" else raw)


def encoded(value: Any, column: str) -> bytes:
    raw = msgspec.msgpack.encode(value)
    return zlib.compress(raw, 1) if column == "judged" else raw


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = put(value[path[0]], path[1:], new)
    return copied


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        yield path, value
        return
    for key, inner in inside:
        yield from leaves(inner, (*path, key))


def test_what_was_changed_is_named_down_to_the_step(copy: Path) -> None:
    day, steps = day_of(copy), packed(copy, "steps")
    pristine = day.read_bytes()
    with closing(sqlite3.connect(day)) as connection:
        found = connection.execute("SELECT exchange_id FROM exchange WHERE id = ?", (NUMBER,)).fetchone()[0]
    name = unpack(found)

    def told(query: str, *values: Any) -> str:
        with closing(sqlite3.connect(day)) as connection:
            connection.execute(query, values)
            connection.commit()
        (wrong,) = found_wrong(copy)[0]
        day.write_bytes(pristine)
        return wrong

    edit = "UPDATE exchange SET steps = ? WHERE id = ?"
    for at in range(len(steps)):
        path, value = next(leaf for leaf in leaves(steps[at]) if isinstance(leaf[1], int | str | bytes))
        new = msgspec.msgpack.encode(put(steps, (at, *path), other(value, "")[0]))
        assert told(edit, new, NUMBER).endswith(f": step {at} of exchange {name} is not what was sealed")
    assert told("UPDATE exchange SET outcome = 'x' WHERE id = ?", NUMBER).endswith(
        f": exchange {name} is not what was sealed"
    )
    assert told(edit, b"\xc1", NUMBER).endswith(f": the record of exchange {name} cannot be read")
    assert told("DELETE FROM exchange WHERE id = ?", 4).endswith(": records are missing at its end")


@pytest.mark.parametrize("column", ["steps", "judged"])
def test_no_field_of_a_step_or_of_its_judgement_is_changed_unseen(copy: Path, column: str) -> None:
    day, value = day_of(copy), packed(copy, column)
    pristine = day.read_bytes()
    fields = list(leaves(value))
    assert len(fields) > 10
    for path, found in fields:
        new = put(value, path, other(found, "")[0])
        with closing(sqlite3.connect(day)) as connection:
            query = f"UPDATE exchange SET {column} = ? WHERE id = ?"
            connection.execute(query, (encoded(new, column), NUMBER))
            connection.commit()
        assert found_wrong(copy)[0], (column, path)
        day.write_bytes(pristine)


def test_no_field_of_an_entry_is_changed_unseen(copy: Path) -> None:
    """Of each type of entry each field, its name and its number included."""
    audit = copy / "audit"
    bundle = max(audit.glob("tile/entries/**/[0-9]*"), key=lambda path: path.is_file())
    pristine = bundle.read_bytes()
    lines = unbundled(pristine)
    firsts = {entry["type"]: at for at, entry in reversed(list(enumerate(entries_of(copy))))}
    assert len(firsts) > 5
    for at in firsts.values():
        entry = json.loads(lines[at])
        tampered = [put(entry, path, other(found, "")[0]) for path, found in leaves(entry)]
        tampered += [{key: inner for key, inner in entry.items() if key != gone} for gone in entry]
        for new in tampered:
            line = json.dumps(new, separators=(",", ":"), ensure_ascii=False).encode()
            bundle.write_bytes(b"".join(map(framed, [*lines[:at], line, *lines[at + 1 :]])))
            try:
                report = verify(Folder(audit), None, progress=quiet)
            except LogTooNew:  # a version to come is no finding: it is not read at all
                continue
            assert not report.holds, (entry["type"], new)
    bundle.write_bytes(pristine)
    assert verify(Folder(audit), None, progress=quiet).holds


def test_no_line_of_a_head_or_of_a_key_file_is_changed_unseen(copy: Path) -> None:
    audit = copy / "audit"
    for name in ("checkpoint", "vkeys.txt"):
        pristine = (audit / name).read_bytes()
        lines = pristine.split(b"\n")
        for at, line in enumerate(lines):
            for new in (line[:-1], line + b"x", line.swapcase()):
                if new == line:
                    continue
                (audit / name).write_bytes(b"\n".join([*lines[:at], new, *lines[at + 1 :]]))
                assert not verify(Folder(audit), None, progress=quiet).holds, (name, new)
        (audit / name).write_bytes(pristine)
