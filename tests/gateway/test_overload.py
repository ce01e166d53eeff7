"""Work beyond the gateway's limit is sent away at once, in the dialect; a gateway that ends finishes its work."""

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from gateway.demo import render
from gateway.demo.answers import Answer, Gate, Piece, compressed
from tests.fakes.provider import always, events, in_turn, say
from tests.gateway.house import CHAT, DIALECTS, PATIENT, Dialect, House, fresh, standing
from tests.gateway.rawhttp import BrokenOff, Response, Wire, request

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)

UNHURRIED = PATIENT.replace("drain_seconds = 5", "drain_seconds = 600")
"""What is left open at the end is waited for as long as a test takes."""


@pytest.fixture(scope="module")
def narrow_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("narrow"), more=PATIENT + "in_flight = 2\n") as house:
        yield house


def held(dialect: Dialect) -> tuple[Gate, Answer]:
    """A stream that waits before its last event."""
    gate, sent = Gate(), events(dialect.name)
    return gate, Answer(headers=render.SSE, body=(*sent[:-1], gate, sent[-1]), transfer="chunked")


def under_way(house: House, dialect: Dialect) -> tuple[Wire, Response]:
    wire = house.wire()
    return wire, wire.send(dialect.call(stream=True)).head()


def until_nobody_listens(house: House) -> None:
    """Come back to a gateway that ends; whoever it lets in is answered."""
    with suppress(ConnectionError, BrokenOff):
        while True:
            house.ask(request(b"/healthz", method=b"GET"))


@every_dialect
def test_what_exceeds_the_limit_is_sent_away_at_once_and_told_when_to_come_back(
    narrow_house: House, dialect: Dialect
) -> None:
    house = fresh(narrow_house)
    gate, answer = held(dialect)
    house.provider.script = always(answer)
    streams = [under_way(house, dialect) for _ in range(2)]
    got = house.ask(dialect.call(stream=True))
    assert got.status == 503, "it did not wait for one of the two, which go on"
    assert int(got.one(b"retry-after")) >= 1
    assert got.all(b"x-should-retry") == []
    assert json.loads(got.body)["error"]["message"]
    assert house.ask(request(b"/healthz", method=b"GET")).status == 200
    gate.open()
    for wire, head in streams:
        assert b"".join(wire.pieces(head)) == b"".join(events(dialect.name))
        wire.close()
    assert house.ask(dialect.call(stream=True)).status == 200


def test_a_gateway_told_to_end_finishes_its_streams_and_loses_nothing(tmp_path: Path) -> None:
    with standing(tmp_path, more=UNHURRIED) as house:
        gate, answer = held(CHAT)
        house.provider.script = always(answer)
        streams = [under_way(house, CHAT) for _ in range(5)]
        idle = house.wire().send(CHAT.call(headers=[(b"x-idle", b"1")]))
        house.gateway.process.send_signal(signal.SIGTERM)
        until_nobody_listens(house)
        gate.open()
        for wire, head in streams:
            assert b"".join(wire.pieces(head)) == b"".join(events("chat"))
            wire.close()
        idle.close()
        assert house.gateway.ended() == 0
        assert "stopped" in house.gateway.log
        recorded = json.loads(house.gateway.log.splitlines()[-1])
        assert (recorded["message"], recorded["dropped"]) == ("stopped", 0)
    with standing(tmp_path) as house:
        for _, head in streams:
            facts = house.facts(head.exchange)
            assert facts["outcome"] == "complete"
            assert house.kept(head.exchange, "response") == b"".join(events("chat"))


@every_dialect
def test_a_draining_gateway_sends_new_requests_away(tmp_path: Path, dialect: Dialect) -> None:
    with standing(tmp_path, more=UNHURRIED) as house:
        gate, answer = held(dialect)
        house.provider.script = in_turn(answer, say(dialect.name))
        kept_open = house.wire()
        assert kept_open.send(request(b"/healthz", method=b"GET")).response().status == 200
        wire, head = under_way(house, dialect)
        house.gateway.process.send_signal(signal.SIGTERM)
        refused = None
        try:
            while refused is None:
                got = house.ask(dialect.call())
                refused = got if got.status == 503 else None
        except (ConnectionError, BrokenOff):
            pass  # the listener is closed: new connections are refused
        if refused is not None:
            assert refused.all(b"retry-after")
        gate.open()
        assert b"".join(wire.pieces(head)) == b"".join(events(dialect.name))
        wire.close()
        kept_open.close()
        assert house.gateway.ended() == 0


