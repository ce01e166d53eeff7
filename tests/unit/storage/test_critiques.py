"""What waits for the monitor is settled once, what critiques say is sealed and goes with its session."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.ids import new_id
from policies.vocabulary.audit import Entry, commitment
from policies.vocabulary.critiques import Consumed, Critique, Label, Opinion, Quote
from policies.vocabulary.erasures import Order
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.monitoring import SHED, Awaiting, Filed
from policies.vocabulary.verdicts import VerdictName
from storage.critiques import CritiqueNotFound
from storage.errors import StorageFailed
from storage.ledger import Kept, Statement
from storage.store import Store
from tests.fakes.audit import entries_of, verified
from tests.unit.storage.stored import START_NS, recording

MARK = "heliotrope-4711"
DAY_NS = 86_400_000_000_000
CLAUSES = ("house/mail", "house/pay")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "data")
    yield opened
    opened.close()


def awaiting(step_id: str, session: str = "S1", *, risk: int = 10, clauses: tuple[str, ...] = CLAUSES) -> Awaiting:
    return Awaiting(
        step_id=step_id, session_id=session, app="shop", ruleset="r1", clauses=clauses, risk=risk, size=4, since_ns=1
    )


def filed(
    *step_ids: str,
    session: str = "S1",
    label: Label = "violation",
    verdict: VerdictName = "flag",
    failure: str | None = None,
    critique_id: str | None = None,
) -> Filed:
    opinion = Opinion(
        clause="house/mail",
        label=label,
        score=90,
        quotes=(Quote(step_id=step_ids[0], start=0, end=4),),
        first_bad_step=step_ids[0],
        feedback=f"It mailed {MARK}.",
    )
    critique = Critique(
        critique_id=critique_id or new_id(),
        seat="monitor",
        app="shop",
        session_id=session,
        steps=step_ids,
        ruleset="r1",
        opinions=() if failure else (opinion,),
        calls=(Consumed(model="m", prompt="p", input_tokens=10),),
        at_ns=START_NS,
    )
    return Filed(critique=critique, failure=failure, verdict=verdict, clauses=("house/mail",))


def told(store: Store, kind: str) -> list[dict[str, Any]]:
    store.sequencer.flush()
    lines = store.ledger.entries(0, 10_000).lines
    return [entry for line in lines if (entry := msgspec.json.decode(line))["type"] == kind]


def taken(store: Store) -> list[str]:
    return [step.step_id for step in store.monitor_queue.next(100, now_ns=1 << 62, busy=())]


# ------------------------------------------------------------------------------------------------------------ queue


def test_the_riskiest_is_read_first_with_what_waits_of_its_session_for_the_same_clauses(store: Store) -> None:
    steps = [
        awaiting("E1.0000", "calm", risk=1),
        awaiting("E2.0000", "wild", risk=5),
        awaiting("E2.0001", "wild", risk=9),
        awaiting("E2.0002", "wild", risk=1, clauses=("house/pay",)),
    ]
    store.monitor_queue.take(steps, 2)
    queue = store.monitor_queue
    assert taken(store) == ["E2.0000", "E2.0001"]
    assert [step.step_id for step in queue.next(1, now_ns=9, busy=())] == ["E2.0000"]
    assert [step.step_id for step in queue.next(9, now_ns=9, busy=["wild"])] == ["E1.0000"]
    assert queue.next(9, now_ns=9, busy=["wild", "calm"]) == []


def test_no_step_is_queued_twice_and_how_far_it_came_outlives_a_restart(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    assert store.monitor_queue.taken is None
    store.monitor_queue.take([awaiting("E1.0000")], 7)
    store.monitor_queue.take([awaiting("E1.0000"), awaiting("E2.0000")], 9)
    store.close()
    again = Store.open(tmp_path / "data")
    assert (again.monitor_queue.taken, again.monitor_queue.depth(), taken(again)) == (9, 2, ["E1.0000", "E2.0000"])
    again.close()


def test_what_came_to_nothing_waits_and_counts_its_attempts(store: Store) -> None:
    queue = store.monitor_queue
    queue.take([awaiting("E1.0000")], 1)
    queue.postpone(queue.next(9, now_ns=10, busy=()), 50)
    queue.take([awaiting("E2.0000", risk=99)], 2)  # of the same session: it must not come before
    assert queue.next(9, now_ns=49, busy=()) == []
    assert [step.attempts for step in queue.next(9, now_ns=50, busy=())] == [1, 0]


def test_the_least_risky_and_newest_is_shed_first_and_nothing_that_is_being_read(store: Store) -> None:
    steps = [awaiting(f"E{n}.0000", f"S{n}", risk=risk) for n, risk in enumerate([3, 1, 1, 2])]
    store.monitor_queue.take(steps, 4)
    least = store.monitor_queue.least_risky(3, busy=["S3"])
    assert [step.step_id for step in least] == ["E2.0000", "E1.0000", "E0.0000"]


# -------------------------------------------------------------------------------------------------------- critiques


def test_a_step_is_settled_once_whoever_comes_second(store: Store) -> None:
    store.monitor_queue.take([awaiting("E1.0000"), awaiting("E1.0001")], 1)
    first, second = filed("E1.0000", "E1.0001"), filed("E1.0001")
    assert store.critiques.settle([first, second]) == [first]
    assert store.critiques.settle([first]) == store.critiques.settle([second]) == []
    assert store.critiques.of_session("S1") == [first]
    assert (store.monitor_queue.depth(), len(told(store, "critique.recorded"))) == (0, 1)


def test_a_critique_that_cannot_be_kept_leaves_its_steps_in_the_queue(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving the queue and being critiqued are one transaction: no kill in between loses a step, or doubles it."""
    store.monitor_queue.take([awaiting("E1.0000"), awaiting("E2.0000", "S2")], 2)
    written, append = list[int](), store.ledger.append

    def full(work: Sequence[Statement], *, entries: Sequence[Entry]) -> Kept:
        written.append(len(entries))
        if entries:
            raise StorageFailed("writing ledger.db", OSError("full"))
        return append(work, entries=entries)

    with monkeypatch.context() as broken:
        broken.setattr(store.ledger, "append", full)
        with pytest.raises(StorageFailed):
            store.critiques.settle([filed("E1.0000"), filed("E2.0000", session="S2")])
    assert written == [2], "one transaction holds all of it"
    assert (store.monitor_queue.depth(), store.critiques.of_session("S1")) == (2, [])


