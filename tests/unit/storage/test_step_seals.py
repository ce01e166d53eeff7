"""Every row of the record is sealed once, and what the log sealed is derived again from the day files alone."""

import json
import shutil
import sqlite3
import tempfile
import time
from base64 import b64decode
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.ids import new_id
from policies.vocabulary.audit import ApiKeyRevoked, RequestAccepted, commitment
from policies.vocabulary.erasures import Order
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.usage import Usage
from policies.vocabulary.verdicts import Verdict
from storage import erased
from storage.audit.archive import Folder
from storage.audit.checkpoint import read_checkpoint
from storage.audit.findings import Flaws
from storage.audit.merkle import leaf_hash, verify_inclusion
from storage.audit.note import read_note
from storage.legal_holds import HoldChange
from storage.seal_check import SealsChecked, check_seals
from storage.spans import EXCHANGE_COLUMNS
from storage.store import Store
from tests.fakes.audit import entries_of, quiet, verified
from tests.fakes.ledger import failing, whatever_writes
from tests.unit.storage.stored import START_NS, agent_session, recording

DAY_NS = 86_400_000_000_000


def blinded(one: Recording, blind: bytes = b"b" * 16, **facts: Any) -> Recording:
    return msgspec.structs.replace(one, exchange=msgspec.structs.replace(one.exchange, blind=blind, **facts))


def written(folder: Path, *batches: Sequence[Recording]) -> None:
    store = Store.open(folder)
    for batch in batches:
        store.append(batch)
    store.sequencer.flush()
    store.publisher.publish()
    store.close()


def sealed(folder: Path) -> list[dict[str, Any]]:
    return [entry for entry in entries_of(folder) if entry["type"] == "step.recorded"]


def found_wrong(folder: Path) -> tuple[list[str], SealsChecked | None]:
    files = Folder(folder / "audit")
    size = read_checkpoint(read_note(files.read("checkpoint", 1 << 16)).text).size
    flaws = Flaws()
    checked = check_seals(folder, files, size, flaws, quiet)
    return [flaw.what for flaw in flaws.found], checked


def changed(folder: Path, query: str) -> None:
    """Edit the day file as somebody with a shell would."""
    for path in folder.glob("spans-*.db"):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(query)
            connection.commit()


def test_each_batch_is_one_leaf_and_holds_against_the_day_files(folder: Path) -> None:
    made = [blinded(one) for one in agent_session(seed=1, turns=12)]
    written(folder, made[:5], made[5:6], made[6:])
    batches = sealed(folder)
    assert [batch["rows"] for batch in batches] == [[1, 5], [6, 6], [7, 12]]
    assert [batch["count"] for batch in batches] == [5 * 4, 4, 6 * 4]
    assert batches[0]["first"] == made[0].exchange.exchange_id
    assert batches[-1]["last"] == made[-1].exchange.exchange_id
    assert verified(folder) == SealsChecked(batches=3, expired=0, exchanges=12, unsealed=0)


def test_a_batch_over_midnight_is_sealed_in_the_order_of_recording(folder: Path) -> None:
    days = [START_NS, START_NS + DAY_NS, START_NS, START_NS + DAY_NS]
    written(folder, [recording(number, at_ns=at + number) for number, at in enumerate(days)])
    assert len(list(folder.glob("spans-*.db"))) == 2
    assert sealed(folder)[0]["rows"] == [1, 4]
    store = Store.open(folder)
    assert [row["id"] for row in store.sealed_rows((1, 4))] == [1, 2, 3, 4]
    store.close()
    verified(folder)


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE exchange SET outcome = 'refused' WHERE id = 2",
        "UPDATE exchange SET ended_after = ended_after + 1 WHERE id = 2",
        "UPDATE exchange SET cost_micro_usd = NULL WHERE id = 2",
        "UPDATE exchange SET response_sha256 = zeroblob(32) WHERE id = 2",
        "UPDATE exchange SET steps = NULL WHERE id = 2",
        "UPDATE exchange SET judged = x'00' WHERE id = 2",
        "UPDATE common SET verdict = 'flag'",
        "UPDATE branch SET agent_name = 'other'",
        "DELETE FROM exchange WHERE id = 2",
        "DELETE FROM exchange",
        "UPDATE exchange SET id = CASE id WHEN 2 THEN 90 WHEN 3 THEN 2 ELSE id END WHERE id IN (2, 3)",
    ],
)
def test_a_record_that_was_edited_is_found(folder: Path, query: str) -> None:
    written(folder, [recording(number) for number in range(4)])
    changed(folder, query)
    wrong, _ = found_wrong(folder)
    assert wrong


