"""The recorder: one bounded queue and the one thread that writes.

Finished exchanges wait here off the hot path. The thread takes them in batches, links tool results to the
calls they answer, and appends. A store that fails keeps its batch and tries again; what no longer fits the
queue is dropped, counted and logged, and never held against the caller's request.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.steps import SeenCall, Step

log = logging.getLogger("stepwarden.recorder")

T = TypeVar("T")

_PAUSE_SECONDS = 0.025
_BUSY_PAUSE_SECONDS = 0.1
"""How long finished exchanges gather before they are written together: every batch costs three commits."""

_BUSY = 8
"""Exchanges in a batch from which on the next one gathers longer."""

_BATCH = 256
_BATCH_BYTES = 4 << 20
"""What gathers in a pause is written in one batch, long sessions too: they wait in memory either way."""

_ENOUGH_BYTES = 2 << 20
"""Bodies that are written without waiting for the pause to end: what gathers under 60 KB requests is memory held."""

_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
_SWEEP_SECONDS = 3600.0
_CROWDED = 8
"""A queue filled to this part asks new requests to wait, so that only a stuck store ever makes it overflow."""

_REMEMBERED_CALLS = 1024


class RecordStore(Protocol):
    """The slice of storage the recorder needs; `storage.store.Store` satisfies it."""

    def append(self, batch: Sequence[Recording]) -> None:
        """Make a batch durable."""
        ...

    def find_call(self, session_id: str, call_id: str) -> SeenCall | None:
        """A recorded tool call."""
        ...

    def lost(self) -> None:
        """Take note, beside the record, of an exchange that is not in it."""
        ...

    def sweep(self, now_ns: int) -> list[str]:
        """Delete what retention no longer keeps, unless the clock leapt; the names of what went."""
        ...


class RecorderState(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorder has done, for people on call."""

    recorded: int
    dropped: int
    waiting: int
    waiting_bytes: int
    failing: bool
    """True while the store refuses batches; they are kept and tried again."""


