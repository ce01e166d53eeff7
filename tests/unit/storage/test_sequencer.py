"""Entries are committed in groups; what is acknowledged is durable, what is dropped is said, what fails comes again."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from policies.vocabulary.audit import ApiKeyRevoked, ContentRead, receipt_of
from storage import sequencer as sequencer_module
from storage.errors import NeverTaken, StorageFailed
from storage.ledger import Ledger
from storage.sequencer import Sequencer
from tests.fakes.audit import assert_holds
from tests.fakes.ledger import failing, nth, whatever_writes


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path)
    yield opened
    opened.close()


def entry(number: int) -> ApiKeyRevoked:
    return ApiKeyRevoked(actor="owner", key=f"key_{number}")


def kept(ledger: Ledger) -> list[dict[str, object]]:
    return [json.loads(line) for line in ledger.entries(1, 100_000).lines]


def test_what_is_acknowledged_is_in_the_ledger_under_its_receipt(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    receipt = sequencer.durable(entry(1)).result(10)
    assert receipt == receipt_of(ledger.entries(receipt.index, 1).lines[0], receipt.index)
    assert sequencer.close()


def test_nobody_who_waits_waits_for_others_to_gather(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer_module, "_GATHER_SECONDS", 60.0)
    sequencer = Sequencer(ledger)
    sequencer.put(entry(1))
    assert sequencer.durable(entry(2)).result(10).index == 2
    assert sequencer.close()


def test_many_who_wait_share_few_commits(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    commits = 0

    def counting(query: str) -> bool:
        nonlocal commits
        commits += query == "COMMIT"
        return False

    with failing(ledger, counting):
        with ledger.lock:  # the first group waits for this, all others gather behind it
            waiting = [sequencer.durable(entry(number)) for number in range(200)]
        receipts = [each.result(10) for each in waiting]
    assert [receipt.index for receipt in receipts] == list(range(1, 201))
    assert commits <= 3
    sequencer.close()


def test_without_anybody_waiting_entries_come_in_order_too(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    for number in range(700):
        sequencer.put(entry(number))
    assert sequencer.close()
    assert [each["key"] for each in kept(ledger)] == [f"key_{number}" for number in range(700)]


def test_what_does_not_fit_is_dropped_and_that_is_an_entry(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger, limit=10)
    with ledger.lock:
        sequencer.put(entry(0))
        first = sequencer.durable(entry(1))
        for number in range(50):
            sequencer.put(entry(number), rows=(number, number))
        sequencer.lose(3)
    first.result(10)
    assert sequencer.close()
    told = [each for each in kept(ledger) if each["type"] == "ingest.dropped"]
    dropped = sum(each.get("entries", 0) for each in told)  # type: ignore[misc]
    assert dropped == sequencer.state().dropped > 0
    assert len(kept(ledger)) - len(told) == 52 - dropped
    assert sum(each.get("exchanges", 0) for each in told) == 3  # type: ignore[misc]
    assert [each["rows"] for each in told if "rows" in each][-1][1] == 49  # type: ignore[index]


def test_what_was_dropped_while_the_disk_was_full_is_counted_and_told_once(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger, limit=1)
    with failing(ledger, whatever_writes):
        sequencer.put(entry(0))
        for number, rows in ((1, (5, 6)), (2, (1, 2)), (3, (3, 4))):
            sequencer.put(entry(number), rows=rows)
            with pytest.raises(StorageFailed):
                sequencer.durable(entry(9)).result(10)
    assert sequencer.close()
    told = [each for each in kept(ledger) if each["type"] == "ingest.dropped"]
    assert [(each["entries"], each["rows"]) for each in told] == [(3, [1, 6])]
    assert sequencer.state().dropped == 3


@pytest.mark.parametrize("number", range(4))
def test_a_call_that_fails_once_loses_nothing_that_nobody_waits_for(ledger: Ledger, number: int) -> None:
    sequencer = Sequencer(ledger)
    with failing(ledger, nth(number)):
        for each in range(5):
            sequencer.put(entry(each), work=[("UPDATE audit_state SET sealed = ?", (each,))])
        assert sequencer.close()
    assert [each["key"] for each in kept(ledger)] == [f"key_{each}" for each in range(5)]
    assert ledger.read("SELECT sealed FROM audit_state") == [(4,)]


def test_what_the_disk_never_takes_is_not_said_to_be_kept(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    with failing(ledger, whatever_writes):
        sequencer.put(entry(1))
        assert not sequencer.close(0.1)
    assert kept(ledger) == []


def test_a_full_disk_refuses_those_who_wait_keeps_the_others_and_heals_by_itself(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    with failing(ledger, whatever_writes):
        for number in range(300):
            sequencer.put(entry(number))
        refused = [sequencer.durable(entry(1000 + number)) for number in range(5)]
        wait(refused, 10)
        assert [type(each.exception(0)) for each in refused] == [StorageFailed] * 5
        assert sequencer.state().failing is not None
    assert sequencer.durable(entry(2000)).result(10)
    assert sequencer.state().failing is None
    assert sequencer.close()
    assert [each["key"] for each in kept(ledger)] == [f"key_{each}" for each in [*range(300), 2000]]


def test_an_entry_that_cannot_be_encoded_keeps_no_other_out(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    with ledger.lock:
        sequencer.put(entry(1))
        bad = sequencer.durable(ContentRead(actor="\ud800", what="live"))
        sequencer.put(entry(2))
        good = sequencer.durable(entry(3))
    with pytest.raises(UnicodeEncodeError):
        bad.result(10)
    good.result(10)
    assert sequencer.close()
    assert [each["key"] for each in kept(ledger) if "key" in each] == ["key_1", "key_2", "key_3"]
    assert sequencer.state().dropped == 1
    told = [each for each in kept(ledger) if each["type"] == "ingest.dropped"]
    assert [each.get("entries") for each in told] == [1]


@pytest.mark.parametrize("number", [1 << 63, None], ids=["out of range", "against a constraint"])
def test_a_statement_that_no_database_takes_keeps_nothing_else_out(ledger: Ledger, number: int | None) -> None:
    never = "INSERT INTO supervisor_account (account, at_ns, tokens, micro_usd) VALUES ('day', ?, 0, 0)"
    sequencer = Sequencer(ledger)
    with ledger.lock:
        sequencer.put(entry(1))
        sequencer.put(work=[(never, (number,))])
        bad = sequencer.commit([(never, (number,))])
        sequencer.put(entry(2))
        good = sequencer.durable(entry(3))
    with pytest.raises(NeverTaken):
        bad.result(10)
    good.result(10)
    assert sequencer.state().failing is None
    assert sequencer.close()
    assert [each["key"] for each in kept(ledger) if "key" in each] == ["key_1", "key_2", "key_3"]


def test_who_gives_up_waiting_breaks_nothing(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    with ledger.lock:
        sequencer.durable(entry(0))
        given_up = sequencer.durable(entry(1))
        given_up.cancel()
    assert sequencer.durable(entry(2)).result(10)
    assert sequencer.close()


def test_after_the_end_nobody_is_left_waiting(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    assert sequencer.close()
    with pytest.raises(StorageFailed):
        sequencer.durable(entry(1)).result(1)


def test_many_threads_get_receipts_that_hold(ledger: Ledger) -> None:
    sequencer = Sequencer(ledger)
    receipts = []

    def caller() -> None:
        receipts.extend(sequencer.durable(entry(number)).result(20) for number in range(20))

    threads = [threading.Thread(target=caller) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sequencer.close()
    assert sorted(receipt.index for receipt in receipts) == list(range(1, 161))
    assert_holds(ledger.entries(0, 1000).lines, receipts)