def test_a_critique_is_kept_for_all_of_its_steps_or_for_none(store: Store) -> None:
    store.monitor_queue.take([awaiting("E1.0000"), awaiting("E2.0000")], 2)
    assert store.critiques.settle([filed("E1.0000")])
    assert store.critiques.settle([filed("E1.0000", "E2.0000")]) == []
    assert taken(store) == ["E2.0000"]


def test_why_nothing_was_judged_is_kept_like_a_judgement_and_is_never_an_ok(store: Store) -> None:
    store.monitor_queue.take([awaiting("E1.0000")], 1)
    shed = filed("E1.0000", failure=SHED, verdict="allow")
    assert store.critiques.settle([shed]) == [shed]
    [kept] = store.critiques.of_exchange("E1")
    assert (kept.failure, kept.critique.opinions) == (SHED, ())
    [entry] = told(store, "critique.recorded")
    assert (entry["failed"], "clauses" in entry) == (SHED, False)


def test_critiques_are_found_by_id_session_and_exchange(store: Store) -> None:
    one, two = filed("E1.0000", "E2.0000"), filed("E2.0001", session="S2")
    store.critiques.add(one)
    store.critiques.add(two)
    assert store.critiques.get(one.critique.critique_id) == one
    assert store.critiques.of_exchange("E2") == [one, two]
    assert store.critiques.of_exchange("E") == []
    assert store.critiques.of_session("S2") == [two]
    assert [kept for _, kept in store.critiques.after(0, 9)] == [one, two]
    assert [kept for _, kept in store.critiques.after(1, 9)] == [two]
    with pytest.raises(CritiqueNotFound):
        store.critiques.get("nobody")


