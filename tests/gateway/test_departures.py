"""A caller that leaves takes its upstream request with it; one that reads slowly costs bounded memory."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo import render
from gateway.demo.answers import Answer, Gate, Piece, SeenRequest
from gateway.demo.scenarios import HEADER, Endless
from tests.fakes.provider import always, events
from tests.gateway.house import ANTHROPIC, CHAT, DIALECTS, JSON, Dialect, House, waited
from tests.gateway.rawhttp import PATIENCE, request

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def aborted(house: House, mark: str) -> SeenRequest:
    """The request of this mark, once the provider has seen that nobody listens any more.

    No deadline of this house comes before the caller's departure does.
    """
    house.provider.wait_for(lambda it: any(each.header("x-mark") == mark and each.aborted for each in it.requests))
    return next(each for each in house.provider.requests if each.header("x-mark") == mark)


@every_dialect
@pytest.mark.parametrize("scenario", ["endless", "stall", "stall-before-headers"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_caller_that_leaves_cancels_the_providers_work(
    house: House, dialect: Dialect, scenario: str, *, stream: bool
) -> None:
    mark = f"{dialect.name}-{scenario}-{stream}"
    tag = (b"stepwarden-tags", f"mark={mark}".encode())
    headers = [(HEADER.encode(), scenario.encode()), (b"x-mark", mark.encode()), tag]
    with house.wire() as wire:
        wire.send(dialect.call(stream=stream, headers=headers))
        house.provider.wait_for(lambda it: any(each.header("x-mark") == mark for each in it.requests))
        if scenario != "stall-before-headers":
            wire.head()
    aborted(house, mark)
    facts = house.newest(lambda each: ["mark", mark] in each["tags"])
    assert facts["outcome"] == "client_aborted"
    assert facts["upstream_started_at"] is not None


def test_a_caller_that_leaves_with_requests_in_a_row_is_no_error(house: House) -> None:
    before = len(house.gateway.log)
    tag = (b"stepwarden-tags", b"mark=in-a-row")
    stalled = CHAT.call(headers=[(HEADER.encode(), b"stall-before-headers"), (b"x-mark", b"in-a-row"), tag])
    with house.wire() as wire:
        wire.send(stalled + CHAT.call())
        house.provider.wait_for(lambda it: any(each.header("x-mark") == "in-a-row" for each in it.requests))
    aborted(house, "in-a-row")
    assert house.newest(lambda each: ["mark", "in-a-row"] in each["tags"])["outcome"] == "client_aborted"
    house.ask(CHAT.call())
    assert '"error"' not in house.gateway.log[before:]


def test_an_upload_abandoned_halfway_is_abandoned_upstream(house: House) -> None:
    marks = [(b"x-mark", b"upload"), (b"stepwarden-tags", b"mark=upload")]
    head = request(b"/openai/v1/files", b"", headers=[(b"content-length", b"1000000"), *marks])
    begun = threading.Event()
    house.provider.early = lambda _: begun.set()
    with house.wire() as wire:
        wire.send(head + b"x" * 100_000)
        assert begun.wait(PATIENCE)
    assert not aborted(house, "upload").complete
    facts = house.newest(lambda each: ["mark", "upload"] in each["tags"])  # other files abandon uploads here, too
    assert (facts["path"], facts["outcome"]) == ("/v1/files", "client_aborted")
    assert facts["status"] is None, "no answer was sent, so none is recorded"
    assert facts["error_type"] is None


@pytest.mark.parametrize(
    ("framing", "sent"),
    [((b"content-length", b"1000"), b"abc"), ((b"transfer-encoding", b"chunked"), b"3\r\nabc\r\n")],
    ids=["declared", "chunked"],
)
def test_an_answer_to_an_upload_that_is_abandoned_halfway_ends_with_it(
    house: House, framing: tuple[bytes, bytes], sent: bytes
) -> None:
    mark = b"early " + framing[0]
    tag = (b"stepwarden-tags", b"mark=" + mark)
    endless = Answer(headers=(JSON,), body=Endless([b"[1, "], 0.01), transfer="chunked")
    house.provider.early = lambda _: endless
    with house.wire() as wire:
        wire.send(request(b"/openai/v1/files", headers=[framing, (b"x-mark", mark), tag]) + sent)
        assert wire.head().status == 200
    assert aborted(house, mark.decode())
    facts = house.newest(lambda each: ["mark", mark.decode()] in each["tags"])
    assert facts["outcome"] == "client_aborted"


def test_what_was_read_before_a_caller_left_is_recorded(house: House) -> None:
    gate = Gate()
    sent = events("anthropic")
    house.provider.script = always(Answer(headers=render.SSE, body=(*sent[:-1], gate, sent[-1]), transfer="chunked"))
    with house.wire() as wire:
        head = wire.send(ANTHROPIC.call(stream=True)).head()
        arriving = wire.pieces(head)
        got = b""
        while len(got) < sum(map(len, sent[:-1])):
            got += next(arriving)
    facts = house.facts(head.exchange)
    assert facts["outcome"] == "client_aborted"
    assert facts["usage"]["input_tokens"]
    assert house.kept(head.exchange, "response") == got
    assert [step["kind"] for step in facts["steps"]][-1] == "model_text"


class Flood:
    """200 MB of server-sent events; `sent` says how far the provider came."""

    def __init__(self) -> None:
        self.sent = 0

    def __iter__(self) -> Iterator[bytes | Piece]:
        event = b"event: ping\ndata: " + b"x" * 65_000 + b"\n\n"
        while self.sent < 200_000_000:
            self.sent += len(event)
            yield event


def resident(process: int) -> int:
    """Resident memory in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


