"""The live feed of a gateway process: a viewer that stops reading holds nobody up and costs what its buffers hold."""

import json
import secrets
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.demo import render
from gateway.demo.answers import Answer, Gate
from tests.fakes.provider import CALL, THOUGHT, TOOL_TURN, always, events
from tests.fakes.screen import events as happened
from tests.gateway.house import ANTHROPIC, House, standing

LITTLE, MUCH = 16 << 10, 1 << 20
HEAVY = "\x01" * 1900
"""JSON spells each of these characters with six."""

MOST = 6 << 20
"""Bytes: what waits for one viewer, a chunk, and what the system holds between two processes, twice where a worker
relays."""


@contextmanager
def viewer(house: House, room: int, *, who: str = "", version: str = "1.1") -> Generator[socket.socket]:
    """A connection that watches, with so much room of its own. `who`: a header line."""
    with closing(socket.socket()) as watching:
        watching.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        watching.settimeout(20)
        watching.connect(house.gateway.address)
        host, port = house.gateway.address
        watching.sendall(f"GET /api/live HTTP/{version}\r\nhost: {host}:{port}\r\n{who}\r\n".encode())
        told(watching, b": watching")
        yield watching


def heavy() -> bytes:
    messages = [{"role": "user", "content": f"{secrets.token_hex(8)} {HEAVY}"} for _ in range(8)]
    return ANTHROPIC.call(body=ANTHROPIC.request_body(stream=False, messages=messages))


def told(watching: socket.socket, what: bytes, count: int = 1) -> bytes:
    said = b""
    while said.count(what) < count:
        more = watching.recv(1 << 20)
        assert more, "the feed ended"
        said += more
    return said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_viewer_that_stops_reading_holds_nobody_up_and_is_told_what_it_missed(tmp_path: Path, workers: int) -> None:
    at_once, rounds = 8, 12
    with standing(tmp_path, workers=workers) as house, viewer(house, LITTLE) as stalled, viewer(house, MUCH) as reading:
        for _ in range(rounds):
            for _ in range(at_once):
                assert house.ask(heavy()).status == 200
            # these fit into what waits for a viewer, so whoever reads them now misses nothing
            assert b"event: dropped" not in told(reading, b"event: exchange\n", at_once)
        said = told(stalled, b"event: dropped\n")
        assert len(said) < MOST < rounds * at_once * 8 * 6 * len(HEAVY)
        rest = said.rpartition(b"event: dropped\n")[2]
        while b"\n\n" not in rest:
            rest += stalled.recv(4096)
        assert json.loads(rest.partition(b"data: ")[2].partition(b"\n")[0])["events"] > 0
        assert house.status()["counters"]["viewers"] == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_who_may_watch_no_more_is_let_go_and_others_go_on(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, workers=workers) as house, httpx.Client(base_url=house.gateway.url, timeout=20) as page:
        staff, guest = (house.key(name=name, role="viewer", app="default") for name in ("ada", "bea"))
        me = page.post("/api/sign-in", json={"key": staff["secret"]}).json()
        cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
        with (
            viewer(house, MUCH, who=f"authorization: Bearer {staff['secret']}\r\n") as staying,
            viewer(house, MUCH, who=f"authorization: Bearer {guest['secret']}\r\n") as leaving,
            viewer(house, MUCH, who=f"cookie: {cookie}\r\n") as signing_out,
        ):
            assert house.control(f"/api/keys/{guest['key']['key_id']}/revoke", method="POST", body={})[0] == 200
            assert page.post("/api/sign-out", json={}, headers={"stepwarden-csrf": me["csrf"]}).status_code == 200
            for each in (leaving, signing_out):
                told(each, b"0\r\n\r\n")
            assert house.ask(heavy()).status == 200
            told(staying, b"event: exchange\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_caller_that_knows_no_chunks_is_sent_none(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, workers=workers) as house, viewer(house, MUCH, version="1.0") as watching:
        assert house.ask(heavy()).status == 200
        said = told(watching, b"event: exchange\n")
        while not said.endswith(b"\n\n"):
            said += watching.recv(1 << 20)
        lines = said.removeprefix(b"\n").splitlines()
        assert {line.partition(b" ")[0] for line in lines} <= {b"event:", b"id:", b"data:", b"", b":"}


def in_parts(sent: list[bytes]) -> tuple[list[bytes | Gate], list[Gate]]:
    """An answer that stops after each block until its gate is opened."""
    body: list[bytes | Gate] = []
    gates: list[Gate] = []
    for event in sent:
        body.append(event)
        if b"content_block_stop" in event:
            gates.append(Gate())
            body.append(gates[-1])
    return body, gates


@pytest.mark.parametrize("workers", [1, 2])
def test_steps_are_seen_as_they_happen_each_in_its_own_words_and_once(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, workers=workers) as house, viewer(house, MUCH, version="1.0") as watching:
        body, gates = in_parts(events(ANTHROPIC.name, TOOL_TURN))
        house.provider.script = always(Answer(headers=render.SSE, body=tuple(body), transfer="chunked"))
        with house.wire() as wire:
            exchange = wire.send(ANTHROPIC.call(stream=True)).head().exchange
            said = b""
            for count, gate in enumerate(gates, 1):
                while said.count(b'"side":"response"') < count:
                    said += watching.recv(1 << 20)
                assert b"event: exchange\n" not in said, "the answer has not ended"
                gate.open()
            while b"event: exchange\n" not in said:
                said += watching.recv(1 << 20)
        shown = happened(said.partition(b"event: exchange\n")[0])
        assert [name for name, _ in shown] == ["begun", *["step"] * (len(shown) - 1)]
        house.facts(exchange)
        kept = json.loads(house.control(f"/api/exchanges/{exchange}?text=10000")[1])["steps"]
        steps = [(data["step_id"], data["side"], data["text"]) for _, data in shown[1:]]
        assert steps == [(each["step_id"], each["side"], each["text"]) for each in kept]
        assert [text for _, side, text in steps if side == "response"] == [THOUGHT, TOOL_TURN.text, CALL.arguments]
