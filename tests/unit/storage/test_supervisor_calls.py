"""The ledger of a supervisor's calls: written before they are sent, and counted at their ceiling until they end."""

from pathlib import Path
from typing import Any

import pytest

from policies.vocabulary.erasures import Order
from policies.vocabulary.supervisor_calls import CallEnd, Spent, SupervisorCall
from storage.errors import StorageFailed
from storage.store import Store
from tests.unit.storage.stored import recording

AT_NS = 1_790_000_000_000_000_000
DAY, APP, SESSION = "day:2026-09-21", "app:2026-09-21:a", "session:s"


def call(number: int = 1, **more: Any) -> SupervisorCall:
    given = {
        "call_id": f"C{number}",
        "at_ns": AT_NS + number,
        "seat": "gate",
        "purpose": "word",
        "clauses": ("p/a", "p/b"),
        "app": "a",
        "session_id": "s",
        "exchange_id": "E",
        "model": "m",
        "prompt": "r",
        "ceiling_tokens": 100,
        "ceiling_micro_usd": 1000,
    }
    return SupervisorCall(**(given | more))


DONE = CallEnd(call_id="C1", state="done", answered_by="m-1", input_tokens=30, output_tokens=5, cost_micro_usd=70)


def test_a_call_is_durable_before_it_is_sent_and_a_crash_leaves_it_at_its_ceiling(folder: Path) -> None:
    store = Store.open(folder)
    store.supervisor_calls.begin(call()).result(10)
    store.close()
    again = Store.open(folder)
    (found,) = again.supervisor_calls.list()
    assert (found.call, found.state, found.end) == (call(), "begun", None)
    for account in (DAY, APP, SESSION):
        assert again.supervisor_calls.spent(account) == Spent(tokens=100, micro_usd=1000)
    again.close()


def test_what_a_call_took_takes_the_place_of_its_ceiling(store: Store) -> None:
    store.supervisor_calls.begin(call()).result(10)
    store.supervisor_calls.end(call(), DONE)
    store.sequencer.flush()
    (found,) = store.supervisor_calls.list(session_id="s")
    assert (found.state, found.end) == ("done", DONE)
    assert store.supervisor_calls.spent(DAY) == Spent(tokens=35, micro_usd=70)


def test_what_is_not_known_stays_at_the_ceiling(store: Store) -> None:
    for number in (1, 2):
        store.supervisor_calls.begin(call(number)).result(10)
    store.supervisor_calls.end(call(1), CallEnd(call_id="C1", state="failed", why="timed_out"))
    free = CallEnd(call_id="C2", state="failed", why="overloaded", input_tokens=0, output_tokens=0, cost_micro_usd=0)
    store.supervisor_calls.end(call(2), free)
    store.sequencer.flush()
    assert store.supervisor_calls.spent(SESSION) == Spent(tokens=100, micro_usd=1000)
    assert [each.end.why for each in store.supervisor_calls.list() if each.end] == ["timed_out", "overloaded"]


def test_a_call_is_begun_once(store: Store) -> None:
    store.supervisor_calls.begin(call()).result(10)
    with pytest.raises(StorageFailed):
        store.supervisor_calls.begin(call()).result(10)
    assert store.supervisor_calls.spent(DAY).tokens == 100


def test_a_call_outside_of_a_session_is_on_the_days_and_the_apps_account(store: Store) -> None:
    store.supervisor_calls.begin(call(session_id=None, ceiling_micro_usd=None)).result(10)
    assert store.supervisor_calls.spent(APP) == Spent(tokens=100)
    assert store.supervisor_calls.spent(SESSION) == Spent()


def test_old_calls_go_with_their_accounts(store: Store) -> None:
    store.supervisor_calls.begin(call(1)).result(10)
    store.supervisor_calls.begin(call(2, session_id="t")).result(10)
    store.supervisor_calls.forget(AT_NS + 2)
    assert [each.call.call_id for each in store.supervisor_calls.list()] == ["C2"]
    assert store.supervisor_calls.spent(SESSION) == Spent()
    assert store.supervisor_calls.spent("session:t").tokens == 100


def test_who_erases_a_session_erases_it_from_the_ledger_of_calls_and_not_what_was_spent(store: Store) -> None:
    store.append([recording(1, session="s")])
    for number, session in ((1, "s"), (2, "t")):
        store.supervisor_calls.begin(call(number, session_id=session)).result(10)
    store.erase(Order(scope="session:s", basis="GDPR Art. 17(1)(b)", by="the officer", actor="owner"), AT_NS)
    erased, kept = store.supervisor_calls.list()
    assert (erased.call.session_id, erased.call.exchange_id) == (None, None)
    assert (kept.call.session_id, kept.call.exchange_id) == ("t", "E")
    assert store.supervisor_calls.spent(SESSION) == Spent()
    assert store.supervisor_calls.spent(DAY).tokens == 200
