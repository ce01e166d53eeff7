"""Killing a gateway under load, again and again, and looking at what its record still holds.

What the API has shown once is durable: it was read from a finished batch. The loss window is the time between the
end of an answer and the moment the API shows its exchange. The app is strict, so a receipt that a caller holds names
an entry of the audit log, whatever was killed since; and the log verifies after every start.
"""

import json
import os
import random
import signal
import statistics
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from bench.processes import cpu_seconds
from gateway.demo.background import BackgroundProvider
from policies.vocabulary.audit import Receipt
from tests.fakes.audit import assert_holds, lines_of, receipt_in, verified
from tests.fakes.gateway import GatewayProcess, running_gateway
from tests.gateway.house import DIALECTS, House, waited
from tests.gateway.rawhttp import BrokenOff

_CALLERS = 4
_SHOWN = 2
"""Exchanges that the API must have shown in a whole campaign, or it has proven nothing."""

STRICT = '[app.default]\naudit = "strict"\n'
_READY_WITHIN = 600.0
"""Seconds of wall clock until a killed gateway is ready again: they find what hangs, not what is slow."""

_READY_FOR = 30.0
"""CPU seconds a process may spend on it, whatever its machine does beside: recovery must not grow with the record."""

Acknowledged = dict[str, tuple[bytes, bytes]]
"""Request and response bytes of exchanges the API has shown, by exchange id."""


@dataclass
class Load:
    """Callers that never stop, and a reader that notes what the API shows."""

    house: House
    chance: random.Random
    answered: dict[str, tuple[bytes, bytes, float]] = field(default_factory=dict)
    acknowledged: Acknowledged = field(default_factory=dict)
    windows: list[float] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    start: tuple[float, float] = (0.0, 0.0)
    """Seconds until the gateway was ready, on the wall and of its CPU."""
    over: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        """Call until the gateway is gone."""
        while not self.over.is_set():
            dialect = self.chance.choice(DIALECTS)
            noise = self.chance.randbytes(self.chance.choice([20, 2_000, 20_000])).hex()
            stream = self.chance.random() < 0.5
            body = dialect.request_body(stream=stream).replace(b"six times seven", noise.encode())
            try:
                got = self.house.ask(dialect.call(body=body))
            except (OSError, BrokenOff, ValueError, IndexError):
                return
            self.answered[got.exchange] = (body, got.body, time.monotonic())
            if got.status == 200:  # a worker that has lost its keeper refuses, and logs nothing
                self.receipts.append(receipt_in(got.one(b"stepwarden-receipt")))

    def read(self) -> None:
        """Note what is shown until the gateway is gone."""
        while not self.over.is_set():
            with suppress(OSError, HTTPException, ValueError, KeyError):
                listed = json.loads(self.house.control("/api/exchanges?limit=200")[1])["exchanges"]
                now = time.monotonic()
                for each in listed:
                    self._note(each["exchange_id"], now)

    def _note(self, exchange: str, now: float) -> None:
        found = self.answered.get(exchange)
        if found is not None and exchange not in self.acknowledged:
            self.acknowledged[exchange] = found[:2]
            self.windows.append(now - found[2])


def kill_once(
    folder: Path, provider: BackgroundProvider, chance: random.Random, *, workers: int, least: int = 0
) -> Load:
    """Start a gateway on this folder, load it, kill it with SIGKILL at a random moment.

    Not before the API has shown as many exchanges as `least` says: a busy machine may show none in that time.
    """
    providers = {"anthropic": provider.url, "openai": provider.url}
    options = ("--workers", str(workers))
    begun = time.monotonic()
    with running_gateway(folder, providers, more=STRICT, options=options, ready_within=_READY_WITHIN) as gateway:
        start = (time.monotonic() - begun, cpu_seconds(gateway.process.pid))
        assert start[1] < _READY_FOR, start
        load = Load(House(provider, gateway), random.Random(chance.random()), start=start)
        threads = [threading.Thread(target=load.call) for _ in range(_CALLERS)]
        threads.append(threading.Thread(target=load.read))
        for thread in threads:
            thread.start()
        try:
            threading.Event().wait(chance.uniform(0.05, 0.8))
            waited(lambda: len(load.acknowledged) >= least or None)
            end_brutally(gateway)
        finally:
            load.over.set()
        for thread in threads:
            thread.join()
    return load


def end_brutally(gateway: GatewayProcess) -> None:
    """SIGKILL, and wait until its workers are gone too."""
    os.kill(gateway.process.pid, signal.SIGKILL)
    gateway.process.wait(10)


def verify(folder: Path, provider: BackgroundProvider, acknowledged: Acknowledged, receipts: list[Receipt]) -> None:
    """Open the record and compare every acknowledged exchange to the byte, and every receipt with the log."""
    providers = {"anthropic": provider.url, "openai": provider.url}
    with running_gateway(folder, providers, ready_within=_READY_WITHIN) as gateway:
        house = House(provider, gateway)
        for exchange, (request_body, response_body) in acknowledged.items():
            assert house.kept(exchange, "request") == request_body, exchange
            assert house.kept(exchange, "response") == response_body, exchange
    assert gateway.process.returncode == 0
    verified(folder / "data")
    assert_holds(lines_of(folder / "data"), receipts)


def campaign(folder: Path, provider: BackgroundProvider, *, kills: int, seed: int, workers: int) -> None:
    """Kill so many times; after each few, and at the end, everything acknowledged must still be there."""
    chance = random.Random(seed)
    acknowledged: Acknowledged = {}
    windows: list[float] = []
    receipts: list[Receipt] = []
    starts: list[tuple[float, float]] = []
    answered = 0
    for number in range(kills):
        least = _SHOWN - len(windows) if number == kills - 1 else 0
        load = kill_once(folder, provider, chance, workers=workers, least=least)
        acknowledged |= load.acknowledged
        windows += load.windows
        receipts += load.receipts
        starts.append(load.start)
        answered += len(load.answered)
        if number % 10 == 0:
            verify(folder, provider, load.acknowledged, receipts)
    verify(folder, provider, acknowledged, receipts)
    assert acknowledged
    assert receipts
    spread = statistics.quantiles(windows, n=100)
    wall, cpu = zip(*starts, strict=True)
    print(
        f"seed {seed}: {kills} kills, {answered} answered, {len(acknowledged)} acknowledged, "
        f"{len(receipts)} receipts, 0 lost; "
        f"answer's end to shown by the API: p50 {spread[49] * 1e3:.0f} ms, p99 {spread[98] * 1e3:.0f} ms, "
        f"longest {max(windows) * 1e3:.0f} ms; killed to ready: median {statistics.median(wall):.1f} s, longest "
        f"{max(wall):.1f} s, CPU median {statistics.median(cpu):.1f} s, most {max(cpu):.1f} s"
    )