def test_a_row_that_nothing_seals_is_remarked_on(folder: Path) -> None:
    written(folder, [recording(0)], [recording(1)])
    changed(folder, "INSERT INTO exchange SELECT 3, 'E9', " + ", ".join(copied(folder)) + " FROM exchange WHERE id = 2")
    wrong, checked = found_wrong(folder)
    assert checked is not None
    assert (wrong, checked.unsealed) == ([], 1)


def copied(folder: Path) -> list[str]:
    """Columns of an exchange but its keys."""
    with closing(sqlite3.connect(next(folder.glob("spans-*.db")))) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(exchange)")][2:]


def test_verifying_changes_nothing_beside_the_record(folder: Path) -> None:
    written(folder, [recording(number) for number in range(4)])
    before = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}
    verified(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
COUNT = st.none() | st.integers(0, 2**40)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "key_id": st.none() | TEXT,
        "error_type": st.none() | TEXT,
        "stream": st.booleans(),
        "status": COUNT,
        "first_byte_ns": st.none() | st.just(START_NS),
        "cost_micro_usd": COUNT,
        "parent_span_id": st.none() | st.binary(min_size=8, max_size=8),
        "temperature": st.none() | st.floats(0, 2),
        "tags": st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
        "usage": st.builds(Usage, input_tokens=COUNT, output_tokens=COUNT, reasoning_tokens=COUNT),
        "blind": st.binary(min_size=16, max_size=16),
    },
)


ONE = st.tuples(ODD, st.none() | TEXT, st.none() | st.binary(min_size=16, max_size=16), st.booleans())


@settings(max_examples=3, deadline=None, phases=[Phase.generate])  # each is a store on disk
@given(st.lists(ONE, min_size=10))
def test_whatever_is_written_is_sealed_as_its_file_has_it(odd: list[tuple[Any, ...]]) -> None:
    made = [recording(at, session=session, state=state, **facts) for at, (facts, session, state, _) in enumerate(odd)]
    named = [renamed(one, f"E{at}") if odd[at][3] else one for at, one in enumerate(made)]
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder) / "data", named)
        expected = SealsChecked(batches=1, expired=0, exchanges=len(made), unsealed=0)
        assert verified(Path(folder) / "data") == expected


def renamed(one: Recording, exchange_id: str) -> Recording:
    """The same under an id that is no ULID."""
    return msgspec.structs.replace(one, exchange=msgspec.structs.replace(one.exchange, exchange_id=exchange_id))


def test_what_a_crash_left_unsealed_is_sealed_at_the_next_start(folder: Path) -> None:
    store = Store.open(folder)
    store.append([recording(0)])
    store.sequencer.flush()
    with failing(store.ledger, whatever_writes):
        store.append([blinded(recording(1)), recording(2)])
        shutil.copytree(folder, killed := folder.parent / "killed", ignore=shutil.ignore_patterns("lock"))
    store.close()
    written(killed, [recording(3)])
    assert [(batch["rows"], batch.get("late", False)) for batch in sealed(killed)] == [
        ([1, 1], False),
        ([2, 3], True),
        ([4, 4], False),
    ]
    ended = [entry["exchange"] for entry in entries_of(killed) if entry["type"] == "request.completed"]
    assert ended == [recording(number).exchange.exchange_id for number in range(4)]
    verified(killed)


def test_rows_a_power_loss_took_are_told_of_and_their_numbers_never_come_again(folder: Path) -> None:
    written(folder, [recording(0)])
    shutil.copytree(folder, earlier := folder.parent / "earlier")
    written(folder, [recording(1), recording(2)])
    for name in ("meta.db", *(path.name for path in folder.glob("spans-*.db"))):
        shutil.copy(earlier / name, folder / name)  # what was not synced is gone; the ledger was
    written(folder, [recording(3)])
    dropped = [entry for entry in entries_of(folder) if entry["type"] == "ingest.dropped"]
    assert [(entry["exchanges"], entry["rows"]) for entry in dropped] == [(2, [2, 3])]
    assert sealed(folder)[-1]["rows"] == [4, 4]
    assert verified(folder) == SealsChecked(batches=2, expired=1, exchanges=2, unsealed=0)


