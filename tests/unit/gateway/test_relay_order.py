"""A stream's chunk is with the caller before the gateway reads it; trouble with the record reaches nobody."""

import asyncio
from typing import Any

import pytest

from gateway.config import Config
from gateway.exchange import DataPlane, Gate
from gateway.heads import head_of
from gateway.ids import secrets_of
from gateway.passage import Passage
from gateway.prices import Prices
from gateway.server import Door
from gateway.stations.asks import Done
from gateway.stations.benches import Supervision
from gateway.stations.observe import Observation
from gateway.wire.dialects import dialects
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.keys import Principal
from policies.vocabulary.sessions import Join

CHUNKS = [b'event: message_start\ndata: {"type":"message_start"}\n\n', b'data: {"type":"ping"}\n\n', b"data: x\n\n"]


class Chunks:
    """A provider's answer that is all there."""

    status = 200
    headers = ((b"content-type", b"text/event-stream"),)

    def __init__(self, chunks: list[bytes]) -> None:
        self._left = list(chunks)

    async def read(self) -> bytes:
        return self._left.pop(0) if self._left else b""

    def close(self) -> None:
        self._left.clear()


JOIN = Join(
    session_id="s",
    branch_id="b",
    evidence="none",
    relation="opens",
    derived=True,
    trace_id=b"t" * 16,
    branch_span_id=b"s" * 8,
)
KNOWN = dialects()
CONFIG = Config.load(None, environ={})


class Full:
    """A keeper that takes nothing any more."""

    def __init__(self) -> None:
        self.asked = 0
        self.lost: list[str] = []

    def close(self, recording: Recording) -> None:
        del recording
        self.asked += 1
        raise OSError(28, "No space left on device")

    def lose(self, exchange_id: str, why: str) -> None:
        del why
        self.lost.append(exchange_id)


def plane_before(keeper: Any) -> DataPlane:
    nobody: Any = None
    return DataPlane(
        CONFIG.providers["anthropic"],
        dialects=KNOWN,
        client=nobody,
        keeper=keeper,
        prices=Prices.load(None),
        limits=CONFIG.limits,
        gate=Gate(1),
        supervision=Supervision({}),
        environ={},
    )


def passage(started_ns: int = 1) -> Passage:
    return Passage(
        exchange_id="01", started_ns=started_ns, provider="anthropic", dialect=KNOWN.anthropic, operation="chat",
        method="POST", target="/v1/messages", caller_headers=[], blinds=secrets_of(16),
    )  # fmt: skip


def test_a_record_that_cannot_be_kept_is_logged_and_counted_and_breaks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keeper = Full()
    one = passage()
    one.principal = Principal(role="app", app="default")
    plane_before(keeper)._record(one)
    assert (keeper.asked, keeper.lost) == (1, ["01"])
    assert [record.message for record in caplog.records] == ["an exchange could not be recorded"]


def test_a_caller_nobody_knows_leaves_no_record_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Full()
    plane_before(keeper)._record(passage())
    assert (keeper.asked, keeper.lost, caplog.records) == (0, [], [])


@pytest.mark.parametrize("started_ns", [1, 1 << 62], ids=["set forward since", "set back since"])
def test_a_clock_that_is_set_while_a_call_is_under_way_changes_no_time_of_it(started_ns: int) -> None:
    one = passage(started_ns=started_ns)
    one.principal = Principal(role="app", app="default")
    one.upstream_started_ns = one.now()
    for chunk in CHUNKS:
        plane_before(None)._observe(one, [(b"content-type", b"text/event-stream")]).feed(chunk)
    told = one.recording(Prices.load(None)).exchange
    moments = [told.started_ns, told.upstream_started_ns, told.first_byte_ns, told.ended_ns]
    assert moments == sorted(moments)
    assert told.started_ns == started_ns
    assert told.ended_ns - told.started_ns < 60 * 10**9


def test_each_chunk_of_a_stream_has_left_before_it_is_read() -> None:
    plane, one = plane_before(None), passage()
    answer = Chunks(CHUNKS)
    seen = one.observation = Observation(
        KNOWN.anthropic, "chat", head_of(answer.headers), keep=1 << 20, limits=CONFIG.limits
    )
    sent: list[bytes] = []
    read_by_then: list[int] = []

    async def send(message: Any) -> None:
        sent.append(message["body"])
        read_by_then.append(seen.length)

    asyncio.run(plane._relay_stream(one, answer, seen, send))
    assert sent[:3] == CHUNKS
    assert read_by_then[:3] == [0, len(CHUNKS[0]), len(CHUNKS[0]) + len(CHUNKS[1])]


@pytest.mark.parametrize("started", [False, True])
def test_a_fault_of_ours_that_cannot_even_be_told_cuts_the_connection(
    caplog: pytest.LogCaptureFixture, *, started: bool
) -> None:
    cuts: list[bool] = []
    one = passage()
    one.door = Door(lambda: cuts.append(True), lambda: None)
    one.started = started

    async def send(message: Any) -> None:
        raise RuntimeError(message["type"])

    asyncio.run(plane_before(None)._fail(one, send))
    assert cuts == [True]
    assert len(caplog.records) == (0 if started else 1)


class Told:
    """A keeper that only listens for how replies end."""

    def __init__(self, *, here: bool) -> None:
        self.here = here
        self.done: list[Done] = []

    def finish(self, done: Done) -> None:
        self.done.append(done)


async def relayed(keeper: Told) -> tuple[list[int], list[int]]:
    """A document in two pieces: of how many ends the keeper knew as each left, and when the loop came to others."""
    one = passage()
    one.join = JOIN
    body = b'{"type":"message","role":"assistant","content":[],"stop_reason":"end_turn"}'
    head = head_of([(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))])
    seen = one.observation = Observation(KNOWN.anthropic, "chat", head, keep=1 << 20, limits=CONFIG.limits)
    known_by_then: list[int] = []
    known_to_others: list[int] = []

    async def send(message: Any) -> None:
        del message
        known_by_then.append(len(keeper.done))
        asyncio.get_running_loop().call_soon(lambda: known_to_others.append(len(keeper.done)))

    await plane_before(keeper)._relay_document(one, Chunks([body[:9], body[9:]]), b"", seen, send)
    await asyncio.sleep(0)
    return known_by_then, known_to_others


def test_a_keeper_elsewhere_knows_a_document_before_its_last_bytes_leave() -> None:
    known_by_then, _ = asyncio.run(relayed(Told(here=False)))
    assert known_by_then == [0, 1]


def test_a_keeper_on_this_loop_knows_a_document_before_the_loop_takes_anything_else() -> None:
    known_by_then, known_to_others = asyncio.run(relayed(Told(here=True)))
    assert known_by_then == [0, 0]  # the caller does not wait for it
    assert known_to_others == [1, 1]
