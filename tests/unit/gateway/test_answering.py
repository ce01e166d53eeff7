"""An answer is written as HTTP has it, says nothing it may not say, and leaves its connection open for a while."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from gateway.answering import Arrival, Cycle
from gateway.config import Limits
from gateway.server import GuardedHttp, protocol_class

IDLE = 75


class Started:
    """A task of which nobody wants to know when it is done."""

    def add_done_callback(self, _: Any) -> None:
        return


class Clock:
    """A loop whose time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[SimpleNamespace] = []
        self.tasks: list[Coroutine[Any, Any, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Any:
        timer = SimpleNamespace(at=self.now + seconds, call=call, live=True)
        timer.cancel = lambda: setattr(timer, "live", False)
        self.timers.append(timer)
        return timer

    def create_task(self, work: Coroutine[Any, Any, Any]) -> Any:
        self.tasks.append(work)
        return Started()

    def carry(self) -> None:
        """Run what was started; nothing in it waits."""
        while self.tasks:
            with pytest.raises(StopIteration):
                self.tasks.pop(0).send(None)

    def pass_to(self, moment: float) -> None:
        while due := [timer for timer in self.timers if timer.live and timer.at <= moment]:
            first = min(due, key=lambda timer: timer.at)
            first.live, self.now = False, first.at
            first.call()
        self.now = moment


class Caller:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, _: str) -> None:
        return

    def resume_reading(self) -> None:
        return


class Line:
    """One connection to an application that answers every request alike."""

    def __init__(self, headers: list[tuple[bytes, bytes]], pieces: tuple[bytes, ...] = (b"ok",)) -> None:
        async def app(_: Any, __: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        self.clock, self.caller = Clock(), Caller()
        config = uvicorn.Config(app, log_config=None, timeout_keep_alive=IDLE)
        loop = cast("asyncio.AbstractEventLoop", self.clock)
        self.protocol: GuardedHttp = protocol_class(Limits())(config, ServerState(), {}, loop)
        self.protocol.connection_made(cast("asyncio.Transport", self.caller))

    def ask(self, method: str = "GET") -> bytes:
        """What comes back for one request."""
        before = len(self.caller.written)
        self.protocol.data_received(f"{method} / HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        self.clock.carry()
        return self.caller.written[before:]


def test_a_body_of_unknown_length_is_chunked_and_one_of_known_length_is_not() -> None:
    assert Line([], (b"one", b"two")).ask() == (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    )
    assert Line([(b"content-length", b"2")]).ask() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_a_head_request_gets_no_body() -> None:
    assert Line([(b"content-length", b"2")]).ask("HEAD") == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


@pytest.mark.parametrize("pieces", [(b"toolong",), (b"x",), ()])
def test_a_body_that_is_not_as_long_as_was_said_does_not_leave_its_connection_open(pieces: tuple[bytes, ...]) -> None:
    line = Line([(b"content-length", b"2")], pieces)
    body = line.ask().partition(b"\r\n\r\n")[2]
    assert (len(body) <= len(b"ok"), line.caller.closed) == (True, True)


@pytest.mark.parametrize(
    "header",
    [(b"a", b"b\r\nset-cookie: c"), (b"a", b"b\nc"), (b"a", b"\x00"), (b"a b", b"c"), (b"a:b", b"c"), (b"a", b"\x7f")],
)
def test_a_header_that_would_be_read_as_another_is_not_written(header: tuple[bytes, bytes]) -> None:
    line = Line([header])
    line.ask()
    assert header[0] + b": " + header[1] not in line.caller.written
    assert line.caller.closed


def test_an_answer_that_says_it_closes_does() -> None:
    line = Line([(b"connection", b"x, Close")])
    assert line.ask().count(b"onnection:") == 1
    assert line.caller.closed


def test_a_connection_is_kept_for_its_time_after_the_last_answer() -> None:
    line = Line([])
    line.ask()
    line.clock.pass_to(IDLE - 1)
    line.ask()
    line.clock.pass_to(2 * IDLE - 2)
    assert not line.caller.closed
    line.clock.pass_to(2 * IDLE - 1)
    assert line.caller.closed


def test_a_request_under_way_keeps_its_connection_as_long_as_it_takes() -> None:
    line = Line([])
    line.ask()
    line.protocol.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")  # whose answer has not begun
    line.clock.pass_to(10 * IDLE)
    assert not line.caller.closed
    line.clock.carry()
    line.clock.pass_to(11 * IDLE)
    assert line.caller.closed


def test_many_answers_set_one_timer() -> None:
    line = Line([])
    for _ in range(20):
        line.ask()
    assert sum(timer.at == IDLE for timer in line.clock.timers) == 1


def test_a_lost_connection_leaves_no_timer_behind() -> None:
    line = Line([])
    line.ask()
    line.protocol.connection_lost(ConnectionResetError())
    assert not any(timer.live for timer in line.clock.timers)


def whole(body: bytes) -> Cycle:
    """A request whose last byte has come."""
    arrived: Any = Arrival()
    caller: Any = Caller()
    cycle = Cycle(
        scope={},  # type: ignore[typeddict-item]
        transport=caller,
        flow=FlowControl(caller),
        logger=logging.getLogger("test"),
        access_logger=logging.getLogger("test"),
        access_log=False,
        default_headers=[],
        message_event=arrived,
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )
    cycle.body += body
    cycle.more_body = False
    arrived.set()
    return cycle


def test_a_request_that_is_whole_is_read_without_waiting_and_once() -> None:
    async def read() -> None:
        cycle = whole(b"all of it")
        assert await cycle.receive() == {"type": "http.request", "body": b"all of it", "more_body": False}
        more = asyncio.ensure_future(cycle.receive())
        await asyncio.sleep(0)
        assert not more.done()
        cycle.disconnected = True
        cycle.message_event.set()
        assert (await more)["type"] == "http.disconnect"

    asyncio.run(read())


def test_whoever_waits_for_a_request_is_woken_by_what_comes_and_several_are() -> None:
    async def wait() -> None:
        arrival = Arrival()
        waiting = [asyncio.ensure_future(arrival.wait()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        arrival.set()
        await asyncio.gather(*waiting)
        arrival.clear()
        later = asyncio.ensure_future(arrival.wait())
        await asyncio.sleep(0)
        assert not later.done()
        arrival.set()
        await later

    asyncio.run(wait())