def test_a_directory_older_than_its_log_begins_with_what_comes(folder: Path) -> None:
    written(folder, [recording(0)])
    for name in ("ledger.db", "audit.key"):
        (folder / name).unlink()
    shutil.rmtree(folder / "audit")
    written(folder, [recording(1)])
    assert [batch["rows"] for batch in sealed(folder)] == [[2, 2]]
    verified(folder)


def test_retention_is_in_the_log_before_it_is_applied_and_explains_what_is_gone(folder: Path) -> None:
    store = Store.open(folder, retention_days=10)
    later = START_NS + 5 * DAY_NS
    store.append([recording(0, exchange_id=new_id(START_NS))])
    store.append([recording(1, at_ns=later, exchange_id=new_id(later))])
    with failing(store.ledger, whatever_writes), pytest.raises(Exception, match="ledger"):
        store.drop_expired(START_NS + 12 * DAY_NS)
    assert (folder / "spans-20251123.db").exists()
    assert store.drop_expired(START_NS + 12 * DAY_NS) == ["spans-20251123.db"]
    store.sequencer.flush()
    store.publisher.publish()
    store.close()
    applied = [entry for entry in entries_of(folder) if entry["type"] == "retention.applied"]
    assert [(entry["before"], entry["files"]) for entry in applied] == [("20251125", ["spans-20251123.db"])]
    assert verified(folder) == SealsChecked(batches=1, expired=1, exchanges=1, unsealed=0)
    changed(folder, "DELETE FROM exchange")  # the log tells of the other day only
    assert found_wrong(folder)[0]


def at(number: int, at_ns: int, session: str = "S1") -> Recording:
    """An exchange whose id says when it began, as a gateway's does."""
    return blinded(recording(number, session=session, at_ns=at_ns, exchange_id=new_id(at_ns)))


def after_midnight() -> list[Recording]:
    """A batch of the first minute of a day, with one exchange in it that began the day before."""
    midnight = START_NS // DAY_NS * DAY_NS + DAY_NS
    return [at(1, midnight + 10**9), at(2, midnight - 10**9), at(3, midnight + 2 * 10**9)]


def without_the_first_day(folder: Path, batch: Sequence[Recording]) -> None:
    store = Store.open(folder, retention_days=10)
    store.append(batch)
    store.sequencer.flush()
    assert store.drop_expired(START_NS // DAY_NS * DAY_NS + 11 * DAY_NS) == ["spans-20251123.db"]
    store.audit.head()
    store.close()


def test_a_day_that_is_over_explains_its_own_exchange_amid_a_batch_of_the_next(folder: Path) -> None:
    without_the_first_day(folder, after_midnight())
    assert verified(folder) == SealsChecked(batches=0, expired=1, exchanges=0, unsealed=0)


def test_no_proof_is_given_that_leads_to_no_root(folder: Path) -> None:
    batch = after_midnight()
    without_the_first_day(folder, batch)
    store = Store.open(folder, retention_days=10)
    kept = batch[0].exchange
    found = store.audit.recorded(kept.exchange_id, kept.ended_ns)
    assert found.records == ()
    assert b'"step.recorded"' in store.audit.entry(found.entry)
    store.close()


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE exchange SET outcome = 'refused' WHERE id = 1",
        "UPDATE exchange SET outcome = 'refused' WHERE id = 3",
        "DELETE FROM exchange WHERE id = 3",
    ],
)
def test_what_is_left_of_a_batch_is_held_against_its_marks(folder: Path, query: str) -> None:
    without_the_first_day(folder, after_midnight())
    changed(folder, query)
    assert found_wrong(folder)[0]


@pytest.mark.parametrize(
    "query", ["UPDATE exchange SET outcome = 'refused'", "DELETE FROM exchange", "DELETE FROM erased"]
)
def test_a_record_kept_under_legal_hold_is_not_edited_unseen_once_its_day_is_over(folder: Path, query: str) -> None:
    store = Store.open(folder, retention_days=10)
    store.append([at(1, START_NS, "kept"), at(2, START_NS + 10**9, "other")])
    store.sequencer.flush()
    store.legal_holds.set("kept", HoldChange(app="shop", by="counsel", reason="case 12", actor="owner"), START_NS)
    assert store.drop_expired(START_NS + 11 * DAY_NS) == ["spans-20251123.db"]
    store.audit.head()
    store.close()
    verified(folder)
    (applied,) = [entry for entry in entries_of(folder) if entry["type"] == "retention.applied"]
    assert applied["stripped"] == ["spans-20251123.db"]
    changed(folder, query)
    assert found_wrong(folder)[0]