def test_a_stream_that_outlives_the_drain_time_ends_in_an_error_and_is_recorded(tmp_path: Path) -> None:
    with standing(tmp_path, more=PATIENT.replace("drain_seconds = 5", "drain_seconds = 1")) as house:
        _, answer = held(CHAT)
        house.provider.script = always(answer)
        wire, head = under_way(house, CHAT)
        house.gateway.process.send_signal(signal.SIGTERM)
        rest = wire.rest()
        assert head.exchange.encode() in rest, "the caller is told which exchange was cut"
        wire.close()
        assert house.gateway.ended() == 0
    with standing(tmp_path) as house:
        facts = house.facts(head.exchange)
        assert facts["outcome"] == "timed_out"
        assert facts["note"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_interrupt_waits_for_nobody_and_what_it_cuts_is_an_error_and_recorded(
    tmp_path: Path, workers: int
) -> None:
    with standing(tmp_path, more=UNHURRIED, workers=workers) as house:
        _, answer = held(CHAT)
        house.provider.script = always(answer)
        wire, head = under_way(house, CHAT)
        house.gateway.process.send_signal(signal.SIGINT)
        until_nobody_listens(house)
        house.gateway.process.send_signal(signal.SIGINT)
        rest = wire.rest()
        assert head.exchange.encode() in rest
        wire.close()
        assert house.gateway.ended() == 0
        said = {line["message"]: line for line in map(json.loads, house.gateway.log.splitlines())}
        assert said["stopping"]["drain_seconds"] > 60, "it was not the drain time that ended it"
        assert said["stopped"]["dropped"] == 0
    with standing(tmp_path) as house:
        assert house.facts(head.exchange)["outcome"] == "timed_out"


@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_watches_and_comes_back_at_once_does_not_keep_a_gateway_from_its_end(
    tmp_path: Path, workers: int
) -> None:
    with standing(tmp_path, more=UNHURRIED, workers=workers) as house:
        watching = threading.Event()

        def watch() -> None:
            host = house.gateway.url.removeprefix("http://").encode()
            with suppress(OSError, BrokenOff):
                while True:
                    with house.wire(patience=60) as wire:
                        head = wire.send(request(b"/api/live", method=b"GET", host=host)).head()
                        for _ in wire.pieces(head):
                            watching.set()

        page = threading.Thread(target=watch)
        page.start()
        assert watching.wait(30)
        house.gateway.process.send_signal(signal.SIGTERM)
        assert house.gateway.ended() == 0
        page.join()


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_what_outlives_the_drain_time_is_answered_or_cut_without_a_fault_in_the_log(
    tmp_path: Path, coding: Literal["gzip"] | None
) -> None:
    with standing(tmp_path, more=PATIENT.replace("drain_seconds = 5", "drain_seconds = 1")) as house:
        gate, stream = held(CHAT)
        stream = stream if coding is None else compressed(stream, coding)
        silent = msgspec.structs.replace(say("chat"), body=(gate,), transfer="chunked")
        house.provider.script = lambda request: stream if b'"stream": true' in request.body else silent
        streaming, _ = under_way(house, CHAT)
        waiting = house.wire().send(CHAT.call())
        house.provider.wait_for(lambda it: len(it.requests) == 2)
        house.gateway.process.send_signal(signal.SIGTERM)
        got = waiting.response()
        assert (got.status, json.loads(got.body)["error"]["code"]) == (503, "shutting_down")
        assert int(got.one(b"retry-after")) >= 1
        streaming.rest()
        streaming.close()
        waiting.close()
        assert house.gateway.ended() == 0
        assert "Traceback" not in house.gateway.log
        assert "ASGI" not in house.gateway.log
    with standing(tmp_path) as house:
        facts = house.facts(got.exchange)
        assert (facts["outcome"], facts["status"]) == ("timed_out", 503)


def test_64_streams_at_once_are_all_clean_and_all_recorded(house: House) -> None:
    assert_clean(house, 64)


def assert_clean(house: House, count: int) -> None:
    """So many slow streams at once arrive whole and are recorded whole."""
    sent = events("chat")
    body = tuple(Piece(event, 0.1) for event in sent)
    house.provider.script = always(Answer(headers=render.SSE, body=body, transfer="chunked"))
    streams = [under_way(house, CHAT) for _ in range(count)]

    def finish(stream: tuple[Wire, Response]) -> bytes:
        with stream[0] as wire:
            return b"".join(wire.pieces(stream[1]))

    with ThreadPoolExecutor(16) as pool:
        bodies = list(pool.map(finish, streams))
    assert bodies == [b"".join(sent)] * count
    for _, head in streams:
        assert house.facts(head.exchange)["outcome"] == "complete"
