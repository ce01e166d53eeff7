"""What is stored can be found: sessions, branches, steps, states, cursors."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policies.vocabulary.exchanges import Recording
from policies.vocabulary.findings import Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.steps import SeenCall
from policies.vocabulary.usage import Usage
from policies.vocabulary.verdicts import Verdict
from storage.errors import AmbiguousPrefix
from storage.sessions import SessionFilter
from storage.store import Store
from tests.unit.storage.stored import START_NS, recording

DAY = 86_400_000_000_000


def test_a_session_is_the_sum_of_its_exchanges(store: Store) -> None:
    store.append([recording(1), recording(2, model="m-small", cost_micro_usd=None)])
    store.append([recording(3, usage=Usage(), outcome="truncated"), recording(4, session="S2")])
    row = store.session("S1")
    assert row is not None
    assert (row.exchanges, row.steps, row.branches) == (3, 9, 1)
    assert (row.input_tokens, row.output_tokens) == (200, 20)
    assert (row.cost_micro_usd, row.unpriced) == (2400, 1)
    assert row.models == ("m-large", "m-small")
    assert (row.app, row.client, row.derived, row.terminated_ns) == ("shop", "sdk/1.0", True, None)
    assert row.last_ns == recording(3).exchange.ended_ns


def test_unknown_counts_stay_unknown(store: Store) -> None:
    store.append([recording(1, usage=Usage(), cost_micro_usd=None)])
    row = store.session("S1")
    assert row is not None
    assert (row.input_tokens, row.output_tokens, row.cost_micro_usd, row.unpriced) == (None, None, None, 1)


def test_sessions_come_newest_first_in_pages_and_by_app(store: Store) -> None:
    store.append([recording(number, session=f"S{number}", app="a" if number % 2 else "b") for number in range(7)])
    store.append([recording(9, session="S0", app="b")])
    assert [row.session_id for row in store.sessions()] == ["S0", "S6", "S5", "S4", "S3", "S2", "S1"]
    assert [row.session_id for row in store.sessions(limit=2, before="S6")] == ["S5", "S4"]
    assert [row.session_id for row in store.sessions(SessionFilter(app="a"))] == ["S5", "S3", "S1"]
    assert [row.session_id for row in store.sessions(SessionFilter(since_ns=START_NS + 6_000_000))] == ["S0", "S6"]


def test_a_unique_beginning_of_an_id_is_enough(store: Store) -> None:
    store.append([recording(1, session="alpha"), recording(20, session="alps"), recording(3, session=None)])
    assert store.session("alpha") == store.session("alph")
    assert store.session("nothing") is None
    assert store.session("") is None
    with pytest.raises(AmbiguousPrefix):
        store.session("alp")
    with pytest.raises(AmbiguousPrefix):
        store.exchange("01JX")
    found = store.exchange(recording(20).exchange.exchange_id[:-1])
    assert found is not None
    assert found.exchange_id == recording(20).exchange.exchange_id
    assert store.exchange("") is None


def test_an_exchange_without_a_session_is_recent_and_nowhere_else(store: Store) -> None:
    store.append([recording(1), recording(2, session=None)])
    assert [one.exchange_id for one in store.recent()] == [recording(n).exchange.exchange_id for n in (2, 1)]
    assert store.recent(limit=1)[0].join is None
    assert [row.session_id for row in store.sessions()] == ["S1"]


def test_within_an_app_the_ids_of_others_do_not_exist(store: Store) -> None:
    mine, theirs = recording(1, session="alpha", app="a"), recording(20, session="alps", app="b")
    store.append([mine, theirs])
    for beginning in ("alp", "alpha"):
        row = store.session(beginning, app="a")
        assert row is not None
        assert row.session_id == "alpha"
    assert store.session("alpha", app="b") is None
    assert store.exchange("01JX", app="a") == mine.exchange
    assert store.exchange(mine.exchange.exchange_id, app="b") is None
    assert (
        store.sessions(SessionFilter(app="a"), before="alps")
        == store.sessions(SessionFilter(app="a"), before="nobody's")
        == []
    )


def test_what_is_recent_in_a_quiet_app_is_found_behind_a_busy_one(store: Store) -> None:
    store.append([recording(1, app="quiet"), recording(2, app="quiet", at_ns=START_NS + DAY)])
    store.append([recording(number, session=f"S{number}", at_ns=START_NS + DAY) for number in range(3, 40)])
    newest = [recording(2).exchange.exchange_id, recording(1).exchange.exchange_id]
    assert sorted(one.exchange_id for one in store.recent(limit=2, app="quiet")) == sorted(newest)
    assert [one.app for one in store.recent(limit=1, app="quiet")] == ["quiet"]
    assert store.recent(app="nobody") == []


def test_steps_run_on_over_midnight(store: Store) -> None:
    made = [recording(number, at_ns=START_NS + number * DAY // 2) for number in range(4)]
    store.append(made)
    assert [one.exchange_id for one in store.exchanges("S1")] == [one.exchange.exchange_id for one in made]
    assert store.steps("S1") == [step for one in made for step in one.steps]
    call = store.find_call("S1", f"call_{made[0].exchange.exchange_id}")
    assert call == SeenCall(made[0].steps[-1].span_id, made[0].steps[-1].ended_ns, "search")
    assert store.find_call("S2", f"call_{made[0].exchange.exchange_id}") is None


def test_a_clock_that_is_set_back_turns_no_session_round(store: Store) -> None:
    times = [START_NS + DAY, START_NS + 5_000_000, START_NS + 4_000_000, START_NS + 2 * DAY]
    made = [recording(9 - place, at_ns=at_ns) for place, at_ns in enumerate(times)]
    for one in made:
        store.append([one])
    order = [one.exchange.exchange_id for one in made]
    assert [one.exchange_id for one in store.exchanges("S1")] == order
    assert store.steps("S1") == [step for one in made for step in one.steps]
    assert [one.exchange_id for one in store.recent()] == order[::-1]
    assert [one.exchange_id for one in store.recent(limit=1)] == order[-1:]


def test_states_and_responses_lead_back_to_their_branch(store: Store) -> None:
    responses: dict[str, Any] = {"dialect": "openai_responses"}
    store.append([recording(1, state=b"a" * 16), recording(2, state=b"b" * 16, outcome="truncated", **responses)])
    store.append([recording(3, state=b"a" * 16, session="S2")])
    rows = store.find_states([b"a" * 16, b"b" * 16, b"c" * 16])
    assert [(row.session_id, row.complete, row.depth) for row in rows] == [
        ("S2", True, 1),
        ("S1", False, 1),
        ("S1", True, 1),
    ]
    assert rows[0].reply_fingerprint == bytes(16)
    found = store.find_response("msg_2")
    assert found is not None
    assert (found.exchange_id, found.state) == (recording(2).exchange.exchange_id, b"b" * 16)
    assert store.find_response("msg_77") is None
    # In no other wire format does a request name the reply it goes on from.
    assert store.find_response("msg_1") is None
    assert found.name is None


def test_what_an_answered_exchange_of_its_branch_stands_on_is_taken(store: Store) -> None:
    def taken(number: int) -> bool | None:
        row = store.find_response(f"msg_{number}")
        return row and row.taken

    def answered(number: int, **facts: Any) -> Recording:
        return recording(number, dialect="openai_responses", **facts)

    store.append([answered(1), answered(2)])
    store.append([answered(3, outcome="truncated"), answered(4, session="S2")])
    assert [taken(number) for number in (1, 2, 3, 4)] == [True, False, False, False]
    store.append([answered(5)])
    assert [taken(number) for number in (1, 2, 3, 5)] == [True, True, False, False]


def test_export_reads_each_exchange_once_in_the_order_of_insertion(store: Store) -> None:
    late = recording(9, at_ns=START_NS - DAY)
    made = [recording(1), recording(2, session=None), late, recording(3)]
    cursor, seen = None, list[str]()
    for one in made:
        store.append([one])
        page, cursor = store.after(cursor, 10)
        seen += [exchange.exchange_id for exchange, _ in page]
        assert [steps for _, steps in page] == [one.steps]
    assert seen == [one.exchange.exchange_id for one in made]
    assert store.after(cursor, 10) == ([], cursor)
    pages = store.after(None, 3)[0]
    assert [exchange.exchange_id for exchange, _ in pages] == seen[:3]


def test_a_cursor_survives_and_outlives_the_days_it_passed(folder: Path, store: Store) -> None:
    store.append([recording(1), recording(2)])
    _, cursor = store.after(None, 10)
    store.save_cursor("otlp", cursor)
    store.drop_expired(START_NS + 400 * DAY)
    store.close()
    store = Store.open(folder)
    assert store.cursor("otlp") == cursor
    assert store.cursor("other") is None
    store.append([recording(3, at_ns=START_NS + 401 * DAY)])
    page, _ = store.after(store.cursor("otlp"), 10)
    assert [exchange.exchange_id for exchange, _ in page] == [recording(3).exchange.exchange_id]
    store.close()


def test_termination_keeps_its_first_time(store: Store) -> None:
    store.append([recording(1)])
    store.terminate("S1", 7)
    store.terminate("S1", 9)
    row = store.session("S1")
    assert row is not None
    assert row.terminated_ns == 7


def test_a_session_that_ends_in_its_first_exchange_has_ended_after_a_restart_too(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    store.terminate("S1", 7)
    store.terminate("S1", 9)
    store.append([recording(1), recording(2, session="S2")])
    store.append([recording(3)])
    store.close()
    store = Store.open(tmp_path / "data")
    assert (store.is_terminated("S1"), store.is_terminated("S2")) == (True, False)
    row = store.session("S1")
    assert row is not None
    assert row.terminated_ns == 7
    store.close()


def test_the_same_exchange_twice_is_stored_once(store: Store) -> None:
    store.append([recording(1), recording(2)])
    store.append([recording(2), recording(3), recording(3)])
    assert store.stats().exchanges == 3
    row = store.session("S1")
    assert row is not None
    assert row.exchanges == 3


def test_facts_no_database_takes_do_not_cost_the_batch(store: Store) -> None:
    odd = recording(1, usage=Usage(input_tokens=2**70), model="m-\ud800", path="/v1/\udcff", max_tokens=2**64)
    store.append([odd, recording(2)])
    found = store.exchange(odd.exchange.exchange_id)
    assert found is not None
    assert (found.usage.input_tokens, found.max_tokens) == (None, None)
    assert found.model is not None
    assert "\ud800" not in found.model
    assert store.stats().exchanges == 2


def test_readers_see_whole_batches_while_the_writer_writes(store: Store) -> None:
    store.append([recording(0)])
    stop, wrong = threading.Event(), list[str]()

    def read() -> None:
        while not stop.is_set():
            for one in store.recent(limit=5):
                body = store.body(one.exchange_id, "request")
                if body is None or body.raw != recording(0).request.raw:
                    wrong.append(one.exchange_id)
            store.sessions()
            store.steps("S1")

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 60):
        store.append([recording(number)])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_every_field_of_an_exchange_comes_back(store: Store) -> None:
    made = recording(1)
    assert made.exchange.join is not None
    join = msgspec.structs.replace(
        made.exchange.join, parent_branch_id="B0", replaces=(1, 4), agent_name="scout", name="mine", lead_known=True
    )
    usage = Usage(
        input_tokens=1, output_tokens=2, cache_read_tokens=0, cache_write_tokens=4, cache_write_1h_tokens=3,
        reasoning_tokens=1, estimated=True,
    )  # fmt: skip
    whole = recording(
        1, join=join, usage=usage, key_id="key_1", stream=True, upstream_status=529, error_type="overloaded_error",
        note="odd", upstream_started_ns=5, first_byte_ns=6, first_token_ns=7, model_requested="m", max_tokens=5,
        provider_request_id="req_1", temperature=0.5, top_p=1.0, price_version="2026-11", retry=2, verdict="flag",
    )  # fmt: skip
    store.append([whole])
    assert store.exchange(whole.exchange.exchange_id) == whole.exchange
    branch = store.branches("S1")[0]
    assert (branch.parent_branch_id, branch.agent_name, branch.evidence) == ("B0", "scout", "content_prefix")
    row = store.session("S1")
    assert row is not None
    assert row.name == "mine"
    assert store.find_named("S1") == row


def judged(recording: Recording, clause: str, **verdict: Any) -> Recording:
    said = Verdict(**verdict)
    finding = Finding(clause=clause, guard="pattern.0", score=90, state="violation")
    found = Judged(ruleset="r", verdict=said, steps=(StepJudgement(seq=0, verdict=said, findings=(finding,)),))
    return msgspec.structs.replace(
        recording, judged=found, exchange=msgspec.structs.replace(recording.exchange, verdict=said.name)
    )


def test_sessions_are_found_by_what_clauses_said_of_them(store: Store) -> None:
    store.append(
        [
            recording(1, session="quiet"),
            judged(recording(2, session="flagged"), "p/a", name="flag"),
            judged(recording(3, session="stopped"), "p/b", name="reject", clauses=("p/b",)),
            judged(recording(4, session="would"), "p/b", shadow="reject"),
        ]
    )
    store.append([recording(5, session="stopped"), judged(recording(6, session="flagged"), "p/c", name="flag")])

    def found(**wanted: Any) -> set[str]:
        return {row.session_id for row in store.sessions(SessionFilter(**wanted))}

    assert found(verdict="flag") == {"flagged", "stopped"}
    assert found(verdict="hold") == {"stopped"}
    assert found(verdict="allow") == {"quiet", "flagged", "stopped", "would"}
    assert found(clause="p/b") == {"stopped", "would"}
    assert found(clause="p/b", verdict="reject") == {"stopped"}
    assert found(clause="p/") == set()
    row = store.session("would")
    assert row is not None
    assert (row.verdict, row.shadow) == ("allow", "reject")
    assert store.facets().clauses == ("p/a", "p/b", "p/c")
    assert store.facets("other").clauses == ()


def test_sessions_are_found_by_model_agent_cost_and_time(store: Store) -> None:
    store.append(
        [recording(number, session=f"S{number}", model=f"m{number}", cost_micro_usd=number) for number in range(4)]
    )
    assert [row.session_id for row in store.sessions(SessionFilter(model="m2"))] == ["S2"]
    assert [row.session_id for row in store.sessions(SessionFilter(cost_micro_usd=2))] == ["S3", "S2"]
    assert [row.session_id for row in store.sessions(SessionFilter(until_ns=START_NS + 1_000_000))] == ["S0"]
    assert store.sessions(SessionFilter(agent="nobody")) == []
    assert store.facets().models == ("m0", "m1", "m2", "m3")
    assert store.facets().apps == ("shop",)


def test_turns_come_in_pages_over_all_days_in_the_order_of_recording(store: Store) -> None:
    made = [recording(number, at_ns=START_NS + (number % 3) * DAY + number) for number in range(10)]
    store.append(made[:5])
    store.append([recording(99, session="S2"), *made[5:]])
    seen: list[str] = []
    after = 0
    while page := store.turns("S1", after=after, limit=3):
        assert len(page) <= 3
        seen += [row.exchange.exchange_id for row in page]
        after = page[-1].number
    assert seen == [one.exchange.exchange_id for one in made]
    assert [len(row.steps) for row in store.turns("S1", limit=1)] == [3]
    assert store.turns("nobody") == []


def test_usage_adds_up_by_slot_app_and_model_and_unknown_stays_unknown(store: Store) -> None:
    store.append(
        [
            recording(1, at_ns=START_NS),
            recording(2, at_ns=START_NS + 1, verdict="reject", first_token_ns=START_NS + 101),
            recording(3, at_ns=START_NS + 60, usage=Usage(), cost_micro_usd=None, status=500),
            recording(4, at_ns=START_NS + 61, app="other"),
            recording(5, at_ns=START_NS + DAY, session="S3"),
            recording(6, at_ns=START_NS + 2 * DAY),
        ]
    )
    rows = store.usage(START_NS, START_NS + 2 * DAY, 50, app="shop")
    first, second, third = sorted(rows, key=lambda row: row.slot)
    assert (first.slot, first.exchanges, first.failed, first.stopped) == (0, 2, 0, 1)
    assert (first.input_tokens, first.cost_micro_usd, first.unpriced) == (200, 2400, 0)
    assert (sorted(first.durations), first.first_tokens) == ([900_000, 900_000], (100,))
    assert (second.slot, second.failed, second.input_tokens, second.cost_micro_usd, second.unpriced) == (
        1,
        1,
        None,
        None,
        1,
    )
    assert third.slot == DAY // 50
    assert len(store.usage(START_NS, START_NS + 2 * DAY, 50)) == 4