def test_the_log_tells_of_a_critique_and_holds_none_of_its_words(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    store.publisher.start()
    store.critiques.add(filed(f"{new_id()}.0000", verdict="reject"))
    store.audit.head()
    store.close()
    entries = entries_of(tmp_path / "data")
    assert [entry["type"] for entry in entries][-2:] == ["critique.recorded", "session.distrusted"]
    recorded = entries[-2]
    assert (recorded["verdict"], recorded["clauses"], recorded["model"]) == ("reject", ["house/mail"], "m")
    verified(tmp_path / "data")
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or MARK.encode() not in path.read_bytes(), path


def test_a_critique_goes_with_its_session_and_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    store.append([recording(1, session="S1"), recording(2, session="S2")])
    gone, kept = store.steps("S1")[0].step_id, store.steps("S2")[0].step_id
    store.monitor_queue.take([awaiting("waits.0000", "S1"), awaiting("waits.0001", "S2")], 2)
    store.critiques.add(filed(gone, verdict="hold"))
    store.critiques.add(filed(kept, session="S2"))
    for session, step_id in (("S1", gone), ("S2", kept)):
        store.labels.record(given(step_id, session))
    store.erase(Order(scope="session:S1", basis="contract", by="Eve", actor="owner"), START_NS)
    assert store.critiques.of_session("S1") == store.labels.of_session("S1") == store.critiques.distrusted() == []
    assert (len(store.critiques.of_session("S2")), len(store.labels.of_session("S2"))) == (1, 1)
    assert taken(store) == ["waits.0001"]
    assert store.critiques.settle([filed("waits.0000")]) == []
    store.close()
    assert gone.encode() not in (tmp_path / "data" / "ledger.db").read_bytes()


def test_a_critique_goes_with_the_day_of_its_first_step_unless_its_session_is_kept(store: Store) -> None:
    store.critiques.add(filed("01JNOTAULID.0000", session="old", verdict="hold"))
    store.labels.record(given("E1.0000"))
    store.labels.expire(given("E1.0000").at_ns + 1, ["S1"])
    assert len(store.labels.list()) == 1
    store.labels.expire(given("E1.0000").at_ns + 1, [])
    assert store.labels.list() == []
    store.critiques.add(filed("01JNOTAULID.0001", session="case"))
    store.critiques.expire(START_NS, ["case"])
    assert len(store.critiques.of_session("old")) == 1
    store.critiques.expire(START_NS + 1, ["case"])
    assert (store.critiques.of_session("old"), len(store.critiques.of_session("case"))) == ([], 1)
    assert len(store.critiques.of_exchange("01JNOTAULID")) == 1
    assert store.critiques.distrusted() == []


# --------------------------------------------------------------------------------------------------- distrust, labels


def test_a_session_is_distrusted_until_a_person_says_otherwise(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    store.critiques.add(filed("E1.0000", verdict="hold"))
    store.critiques.add(filed("E2.0000", session="S2", verdict="terminate"))
    store.critiques.add(filed("E3.0000", session="S3", verdict="flag"))
    store.close()
    again = Store.open(tmp_path / "data")
    [distrust] = again.critiques.distrusted()
    assert (distrust.session_id, distrust.app, distrust.clauses) == ("S1", "shop", ("house/mail",))
    assert again.critiques.trust("S1", by="Eve", actor="owner") == distrust
    assert again.critiques.trust("S1", by="Eve", actor="owner") is None
    assert again.critiques.distrusted() == []
    assert [len(told(again, kind)) for kind in ("session.distrusted", "session.trusted")] == [1, 1]
    again.close()


def given(step_id: str, session: str = "S1", by: str = "Eve", reason: str | None = None) -> LabelGiven:
    return LabelGiven(
        step_id=step_id,
        session_id=session,
        app="shop",
        clause="house/mail",
        label="violation",
        by=by,
        reason=reason,
        actor="owner",
        at_ns=5,
    )


def test_the_reason_of_a_label_is_kept_with_it_and_in_the_log_as_a_commitment_alone(store: Store) -> None:
    labels = [given("E1.0000", reason="it paid my aunt"), given("E1.0001", reason="it paid my aunt"), given("E1.0002")]
    for each in labels:
        store.labels.record(each)
    assert store.labels.of_session("S1") == labels
    first, second, bare = told(store, "label.recorded")
    assert "aunt" not in str(first)
    assert first["reason"] != second["reason"]
    [blind] = store.ledger.read("SELECT blind FROM label WHERE step_id = 'E1.0000'", ())[0]
    assert first["reason"] == commitment(blind, sha256(b"it paid my aunt").digest())
    assert "reason" not in bare


def test_labels_are_kept_in_order_and_their_person_is_an_alias_in_the_log(store: Store) -> None:
    one, two = given("E1.0003"), given("E2.0000", by="Mallory")
    store.labels.record(one)
    store.labels.record(two)
    assert store.labels.of_session("S1") == [one, two]
    assert store.labels.of_exchange("E1") == [one]
    assert store.labels.list(app="shop") == [two, one]
    assert store.labels.list(app="other") == []
    first, second = told(store, "label.recorded")
    assert (first["step"], first["label"], first["exchange"]) == (3, "violation", "E1")
    assert first["by"] != second["by"]
    assert "Eve" not in str(first)
