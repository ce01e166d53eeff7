"""The live feed of a gateway process: a viewer that stops reading holds nobody up and costs what its buffers hold."""

import json
import re
import secrets
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.demo import render
from gateway.demo.answers import Answer, Gate
from tests.fakes.provider import always, events
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


@pytest.mark.parametrize("workers", [1, 2])
def test_steps_are_seen_while_the_answer_still_streams_and_none_of_them_twice(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, workers=workers) as house, viewer(house, MUCH) as watching:
        gate, sent = Gate(), events(ANTHROPIC.name)
        house.provider.script = always(
            Answer(headers=render.SSE, body=(*sent[:-1], gate, sent[-1]), transfer="chunked")
        )
        with house.wire() as wire:
            wire.send(ANTHROPIC.call(stream=True)).head()
            said = told(watching, b"event: begun\n")
            while said.count(b'"side":"response"') < 1:
                said += watching.recv(1 << 20)
            assert b"event: exchange\n" not in said, "the answer has not ended"
            assert b'"kind":"user_input"' in said
            gate.open()
            said += told(watching, b"event: exchange\n")
        steps = re.findall(rb"id: (\S+)\ndata: {\"step_id\"", said)
        exchange = re.findall(rb"event: exchange\nid: (\S+)", said)[0]
        assert len(steps) == len(set(steps))
        assert {step.partition(b".")[0] for step in steps} == {exchange}