@pytest.mark.parametrize(("erasure", "said"), [(0, "no entry says that its day was over"), (1, "the log tells of 0")])
def test_an_exchange_is_not_taken_out_as_if_it_were_erased(folder: Path, erasure: int, said: str) -> None:
    written(folder, [at(number, START_NS + number) for number in range(3)])
    with closing(sqlite3.connect(next(folder.glob("spans-*.db")))) as day:
        day.row_factory = sqlite3.Row
        (rows,) = erased.chunks(day, [2])
        erased.bury(day, rows, erasure)
        day.commit()
    (wrong,) = found_wrong(folder)[0]
    assert said in wrong


def test_more_exchanges_than_the_log_tells_of_are_not_taken_out(folder: Path) -> None:
    store = Store.open(folder)
    store.append([at(1, START_NS, "kept"), at(2, START_NS + 1, "gone")])
    store.erase(Order(scope="session:gone", basis="asked", by="Ada", actor="owner"), 1)
    store.audit.head()
    store.close()
    verified(folder)
    with closing(sqlite3.connect(next(folder.glob("spans-*.db")))) as day:
        day.row_factory = sqlite3.Row
        (rows,) = erased.chunks(day, [1])
        erased.bury(day, rows, 1)
        day.commit()
    (wrong,) = found_wrong(folder)[0]
    assert wrong == "2 exchanges sealed from here on are erased, and the log tells of 1"


@pytest.mark.parametrize("number", [0, -7])
def test_an_exchange_that_is_added_before_all_others_is_found(folder: Path, number: int) -> None:
    written(folder, [at(number, START_NS + number) for number in range(3)])
    added = {"id": str(number), "exchange_id": "x'00112233445566778899aabbccddeeff'"}
    values = ", ".join(added.get(name, name) for name in EXCHANGE_COLUMNS)
    names = ", ".join(EXCHANGE_COLUMNS)
    changed(folder, f"INSERT INTO exchange ({names}) SELECT {values} FROM exchange WHERE id = 2")
    (wrong,) = found_wrong(folder)[0]
    assert wrong.endswith("was added: it is under no seal")


def test_a_record_whose_day_files_are_all_gone_is_missed(folder: Path, tmp_path: Path) -> None:
    written(folder, [at(1, START_NS)])
    for path in folder.glob("spans-*"):
        path.unlink()
    (wrong,) = found_wrong(folder)[0]
    assert wrong.endswith("is missing")
    shutil.copytree(folder / "audit", tmp_path / "copy" / "audit")
    assert found_wrong(tmp_path / "copy") == ([], None)  # a log alone says nothing of a record that is elsewhere


def test_a_log_that_grew_since_it_was_verified_still_tells_of_its_record(folder: Path) -> None:
    store = Store.open(folder)
    store.append([at(1, START_NS)])
    store.audit.head()
    size = store.audit.size
    store.audit.note(*[ApiKeyRevoked(actor="owner", key="k")] * 300)
    store.audit.head()
    store.close()
    flaws = Flaws()
    checked = check_seals(folder, Folder(folder / "audit"), size, flaws, quiet)
    assert not flaws.found
    assert checked is not None
    assert checked.batches == 1


def test_what_went_since_the_head_that_is_verified_is_no_flaw(folder: Path) -> None:
    store = Store.open(folder, retention_days=10)
    store.append([at(1, START_NS)])
    store.append([at(2, START_NS + 5 * DAY_NS, "gone")])
    store.audit.head()
    store.drop_expired(START_NS + 12 * DAY_NS)
    store.erase(Order(scope="session:gone", basis="asked", by="Ada", actor="owner"), 1)
    wrong, checked = found_wrong(folder)  # as it is found while it runs
    assert (wrong, checked) == ([], SealsChecked(batches=1, expired=1, exchanges=1, unsealed=0, on_trust=True))
    size = store.audit.size
    store.audit.note(*[ApiKeyRevoked(actor="owner", key="k")] * 300)
    store.audit.head()
    assert store.ledger.first_kept > 0  # what explains it has left the ledger
    flaws = Flaws()
    assert check_seals(folder, Folder(folder / "audit"), size - 2, flaws, quiet) == checked
    assert not flaws.found
    store.close()
    assert verified(folder) == SealsChecked(batches=1, expired=1, exchanges=1, unsealed=0)