class Recorder:
    """Owns the writer thread. `put` and `submit` may be called from any thread."""

    def __init__(
        self,
        store: RecordStore,
        *,
        queue_exchanges: int,
        queue_bytes: int,
        written: Sequence[Callable[[Sequence[Recording]], None]] = (),
    ) -> None:
        """`written` hear of every batch that is in the record, on the writer thread."""
        self._store = store
        self._written = written
        self._limit = queue_exchanges
        self._limit_bytes = queue_bytes
        self._waiting: deque[tuple[Recording, int]] = deque()
        """With what each weighs."""
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._calls: OrderedDict[tuple[str, str], SeenCall] = OrderedDict()
        self._recorded = 0
        self._dropped = 0
        self._failing = False
        self._swept = 0.0
        self._pause = _PAUSE_SECONDS
        self._thread = threading.Thread(target=self._run, name="stepwarden-writer", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def put(self, recording: Recording) -> bool:
        """Hand over a finished exchange; False where the queue is full and it was dropped."""
        size = _weight(recording)
        with self._lock:
            full = len(self._waiting) >= self._limit or self._waiting_bytes + size > self._limit_bytes
            if not full:
                self._waiting.append((recording, size))
                self._waiting_bytes += size
                if self._waiting_bytes - size < _ENOUGH_BYTES <= self._waiting_bytes:
                    self._wake.set()
        if full:
            self.lose(recording.exchange.exchange_id, "the queue is full")
        return not full

    def lose(self, exchange_id: str, why: str) -> None:
        """Count an exchange that will never be recorded."""
        with self._lock:
            self._dropped += 1
            dropped = self._dropped
        self._store.lost()
        if dropped & (dropped - 1) == 0:  # 1, 2, 4, 8 ...: loud, and not a flood
            log.error("exchange not recorded: %s", why, extra={"dropped": dropped, "exchange": exchange_id})

    @property
    def crowded(self) -> bool:
        """Whether new requests should wait a little: the writer lags behind, and is not stuck."""
        full = self._waiting_bytes > self._limit_bytes // _CROWDED or len(self._waiting) > self._limit // _CROWDED
        return full and not self._failing

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Run a job on the writer thread, after everything put before it."""
        future: Future[T] = Future()
        self._jobs.append((job, future))
        self._wake.set()
        return future

    def state(self) -> RecorderState:
        """Counters as they stand."""
        return RecorderState(
            recorded=self._recorded,
            dropped=self._dropped,
            waiting=len(self._waiting),
            waiting_bytes=self._waiting_bytes,
            failing=self._failing,
        )

    def stop(self, seconds: float) -> bool:
        """Write what waits, then end the thread; False where the store would not take all of it in time."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        return not self._thread.is_alive() and not self._waiting

    def _run(self) -> None:
        while not (self._stopping.is_set() and not self._waiting and not self._jobs):
            if not self._stopping.is_set():
                self._wake.wait(self._pause)
                self._wake.clear()
            jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
            waiting = len(self._waiting)
            self._pause = _BUSY_PAUSE_SECONDS if waiting >= _BUSY else _PAUSE_SECONDS
            self._write_all(until=waiting)
            for job, future in jobs:
                _fulfil(job, future)
            self._sweep()

    def _write_all(self, until: int) -> None:
        while until > 0:
            batch = self._take()
            if not batch or not self._write(batch):
                return
            until -= len(batch)

    def _take(self) -> list[Recording]:
        batch: list[Recording] = []
        size = 0
        with self._lock:
            while self._waiting and len(batch) < _BATCH and size < _BATCH_BYTES:
                recording, weight = self._waiting.popleft()
                size += weight
                batch.append(recording)
            self._waiting_bytes -= size
        return batch

    def _write(self, batch: list[Recording]) -> bool:
        """Write a batch, or one by one what is left of it; an exchange no store can take must not stop the others."""
        try:
            return self._append(batch)
        except Exception:
            if len(batch) > 1:
                written = [self._write([recording]) for recording in batch]
                return all(written)
            log.exception("an exchange could not be written")
            self.lose(batch[0].exchange.exchange_id, "it cannot be written")
            return True

    def _append(self, batch: list[Recording]) -> bool:
        for attempt, pause in enumerate((*_RETRY_SECONDS, _RETRY_SECONDS[-1])):
            try:
                linked = [self._link(recording) for recording in batch]
                self._store.append(linked)
            except StepwardenError as error:
                self._failing = True
                log.warning("recording failed, will retry", extra={"attempt": attempt + 1, "reason": str(error)})
                self._stopping.wait(pause)
            else:
                self._recorded += len(batch)
                self._failing = False
                self._tell(linked)
                return True
        self._give_back(batch)
        return False

    def _tell(self, batch: list[Recording]) -> None:
        """Who hears of it may fail; the batch is written all the same, and must not be written again."""
        for told in self._written:
            try:
                told(batch)
            except Exception:
                log.exception("whoever hears of what is recorded failed")

    def _give_back(self, batch: list[Recording]) -> None:
        if self._stopping.is_set():
            for recording in batch:
                self.lose(recording.exchange.exchange_id, "the store did not take it before the end")
            return
        back = [(recording, _weight(recording)) for recording in batch]
        with self._lock:
            self._waiting.extendleft(reversed(back))
            self._waiting_bytes += sum([weight for _, weight in back])

    def _sweep(self) -> None:
        if time.monotonic() - self._swept < _SWEEP_SECONDS or self._stopping.is_set():
            return
        self._swept = time.monotonic()
        try:
            gone = self._store.sweep(time.time_ns())
        except StepwardenError as error:
            log.warning("retention failed", extra={"reason": str(error)})
        else:
            if gone:
                log.info("retention dropped files", extra={"files": gone})

    def _link(self, recording: Recording) -> Recording:
        """Give each tool result the span, the end and the tool of the call it answers."""
        steps: list[Step] | None = None
        for place, step in enumerate(recording.steps):
            if step.call_id and (linked := self._linked(step, step.call_id)) is not step:
                steps = steps or list(recording.steps)
                steps[place] = linked
        return recording if steps is None else msgspec.structs.replace(recording, steps=tuple(steps))

    def _linked(self, step: Step, call_id: str) -> Step:
        key = (step.session_id, call_id)
        if step.kind == "tool_call":
            self._calls[key] = SeenCall(step.span_id, step.ended_ns, step.tool)
            if len(self._calls) > _REMEMBERED_CALLS:
                self._calls.popitem(last=False)
        elif step.kind == "tool_result" and step.call_span_id is None:
            found = self._calls.get(key) or self._store.find_call(*key)
            if found:
                return msgspec.structs.replace(
                    step, call_span_id=found.span_id, call_ended_ns=found.ended_ns, tool=step.tool or found.tool
                )
        return step


def _weight(recording: Recording) -> int:
    return len(recording.request.raw or b"") + len(recording.response.raw or b"") + 1024


def _fulfil(job: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except Exception as error:  # noqa: BLE001 - handed to whoever asked
        future.set_exception(error)
