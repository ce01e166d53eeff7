"""From the record to the queue: what coverage leaves to the monitor, each exchange once, and never beyond the seal."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.intake import Intake
from gateway.monitoring import RecordedSteps
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.vocabulary.coverage import Examined
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.findings import Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.monitoring import LATER
from policies.vocabulary.steps import Step
from storage.store import Store
from tests.unit.policies.test_afterwards import POLICY
from tests.unit.storage.stored import recording

CLAUSE = "house/later"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "data")
    yield opened
    opened.close()


def ruleset(sample: str = "1.0") -> Ruleset:
    text = (POLICY % "").replace("sample = 0.5", f"sample = {sample}")
    return Ruleset.compile([load(text, "house.toml").policy], settings=Settings(enforce=True, supervised=True))


def left(number: int, session: str = "S", *, skipped: str = LATER, score: int = 0) -> Recording:
    """An exchange with a step that a clause leaves to the monitor, or not."""
    made = recording(number, session=session)
    seq = made.steps[-1].seq
    row = Examined(clause=CLAUSE, guard="judge.0", seq=seq, skipped=skipped)
    found = (Finding(clause="house/here", guard="pattern.0", score=score, state="unsure"),) if score else ()
    judged = Judged(ruleset="r", steps=(StepJudgement(seq=seq, coverage=(row,), findings=found),))
    return msgspec.structs.replace(made, judged=judged)


def intake(store: Store, rules: Ruleset | None = None) -> Intake:
    mine = rules or ruleset()
    return Intake(store.monitor_queue, store, lambda: {"default": mine}, now_ns=lambda: 7)


def recorded(store: Store, *recordings: Recording) -> list[str]:
    """Store and seal; the ids of the last step of each."""
    store.append(recordings)
    store.sequencer.flush()
    return [each.steps[-1].step_id for each in recordings]


def waiting(store: Store) -> list[str]:
    return [step.step_id for step in store.monitor_queue.next(100, now_ns=9, busy=())]


def drained(filling: Intake) -> None:
    while filling.fill():
        pass


def test_what_was_left_to_the_monitor_is_queued_once_and_nothing_else(store: Store) -> None:
    filling = intake(store)
    [mine, _] = recorded(store, left(1), left(2, skipped="not_asked"))
    drained(filling)
    drained(filling)
    assert waiting(store) == [mine]
    [step] = store.monitor_queue.next(9, now_ns=9, busy=())
    assert (step.clauses, step.ruleset, step.since_ns, step.size > 0) == ((CLAUSE,), "r", 7, True)


def test_nothing_is_left_out_or_taken_twice_by_a_restart(store: Store) -> None:
    first = intake(store)
    ids = recorded(store, *[left(number) for number in range(1, 101)])
    first.fill()
    again = intake(store)
    drained(again)
    assert waiting(store) == ids[:100]


def test_what_was_recorded_before_any_monitor_ran_is_not_read(store: Store) -> None:
    recorded(store, left(1))
    filling = intake(store)
    [new] = recorded(store, left(2))
    drained(filling)
    assert waiting(store) == [new]


def test_what_is_not_sealed_yet_waits(store: Store) -> None:
    filling = intake(store)
    recorded(store, left(1))
    assert store.monitor_queue.sealed == 1
    store.ledger.write([("UPDATE audit_state SET sealed = 0", ())], entries=())
    assert not filling.fill()
    assert waiting(store) == []


def test_a_sample_is_read_and_a_local_suspicion_comes_first(store: Store) -> None:
    filling = intake(store, ruleset("0.5"))
    ids = recorded(store, *[left(number) for number in range(1, 65)])
    drained(filling)
    assert 0 < len(waiting(store)) < len(ids)
    filling = intake(store)
    [_, wild] = recorded(store, left(100, "calm"), left(101, "wild", score=90))
    drained(filling)
    assert waiting(store) == [wild]


class Texts:
    """A reader that gives every step its id for a text."""

    def texts(self, exchange: Exchange, steps: list[Step]) -> list[str | None]:
        del exchange
        return [step.step_id for step in steps]


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_a_session_is_shown_up_to_what_is_asked_about_and_back_as_far_as_there_is_room(store: Store, most: int) -> None:
    recorded(store, *[left(number) for number in range(1, 7)], left(7, "other"))
    steps = store.steps("S")
    wanted = [step.step_id for step in steps if step.exchange_id == steps[-1].exchange_id]
    middle = [step for step in steps if step.exchange_id == store.exchanges("S")[3].exchange_id]
    reading = RecordedSteps(store, Texts())  # pyright: ignore[reportArgumentType]  # all of a reader that is needed
    seen = reading._steps("S", 0, [middle[-1].step_id], most)
    assert seen[-1].step_id == middle[-1].step_id
    shown = [step.step_id for step in seen]
    assert shown == sorted(shown)
    assert (len({step.number for step in seen}) == 1) == (most == 0)
    assert reading._steps("S", 4, wanted, most)[-1].step_id == wanted[-1]
    assert reading._steps("S", 0, ["gone.0000"], most) == []