def test_a_caller_that_does_not_read_costs_bounded_memory(house: House) -> None:
    flood = Flood()
    house.provider.script = always(Answer(headers=render.SSE, body=flood, transfer="chunked"))
    before = resident(house.gateway.process.pid)
    with house.wire() as wire:
        wire.send(CHAT.call(stream=True)).head()
        until = time.monotonic() + 30
        last, still = -1, 0
        while time.monotonic() < until and still < 10:  # the provider has come to a stop
            house.ask(request(b"/healthz", method=b"GET"))
            still = still + 1 if flood.sent == last else 0
            last = flood.sent
        assert still == 10, "the provider was let go on"
        grown = resident(house.gateway.process.pid) - before
    print(f"sent {flood.sent / 1e6:.1f} MB, grown {grown / 1e6:.1f} MB")
    assert flood.sent < 64_000_000
    assert grown < 32 << 20


def test_an_upload_no_provider_reads_costs_bounded_memory(house: House) -> None:
    house.provider.early = None
    before = resident(house.gateway.process.pid)
    piece = bytes(1 << 20)
    head = request(b"/openai/v1/files", b"", headers=[JSON, (b"content-length", b"%d" % (100 << 20))])
    with house.wire() as wire:
        wire.send(head)
        for _ in range(100):
            wire.send(piece)
        got = wire.response()
    grown = resident(house.gateway.process.pid) - before
    print(f"grown {grown / 1e6:.1f} MB")
    assert got.status == 200
    assert grown < 32 << 20
    facts = house.facts(got.exchange)
    assert facts["outcome"] == "complete"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel does not tell which timers run")
def test_the_kernel_probes_both_legs_of_a_call_that_is_silent(house: House) -> None:
    mark = [(HEADER.encode(), b"stall-before-headers"), (b"x-mark", b"silent")]
    provider = int(house.provider.url.rpartition(":")[2])
    with house.wire() as wire:
        wire.send(ANTHROPIC.call(headers=mark))
        house.provider.wait_for(lambda it: any(each.header("x-mark") == "silent" for each in it.requests))
        caller = wire.socket.getsockname()[1]
        gateway = house.gateway.address[1]
        assert waited(lambda: probed(gateway, caller) or None)
        assert waited(lambda: probed(None, provider) or None)


def probed(near: int | None, far: int) -> bool:
    """Whether the kernel's keep-alive timer (2) runs for all established connections between these ports.

    Another runs there as long as what was sent last is not acknowledged.
    """
    found: set[bool] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, _, timer = line.split()[:6]
        ports = int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16)
        if state == "01" and ports[1] == far and near in (None, ports[0]):
            found.add(timer.startswith("02:"))
    return found == {True}