def test_a_day_file_that_is_written_to_while_it_is_read_is_read_again(folder: Path) -> None:
    written(folder, [at(number, START_NS + number, f"S{number}") for number in range(40)])
    store = Store.open(folder)
    erasing = iter(range(40))

    def meanwhile(done: int, total: int) -> None:
        del done, total
        for number in list(erasing)[:20]:
            store.erase(Order(scope=f"session:S{number}", basis="asked", by="Ada", actor="owner"), 1)

    files = Folder(folder / "audit")
    size = read_checkpoint(read_note(files.read("checkpoint", 1 << 16)).text).size
    flaws = Flaws()
    checked = check_seals(folder, files, size, flaws, meanwhile)
    assert not flaws.found
    assert checked == SealsChecked(batches=1, expired=0, exchanges=40, unsealed=0, on_trust=True)
    store.close()


def test_one_exchange_is_proven_without_the_others(folder: Path) -> None:
    made = agent_session(seed=2, turns=5)
    store = Store.open(folder)
    store.append(made)
    store.sequencer.flush()
    one = made[3].exchange
    found = store.audit.recorded(one.exchange_id, one.ended_ns)
    entry = json.loads(store.audit.entry(found.entry))
    assert len(found.records) == 1 + len(made[3].steps)
    for record in found.records:
        root = b64decode(entry["root"])
        verify_inclusion(leaf_hash(record.record), record.index, found.count, record.hashes, root)
    assert json.loads(found.records[0].record)["outcome"] == "complete"
    store.close()


def test_commitments_hold_under_the_blind_in_the_row_and_under_no_other(folder: Path) -> None:
    one, other = blinded(recording(0)), blinded(recording(1), b"o" * 16)
    written(folder, [one, other])
    ended = [entry for entry in entries_of(folder) if entry["type"] == "request.completed"]
    store = Store.open(folder)
    body = store.body(one.exchange.exchange_id, "request")
    assert body is not None
    kept = store.exchange(one.exchange.exchange_id)
    assert kept is not None
    assert ended[0]["request"] == commitment(kept.blind, body.sha256)
    assert ended[0]["request"] != ended[1]["request"]
    assert one.request == other.request
    store.close()


def test_a_judged_exchange_says_what_was_done_and_under_which_clauses(folder: Path) -> None:
    rejects = Verdict(name="reject", reason="sensitive_data", clauses=("house/a", "house/b"))
    redacts = Verdict(name="redact", reason="sensitive_data", clauses=("house/c",))
    steps = (StepJudgement(seq=0, verdict=redacts), StepJudgement(seq=2, verdict=rejects))
    judged = Judged(ruleset="r1", verdict=rejects, steps=steps, forwarded_sha256=b"f" * 32)
    one = msgspec.structs.replace(blinded(recording(0), verdict="reject"), judged=judged)
    written(folder, [one])
    told = {entry["type"]: entry for entry in entries_of(folder)}
    assert (told["guard.decision"]["verdict"], told["guard.decision"]["policy"]) == ("reject", "r1")
    assert (told["action.blocked"]["steps"], told["action.blocked"]["clauses"]) == ([2], ["house/a", "house/b"])
    assert (told["action.modified"]["steps"], told["action.modified"]["clauses"]) == ([0], ["house/c"])
    assert told["request.completed"]["forwarded"] == commitment(b"b" * 16, b"f" * 32)
    assert told["request.completed"]["trace"] == one.exchange.join.trace_id.hex()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [("complete", "request.completed"), ("client_aborted", "stream.aborted"), ("truncated", "request.failed")],
)
def test_how_an_exchange_ended_names_its_entry(folder: Path, outcome: str, kind: str) -> None:
    written(folder, [recording(0, outcome=outcome)])
    assert [entry["outcome"] for entry in entries_of(folder) if entry["type"] == kind] == [outcome]


def test_an_exchange_is_found_in_the_log_by_its_id_wherever_its_entry_is(folder: Path) -> None:
    store = Store.open(folder)
    entries = [
        RequestAccepted(actor="owner", tenant="a", exchange=f"E{number}", provider="p", operation="chat")
        for number in range(700)
    ]
    receipts = store.ledger.write([], entries=entries[:600])
    store.publisher.publish()
    receipts += store.ledger.write([], entries=entries[600:])
    assert store.ledger.first_kept == 512
    for number in (0, 300, 511, 512, 699):
        for at_ns in (1, time.time_ns(), time.time_ns() + 30 * DAY_NS):  # clocks jump
            assert store.audit.accepted(f"E{number}", at_ns) == receipts[number].index
    with pytest.raises(Exception, match="E700"):
        store.audit.accepted("E700", 1)
    store.close()
