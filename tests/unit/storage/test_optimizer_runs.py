"""Runs of optimizers that ask a model: what they were told stands sealed until they are over, and no longer."""

from pathlib import Path

from sqlite_utils import Database

from policies.vocabulary.erasures import Order
from storage.optimizer_runs import Told
from storage.schema import Schema
from storage.store import Store
from tests.unit.storage.stored import recording
from tests.unit.storage.test_supervisor_calls import AT_NS, call

QUESTION, ANSWER = "quoted: the quick brown fox", Told(text="never say fox", input_tokens=3, output_tokens=2)


def test_a_run_goes_on_about_the_same_and_begins_anew_about_anything_else(folder: Path) -> None:
    store = Store.open(folder)
    first = store.optimizer_runs.begin("a", "subject", since=7)
    assert not first.resumed
    store.optimizer_runs.tell("a", QUESTION, ANSWER)
    store.close()
    store = Store.open(folder)
    again = store.optimizer_runs.begin("a", "subject", since=9)
    assert (again.resumed, again.secret, again.since) == (True, first.secret, 7)
    assert store.optimizer_runs.told("a", QUESTION) == ANSWER
    assert store.optimizer_runs.told("b", QUESTION) is None
    other = store.optimizer_runs.begin("a", "another", since=9)
    assert (other.resumed, other.since) == (False, 9)
    assert other.secret != first.secret
    assert store.optimizer_runs.told("a", QUESTION) is None
    store.close()


def test_neither_question_nor_answer_stands_in_the_file(folder: Path, store: Store) -> None:
    store.optimizer_runs.begin("a", "subject", since=0)
    store.optimizer_runs.tell("a", QUESTION, ANSWER)
    store.close()
    for file in folder.glob("ledger.db*"):
        assert b"fox" not in file.read_bytes()


def test_the_first_session_that_is_erased_takes_what_was_told_with_it(store: Store) -> None:
    store.append([recording(1, session="s")])
    run = store.optimizer_runs.begin("a", "subject", since=0)
    store.optimizer_runs.tell("a", QUESTION, ANSWER)
    store.erase(Order(scope="session:s", basis="GDPR Art. 17(1)(b)", by="the officer", actor="owner"), AT_NS)
    store.optimizer_runs.tell("a", QUESTION, ANSWER)  # by the run that was under way
    assert store.optimizer_runs.told("a", QUESTION) is None
    assert store.optimizer_runs.begin("a", "subject", since=0).secret != run.secret


def test_a_ledger_of_an_older_version_keeps_its_calls_and_takes_those_of_optimizers(folder: Path) -> None:
    shipped = Schema.shipped("ledger")
    older = {name: _script(name) for name in shipped.names if name < "ledger_0015"}
    Store.open(folder).close()  # for the keys of the directory; its ledger is an older one
    for file in folder.glob("ledger.db*"):
        file.unlink()
    db = Database(folder / "ledger.db")
    Schema("ledger", older).apply(db, folder / "ledger.db")
    old = {
        "call_id": "OLD", "at_ns": AT_NS, "seat": "gate", "purpose": "word", "clauses": "[]", "app": "a", "model": "m",
        "prompt": "r", "ceiling_tokens": 5, "state": "begun",
    }  # fmt: skip
    db["supervisor_call"].insert(old)
    db.conn.commit()
    db.close()
    (folder / "ledger.db").chmod(0o600)
    store = Store.open(folder)
    store.supervisor_calls.begin(call(seat="optimizer", purpose="optimization"))
    store.sequencer.flush()
    assert [each.call.seat for each in store.supervisor_calls.list()] == ["gate", "optimizer"]
    assert store.revisions.list() == []
    store.close()


def _script(name: str) -> str:
    from importlib.resources import files  # noqa: PLC0415

    return files("storage").joinpath("migrations", f"{name}.sql").read_text(encoding="utf-8")
