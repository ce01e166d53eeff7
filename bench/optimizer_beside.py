"""What a run of the optimizers costs the requests beside it: the same gateway, in turn with such a run and without."""

import argparse
import http.client
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

from rich.progress import track

from bench.sheet import Sheet, table
from gateway.cli import client
from gateway.cli.optimize import followed
from gateway.cli.running import RunningGateway
from gateway.demo import refunds
from gateway.demo.background import BackgroundProvider
from gateway.demo.playback import Playback
from gateway.demo.scenarios import Scenarios

LABELLED: Final = 300
"""Recorded sessions with a label each: what a run reads and replays."""

ROUNDS: Final = 8
REQUESTS: Final = 100
"""In each round so many beside a run, and so many without one."""

_HEADERS: Final = {"content-type": "application/json", "x-api-key": "sk-bench", "anthropic-version": "2023-06-01"}
_AT_A_TIME: Final = 4


class _Caller:
    """One caller on one connection."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)

    def call(self, order: int, *, given_away: bool) -> float:
        """One request; seconds until its answer is whole."""
        body = refunds.request(refunds.asked(order, given_away=given_away))
        began = time.perf_counter()
        self._connection.request("POST", "/anthropic/v1/messages", body, _HEADERS)
        self._connection.getresponse().read()
        return time.perf_counter() - began


def beside(args: argparse.Namespace) -> Sheet:
    """The median latency of requests beside a run, over that without one, in one process, round by round."""
    del args
    with TemporaryDirectory(prefix="stepwarden-bench-") as folder, _gateway(Path(folder)) as gateway:
        _labelled(gateway)
        alone, together, ratios = list[float](), list[float](), list[float]()
        number, runs = 20_000, 0
        for turn in track(range(ROUNDS), description="requests beside a run"):
            found: dict[bool, list[float]] = {False: [], True: []}
            for busy in (turn % 2 == 0, turn % 2 == 1):
                with _run(gateway) if busy else _nothing() as running:
                    caller = _Caller(gateway.url)
                    caller.call(10_000 + turn, given_away=False)
                    for _ in range(REQUESTS):
                        found[busy].append(caller.call(number, given_away=False))
                        number += 1
                    runs += busy and running.is_set()
            alone += found[False]
            together += found[True]
            ratios.append(median(found[True]) / median(found[False]))
    moved = median(together) / median(alone) - 1
    rows = [
        ("without", f"{1000 * median(alone):.2f} ms", f"{1000 * _quantile(alone, 0.95):.2f} ms"),
        ("beside a run", f"{1000 * median(together):.2f} ms", f"{1000 * _quantile(together, 0.95):.2f} ms"),
    ]
    summary = (
        f"Runs over {LABELLED} labelled sessions beside one caller, in turn with none, {ROUNDS} rounds of {REQUESTS} "
        f"requests each way; in {runs} of them a run lasted to the end of the round. The median moves by "
        f"{100 * moved:+.1f} % (rounds: {100 * (min(ratios) - 1):+.1f} to {100 * (max(ratios) - 1):+.1f} %, "
        f"median {100 * (median(ratios) - 1):+.1f} %); less than 5 % is wanted."
    )
    lines = [summary, "", *table(("requests", "p50", "p95"), rows)]
    figures = {"p50": [median(alone), median(together)], "ratios": ratios, "beside_to_the_end": runs}
    return Sheet(title="Requests beside a run", figures=figures, lines=lines, pictures=[])


@contextmanager
def _gateway(folder: Path) -> Generator[RunningGateway]:
    provider = BackgroundProvider(Scenarios(Playback((), speed=10_000, beyond=refunds.turn)))
    with provider as upstream:
        settings = {"STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": upstream.url, **refunds.SETTINGS}
        with RunningGateway(folder, settings) as gateway:
            yield gateway


def _labelled(gateway: RunningGateway) -> None:
    """Record sessions, one in four of them honest, and label the call of each."""

    def some(part: int) -> None:
        caller = _Caller(gateway.url)
        for order in range(part, LABELLED, _AT_A_TIME):
            caller.call(order, given_away=order % 4 != 0)

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        list(pool.map(some, range(_AT_A_TIME)))
    with client.here(gateway.config) as api:
        while len(listed := api.get("/api/exchanges", limit=1000)["exchanges"]) < LABELLED:
            time.sleep(0.1)
        for at, exchange in enumerate(track(listed, description="labels")):
            for step in api.get(f"/api/exchanges/{exchange['exchange_id']}", text=200)["steps"]:
                if step["kind"] == "tool_call":
                    label = "violation" if "goodwill" in (step["text"] or "") else "ok"
                    given = {"label": label, "by": refunds.PERSONS[at % 2]}
                    api.post(f"/api/steps/{step['step_id']}/label", given)


@contextmanager
def _run(gateway: RunningGateway) -> Generator[threading.Event]:
    """A run that begins over until what stands inside is done; set while one runs."""
    running, over = threading.Event(), threading.Event()

    def runs() -> None:
        with client.here(gateway.config) as api:
            while not over.is_set():
                running.set()
                followed(api, {"dry_run": True}, quiet=True)
        running.clear()

    thread = threading.Thread(target=runs, name="bench-run")
    thread.start()
    running.wait()
    try:
        yield running
    finally:
        over.set()
        thread.join()


@contextmanager
def _nothing() -> Generator[threading.Event]:
    yield threading.Event()


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[int(part * (len(values) - 1))]


def main() -> None:
    """This part alone."""
    found: Any = beside(argparse.Namespace())
    print("\n".join(found.lines))


if __name__ == "__main__":
    main()
