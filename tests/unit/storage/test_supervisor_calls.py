"""The ledger of a supervisor's calls: written before they are sent, and counted at their ceiling until they end."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.vocabulary.erasures import Order
from policies.vocabulary.supervisor_calls import CallEnd, Spent, SupervisorCall
from storage import call_intents
from storage.call_intents import FILE, CallIntents
from storage.errors import StorageFailed
from storage.store import Store
from tests.fakes.ledger import failing, whatever_writes
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


ROOT = Path(__file__).parents[3]
DONE = CallEnd(call_id="C1", state="done", answered_by="m-1", input_tokens=30, output_tokens=5, cost_micro_usd=70)


def begin(store: Store, one: SupervisorCall) -> None:
    """Until it may be sent."""
    waiting = store.supervisor_calls.begin(one)
    if waiting is not None:
        waiting.result(10)


def begun(store: Store, *several: SupervisorCall) -> None:
    """Until `ledger.db` has them."""
    for one in several:
        begin(store, one)
    store.sequencer.flush()


def test_a_call_is_kept_before_it_is_sent_and_counts_at_its_ceiling_until_it_ends(folder: Path) -> None:
    store = Store.open(folder)
    begin(store, call())
    store.close()
    again = Store.open(folder)
    (found,) = again.supervisor_calls.list()
    assert (found.call, found.state, found.end) == (call(), "begun", None)
    for account in (DAY, APP, SESSION):
        assert again.supervisor_calls.spent(account) == Spent(tokens=100, micro_usd=1000)
    again.close()


def test_a_kill_before_the_ledger_has_a_call_loses_none(folder: Path) -> None:
    count = 40
    command = [sys.executable, "-m", "tests.unit.storage.calls_child", str(folder), str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        sent = [int(child.stdout.readline()) for _ in range(count)]
        child.kill()
    assert sent == list(range(count))
    for _ in range(2):  # a second start counts none twice
        store = Store.open(folder)
        assert [each.call for each in store.supervisor_calls.list()] == [call(number) for number in range(count)]
        for account in (DAY, APP, SESSION):
            assert store.supervisor_calls.spent(account) == Spent(tokens=100 * count, micro_usd=1000 * count)
        store.close()


def test_a_call_that_no_ledger_ever_takes_keeps_no_later_start_from_opening(folder: Path) -> None:
    Store.open(folder).close()
    intents = CallIntents(folder)
    never = call(1, at_ns=1 << 63)
    for one in (never, call(2)):
        assert intents.keep(one) is not None
    intents.close()
    for _ in range(2):
        with closing(Store.open(folder)) as store:
            assert [each.call.call_id for each in store.supervisor_calls.list()] == [call(2).call_id]


def test_no_call_waits_for_a_disk_while_there_are_slots_and_all_are_kept(store: Store) -> None:
    many = [call(number) for number in range(call_intents._SLOTS + 1)]
    with store.ledger.lock:  # nothing can be committed meanwhile
        waiting = [store.supervisor_calls.begin(one) for one in many]
        assert [each is None for each in waiting] == [True] * call_intents._SLOTS + [False]
        assert waiting[-1] is not None
        assert not waiting[-1].done()
    waiting[-1].result(10)
    assert len(store.supervisor_calls.list()) == len(many)


def test_slots_come_free_once_the_ledger_has_their_calls_and_hold_nothing_then(store: Store, folder: Path) -> None:
    for turn in range(3):
        begun(store, *[call(turn * 100 + number) for number in range(100)])
    assert len(store.supervisor_calls.list()) == 300
    assert not any((folder / FILE).read_bytes())


def test_a_ledger_that_takes_nothing_lets_no_further_call_be_sent_and_forgets_none_that_was(folder: Path) -> None:
    store = Store.open(folder)
    with failing(store.ledger, whatever_writes):
        begin(store, call(1))
        store.sequencer.flush()
        with pytest.raises(StorageFailed):
            begin(store, call(2))
    store.sequencer.flush()
    assert [each.call for each in store.supervisor_calls.list()] == [call(1)]
    store.close()


@given(
    st.lists(
        st.builds(call, st.integers(1, 10**9), clauses=st.lists(st.text("é-/a", max_size=90), max_size=12).map(tuple)),
        max_size=20,
        unique_by=lambda one: one.call_id,
    )
)
def test_whatever_fits_into_slots_comes_out_of_them_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, calls: list[SupervisorCall]
) -> None:
    folder = tmp_path_factory.mktemp("slots")
    intents = CallIntents(folder)
    kept = [one for one in calls if intents.keep(one) is not None]
    intents.close()
    assert {one.call_id for one in calls if len(one.clauses) <= 2} <= {one.call_id for one in kept}
    again = CallIntents(folder)
    assert sorted(again.found, key=lambda one: one.call_id) == sorted(kept, key=lambda one: one.call_id)
    again.wipe_found()
    again.close()
    last = CallIntents(folder)
    assert last.found == ()
    last.close()


@given(st.data())
def test_a_slot_that_was_written_in_part_holds_no_call(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("slots")
    intents = CallIntents(folder)
    intents.keep(call())
    intents.close()
    whole = (folder / FILE).read_bytes()
    at = next(place for place, byte in enumerate(whole) if byte)
    size = len(whole[at:].rstrip(b"\0"))
    cut = data.draw(st.integers(0, size - 1))
    (folder / FILE).write_bytes(whole[: at + cut] + bytes(len(whole) - at - cut))
    again = CallIntents(folder)
    assert again.found == ()
    again.close()


def test_what_a_call_took_takes_the_place_of_its_ceiling(store: Store) -> None:
    begin(store, call())
    store.supervisor_calls.end(call(), DONE)
    store.sequencer.flush()
    (found,) = store.supervisor_calls.list(session_id="s")
    assert (found.state, found.end) == ("done", DONE)
    assert store.supervisor_calls.spent(DAY) == Spent(tokens=35, micro_usd=70)


def test_what_is_not_known_stays_at_the_ceiling(store: Store) -> None:
    for number in (1, 2):
        begin(store, call(number))
    store.supervisor_calls.end(call(1), CallEnd(call_id="C1", state="failed", why="timed_out"))
    free = CallEnd(call_id="C2", state="failed", why="overloaded", input_tokens=0, output_tokens=0, cost_micro_usd=0)
    store.supervisor_calls.end(call(2), free)
    store.sequencer.flush()
    assert store.supervisor_calls.spent(SESSION) == Spent(tokens=100, micro_usd=1000)
    assert [each.end.why for each in store.supervisor_calls.list() if each.end] == ["timed_out", "overloaded"]


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds open stands in /proc")
def test_a_store_that_is_closed_holds_no_file_open(folder: Path) -> None:
    store = Store.open(folder)
    begin(store, call())
    store.close()
    descriptors = [*Path("/proc/self/fd").iterdir()]
    held = [each.readlink() for each in descriptors if each.is_symlink()]
    assert [path for path in held if path.is_relative_to(folder)] == []


def test_a_call_that_is_begun_twice_counts_once(store: Store) -> None:
    begun(store, call(), call())
    assert store.supervisor_calls.spent(DAY).tokens == 100
    assert len(store.supervisor_calls.list()) == 1


def test_a_call_outside_of_a_session_is_on_the_days_and_the_apps_account(store: Store) -> None:
    begun(store, call(session_id=None, ceiling_micro_usd=None))
    assert store.supervisor_calls.spent(APP) == Spent(tokens=100)
    assert store.supervisor_calls.spent(SESSION) == Spent()


def test_old_calls_go_with_their_accounts(store: Store) -> None:
    begun(store, call(1), call(2, session_id="t"))
    store.supervisor_calls.forget(AT_NS + 2)
    assert [each.call.call_id for each in store.supervisor_calls.list()] == ["C2"]
    assert store.supervisor_calls.spent(SESSION) == Spent()
    assert store.supervisor_calls.spent("session:t").tokens == 100


def test_who_erases_a_session_erases_it_from_the_ledger_of_calls_and_not_what_was_spent(store: Store) -> None:
    store.append([recording(1, session="s")])
    begun(store, call(1), call(2, session_id="t"))
    store.erase(Order(scope="session:s", basis="GDPR Art. 17(1)(b)", by="the officer", actor="owner"), AT_NS)
    erased, kept = store.supervisor_calls.list()
    assert (erased.call.session_id, erased.call.exchange_id) == (None, None)
    assert (kept.call.session_id, kept.call.exchange_id) == ("t", "E")
    assert store.supervisor_calls.spent(SESSION) == Spent()
    assert store.supervisor_calls.spent(DAY).tokens == 200
