"""The recorder loses nothing while its queue holds, counts what does not fit, and outlives a store that fails."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from gateway.recorder import Recorder
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Body, Exchange, Recording
from policies.vocabulary.steps import SeenCall, Step, StepKind


def recording(name: str, *, size: int = 10, steps: tuple[Step, ...] = ()) -> Recording:
    exchange = Exchange(
        exchange_id=name,
        app="default",
        provider="p",
        dialect="raw",
        operation="other",
        method="GET",
        path="/",
        outcome="complete",
        started_ns=1,
        ended_ns=2,
        server_span_id=b"s" * 8,
        client_span_id=b"c" * 8,
    )
    return Recording(
        exchange=exchange, request=Body(raw=b"x" * size, length=size), response=Body(raw=b"", length=0), steps=steps
    )


class Full(StepwardenError):
    """The disk is full."""


class Shelf:
    """A store in memory that can be held up, and told to fail."""

    def __init__(self) -> None:
        self.batches: list[list[Recording]] = []
        self.failures = 0
        self.open = threading.Event()
        self.open.set()
        self.tried = threading.Semaphore(0)
        self.known: dict[tuple[str, str], SeenCall] = {}
        self.missing = 0

    def append(self, batch: Sequence[Recording]) -> None:
        self.tried.release()
        assert self.open.wait(10)
        if self.failures:
            self.failures -= 1
            raise Full("no space left")
        self.batches.append(list(batch))

    def find_call(self, session_id: str, call_id: str) -> SeenCall | None:
        return self.known.get((session_id, call_id))

    def lost(self) -> None:
        self.missing += 1

    def sweep(self, now_ns: int) -> list[str]:  # noqa: ARG002 - nothing here grows old
        return []

    @property
    def names(self) -> list[str]:
        return [each.exchange.exchange_id for batch in self.batches for each in batch]


@contextmanager
def recording_to(shelf: Shelf, *, exchanges: int = 1000, size: int = 1 << 20) -> Iterator[Recorder]:
    recorder = Recorder(shelf, queue_exchanges=exchanges, queue_bytes=size)
    recorder.start()
    try:
        yield recorder
    finally:
        shelf.open.set()
        recorder.stop(10)


def settle(recorder: Recorder) -> None:
    """Wait until everything put so far is written."""
    recorder.submit(lambda: None).result(10)


def test_what_is_put_is_written_in_its_order() -> None:
    shelf = Shelf()
    with recording_to(shelf) as recorder:
        names = [f"x{number}" for number in range(600)]
        assert all(recorder.put(recording(name)) for name in names)
        settle(recorder)
        assert shelf.names == names
        assert max(map(len, shelf.batches)) <= 256
        state = recorder.state()
        assert (state.recorded, state.dropped, state.waiting, state.waiting_bytes) == (600, 0, 0, 0)


def test_what_waits_at_the_end_is_written() -> None:
    shelf = Shelf()
    recorder = Recorder(shelf, queue_exchanges=1000, queue_bytes=1 << 20)
    recorder.start()
    for number in range(300):
        recorder.put(recording(f"x{number}"))
    assert recorder.stop(10)
    assert len(shelf.names) == 300


def test_a_full_queue_drops_counts_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    shelf.open.clear()
    with recording_to(shelf, exchanges=16) as recorder:
        recorder.put(recording("first"))
        assert shelf.tried.acquire(timeout=10)
        taken = [recorder.put(recording(f"x{number}")) for number in range(20)]
        assert taken.count(False) == 4
        assert recorder.state().dropped == 4
        shelf.open.set()
        settle(recorder)
        assert len(shelf.names) == 17
    assert "exchange not recorded: the queue is full" in caplog.text


def test_the_queue_is_bounded_in_bytes_too() -> None:
    shelf = Shelf()
    shelf.open.clear()
    with recording_to(shelf, size=50_000) as recorder:
        recorder.put(recording("first"))
        assert shelf.tried.acquire(timeout=10)
        assert recorder.put(recording("big", size=40_000))
        assert not recorder.put(recording("too big", size=10_000))
        assert recorder.put(recording("small", size=100))
        assert recorder.state().waiting_bytes <= 50_000


def test_many_bytes_are_written_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.recorder._PAUSE_SECONDS", 3600.0)
    shelf = Shelf()
    with recording_to(shelf, size=1 << 30) as recorder:
        for name in "abcdef":
            recorder.put(recording(name, size=1 << 20))
        assert shelf.tried.acquire(timeout=10)


def test_a_store_that_fails_for_a_while_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    shelf.failures = 2
    with recording_to(shelf) as recorder:
        recorder.put(recording("x1"))
        settle(recorder)
        assert shelf.names == ["x1"]
        assert not recorder.state().failing
    assert caplog.text.count("recording failed, will retry") == 2


def test_a_store_that_fails_to_the_end_is_admitted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    shelf = Shelf()
    shelf.failures = 10**9
    recorder = Recorder(shelf, queue_exchanges=1000, queue_bytes=1 << 20)
    recorder.start()
    recorder.put(recording("x1"))
    assert shelf.tried.acquire(timeout=10)
    recorder.stop(10)
    assert recorder.state().dropped == 1
    assert shelf.names == []


def test_a_bug_in_a_store_does_not_end_the_recording() -> None:
    """An error nobody foresaw must not kill the one thread that writes."""

    class Buggy(Shelf):
        def append(self, batch: Sequence[Recording]) -> None:
            if batch[0].exchange.exchange_id == "poison":
                raise ValueError("unforeseen")
            super().append(batch)

    shelf = Buggy()
    with recording_to(shelf) as recorder:
        recorder.put(recording("poison"))
        settle(recorder)
        recorder.put(recording("x2"))
        settle(recorder)
        assert shelf.names == ["x2"]
        assert recorder.state().dropped == 1


def test_a_link_that_cannot_be_looked_up_is_tried_again() -> None:
    class Locked(Shelf):
        locked = True

        def find_call(self, session_id: str, call_id: str) -> SeenCall | None:  # noqa: ARG002 - one for all
            if self.locked:
                self.locked = False
                raise Full("the database is locked")
            return SeenCall(b"o" * 8, 3)

    shelf = Locked()
    with recording_to(shelf) as recorder:
        recorder.put(recording("x1", steps=(step("tool_result", "call_1", span=b"r" * 8),)))
        settle(recorder)
        assert shelf.batches[0][0].steps[0].call_span_id == b"o" * 8


def test_one_exchange_nobody_can_write_takes_no_other_with_it() -> None:
    class Picky(Shelf):
        def append(self, batch: Sequence[Recording]) -> None:
            if any(each.exchange.exchange_id == "poison" for each in batch):
                raise ValueError("unforeseen")
            super().append(batch)

    shelf = Picky()
    with recording_to(shelf) as recorder:
        for name in ("x1", "poison", "x2"):
            recorder.put(recording(name))
        settle(recorder)
        assert shelf.names == ["x1", "x2"]
        assert recorder.state().dropped == 1


def test_jobs_run_after_what_was_put_before_them() -> None:
    shelf = Shelf()
    with recording_to(shelf) as recorder:
        for number in range(50):
            recorder.put(recording(f"x{number}"))
            assert recorder.submit(lambda: len(shelf.names)).result(10) == number + 1


def test_a_job_that_fails_tells_whoever_asked() -> None:
    with recording_to(Shelf()) as recorder:
        future = recorder.submit(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            future.result(10)
        settle(recorder)


def step(kind: StepKind, call_id: str, *, span: bytes, ended: int = 5, tool: str | None = None) -> Step:
    return Step(
        step_id="x.0000",
        exchange_id="x",
        session_id="s",
        branch_id="b",
        seq=0,
        kind=kind,
        fidelity="witnessed",
        side="request",
        call_id=call_id,
        tool=tool,
        started_ns=1,
        ended_ns=ended,
        span_id=span,
    )


def test_a_result_is_linked_to_the_call_it_answers() -> None:
    shelf = Shelf()
    shelf.known["s", "call_old"] = SeenCall(b"o" * 8, 3, "grep")
    with recording_to(shelf) as recorder:
        recorder.put(recording("x1", steps=(step("tool_call", "call_1", span=b"a" * 8, ended=7, tool="ls"),)))
        results = tuple(step("tool_result", call, span=b"r" * 8) for call in ("call_1", "call_old", "call_unheard"))
        recorder.put(recording("x2", steps=results))
        settle(recorder)
    linked = [(each.call_span_id, each.call_ended_ns, each.tool) for each in shelf.batches[-1][-1].steps]
    assert linked == [(b"a" * 8, 7, "ls"), (b"o" * 8, 3, "grep"), (None, None, None)]


def test_a_result_whose_wire_names_the_tool_keeps_that_name() -> None:
    shelf = Shelf()
    shelf.known["s", "call_1"] = SeenCall(b"o" * 8, 3, "called")
    with recording_to(shelf) as recorder:
        recorder.put(recording("x", steps=(step("tool_result", "call_1", span=b"r" * 8, tool="said"),)))
        settle(recorder)
    assert shelf.batches[-1][-1].steps[0].tool == "said"
