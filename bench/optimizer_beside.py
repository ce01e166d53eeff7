"""What a run of the optimizers costs the requests beside it: the same gateway, in turn with such a run and without."""

import argparse
import http.client
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

from rich.progress import track

from bench.processes import children_cpu_seconds, tree
from bench.sheet import Sheet, table
from gateway.cli import client
from gateway.cli.following import followed
from gateway.cli.running import RunningGateway
from gateway.demo import refunds
from gateway.demo.background import BackgroundProvider
from gateway.demo.playback import Playback
from gateway.demo.scenarios import Scenarios

ROUNDS: Final = 12
REQUESTS: Final = 150
"""In each round so many beside a run, and so many without one."""

WARM: Final = 50
"""Requests before those that count: a run makes way a moment after the first."""

_HEADERS: Final = {"content-type": "application/json", "x-api-key": "sk-bench", "anthropic-version": "2023-06-01"}
_AT_A_TIME: Final = 4


class _Caller:
    """One caller on one connection."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)

    def call(self, order: int, *, given_away: bool) -> tuple[float, str]:
        """One request; seconds until its answer is whole, and its exchange."""
        body = refunds.request(refunds.asked(order, given_away=given_away))
        began = time.perf_counter()
        self._connection.request("POST", "/anthropic/v1/messages", body, _HEADERS)
        answer = self._connection.getresponse()
        answer.read()
        return time.perf_counter() - began, answer.headers["stepwarden-exchange"]


def beside(args: argparse.Namespace) -> Sheet:
    """The median latency of requests beside a run, over that without one, in one process, round by round."""
    sessions: int = args.sessions
    with TemporaryDirectory(prefix="stepwarden-bench-") as folder, _gateway(Path(folder)) as gateway:
        _labelled(gateway, sessions)
        whole = _whole_run(gateway)
        alone, together = list[float](), list[float]()
        ratios, shares = list[float](), list[float]()
        orders, runs = iter(range(10 * sessions, 10**9)), 0
        for turn in track(range(ROUNDS), description="requests beside a run"):
            found: dict[bool, list[float]] = {False: [], True: []}
            for busy in (turn % 2 == 0, turn % 2 == 1):
                with _run(gateway) if busy else _nothing() as running:
                    caller = _Caller(gateway.url)
                    for _ in range(WARM):
                        caller.call(next(orders), given_away=False)
                    cpu, began = children_cpu_seconds(gateway.pid), time.monotonic()
                    found[busy] = [caller.call(next(orders), given_away=False)[0] for _ in range(REQUESTS)]
                    shares += [(children_cpu_seconds(gateway.pid) - cpu) / (time.monotonic() - began)] if busy else []
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
        f"Runs over {sessions} labelled sessions beside one caller, in turn with none, {ROUNDS} rounds of {REQUESTS} "
        f"requests each way; in {runs} of them a run lasted to the end of the round, and their processes had "
        f"{100 * median(shares):.0f} % of one processor meanwhile (median). The median of requests moves by "
        f"{100 * moved:+.1f} % (rounds: {100 * (min(ratios) - 1):+.1f} to {100 * (max(ratios) - 1):+.1f} %, "
        f"median {100 * (median(ratios) - 1):+.1f} %); less than 5 % is wanted. With no request beside it, a run took "
        f"{whole:.0f} s from the question to the report; 600 s are wanted for 10,000 sessions."
    )
    figures = {
        "p50": [median(alone), median(together)], "ratios": ratios, "beside_to_the_end": runs,
        "sessions": sessions, "share_of_a_processor": median(shares), "run_seconds": whole,
    }  # fmt: skip
    return Sheet(
        title="Requests beside a run",
        figures=figures,
        lines=[summary, "", *table(("requests", "p50", "p95"), rows)],
        pictures=[],
    )


@contextmanager
def _gateway(folder: Path) -> Generator[RunningGateway]:
    provider = BackgroundProvider(Scenarios(Playback((), speed=10_000, beyond=refunds.turn)))
    with provider as upstream:
        settings = {"STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": upstream.url, **refunds.SETTINGS}
        with RunningGateway(folder, settings) as gateway:
            yield gateway


def _labelled(gateway: RunningGateway, sessions: int) -> None:
    """Record sessions, one in four of them honest, and label the call of each."""

    def some(part: int) -> list[tuple[int, str]]:
        caller = _Caller(gateway.url)
        return [(at, caller.call(at, given_away=at % 4 != 0)[1]) for at in range(part, sessions, _AT_A_TIME)]

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        recorded = sorted(each for part in pool.map(some, range(_AT_A_TIME)) for each in part)
    with client.here(gateway.config) as api:
        last = f"/api/exchanges/{recorded[-1][1]}"
        steps = _settled(lambda: api.get(last)["steps"])
        number = next(step["step_id"] for step in steps if step["kind"] == "tool_call").partition(".")[2]
        for at, exchange in track(recorded, description="labels"):
            given = {"label": "ok" if at % 4 == 0 else "violation", "by": f"{refunds.PERSONS[at // 4 % 2]} {at // 80}"}
            api.post(f"/api/steps/{exchange}.{number}/label", given)


def _settled(read: Any) -> Any:
    """What is recorded, once it is."""
    while True:
        with suppress(client.GatewayRefused):
            return read()
        time.sleep(0.1)


def _whole_run(gateway: RunningGateway) -> float:
    """Seconds that one run takes which has the machine to itself."""
    began = time.monotonic()
    with client.here(gateway.config) as api:
        followed(api, "/api/optimize", {"dry_run": True}, doing="a run alone", quiet=True)
    return time.monotonic() - began


@contextmanager
def _run(gateway: RunningGateway) -> Generator[threading.Event]:
    """A run that begins over until what stands inside is done; set while one runs."""
    running, over = threading.Event(), threading.Event()

    def runs() -> None:
        with client.here(gateway.config) as api:
            while not over.is_set():
                with suppress(client.GatewayRefused):  # the one before is not quite over
                    api.follow("/api/optimize", lambda name, _: _going_on(name, running, over), {"dry_run": True})
        running.clear()

    thread = threading.Thread(target=runs, name="bench-run")
    thread.start()
    running.wait()
    try:
        yield running
    finally:
        over.set()
        thread.join()
        while len(tree(gateway.pid)) > 1:  # nobody follows it any more, and the next round is to be without one
            time.sleep(0.05)


def _going_on(name: str, running: threading.Event, over: threading.Event) -> bool:
    if name == "error":
        raise RuntimeError("the run beside the requests failed")
    running.set()
    return name == "progress" and not over.is_set()


@contextmanager
def _nothing() -> Generator[threading.Event]:
    yield threading.Event()


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[int(part * (len(values) - 1))]


def main() -> None:
    """This part alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000)
    print("\n".join(beside(parser.parse_args()).lines))


if __name__ == "__main__":
    main()
