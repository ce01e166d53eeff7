"""What the monitor does in a minute, and what it costs those it reads: steps read, memory, and latency under overload.

    python -m bench.monitor [--steps 2000] [--calls 400] [--json F]

The first half lets a scripted model read sessions of one gateway, which is a rate of the plumbing and of no model; the
same requests go through a gateway without a supervisor before, whose memory grows as its caches fill, so that what is
kept of reading is the difference. The second asks two gateways in turn, one whose supervisor answers nothing while its
queue overflows and sheds, and one that has none; the difference of their medians is what an overloaded supervisor costs
a request.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench.conditions import conditions
from bench.processes import memory
from gateway.demo.background import BackgroundProvider
from gateway.demo.turns import Turn
from tests.fakes.gateway import GatewayProcess, running_gateway
from tests.fakes.provider import always, running_provider, say
from tests.fakes.supervisor_model import running_model
from tests.gateway.house import House

_PER_EXCHANGE = 2
_WARM_UP = 50
_LONGEST_SECONDS = 300.0
_SIZES = 8
_POLICY = """
[policy]
id = "house"
description = "What holds in this measurement."

[[clause]]
id = "no-burning"
text = 'Nobody is told to "burn it".'
severity = "high"
steps = ["user_input", "model_text"]
guards = [{ kind = "judge", seat = "monitor" }]
action = [{ at = 75, do = "flag" }]
reason = "action_not_allowed"
on_error = "flag"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "model_text", text = "Please burn it." }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "model_text", text = "Please keep it." }]
"""


@contextmanager
def gateway(provider: BackgroundProvider, supervisor: str) -> Iterator[House]:
    """A gateway whose one clause leaves everything to the monitor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "house.toml").write_text(_POLICY)
        more = f'[app.default]\npolicy = ["{folder / "house.toml"}"]\n{supervisor}'
        with running_gateway(folder, {"anthropic": provider.url}, more=more) as process:
            yield House(provider, process)


class Caller:
    """One connection that is kept."""

    def __init__(self, process: GatewayProcess) -> None:
        self._connection = HTTPConnection(*process.address, timeout=30)

    def call(self, text: str, session: str) -> float:
        """Milliseconds of one exchange, to its last byte."""
        message = {"role": "user", "content": text}
        body = json.dumps({"model": "demo-model", "max_tokens": 64, "messages": [message]})
        headers = {"content-type": "application/json", "x-api-key": "sk-ant-x", "stepwarden-session": session}
        began = time.perf_counter_ns()
        self._connection.request("POST", "/anthropic/v1/messages", body, headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        return (time.perf_counter_ns() - began) / 1e6


def sent(house: House, steps: int) -> list[float]:
    """Send exchanges with so many steps; the memory of the gateway along the way, megabytes."""
    caller, exchanges = Caller(house.gateway), steps // _PER_EXCHANGE
    sizes = [memory(house.gateway.process.pid).largest_rss]
    for number in range(1, exchanges + 1):
        caller.call(f"Keep it, number {number}.", f"s{number % 200}")
        if number % (exchanges // _SIZES or 1) == 0:
            sizes.append(memory(house.gateway.process.pid).largest_rss)
    return sizes


def throughput(provider: BackgroundProvider, steps: int) -> dict[str, Any]:
    """Steps a minute from the first request to the last critique, and the memory along the way."""
    with gateway(provider, "") as house:
        without = sent(house, steps)
    scripted = '[supervisor]\nprovider = "scripted"\nmodel = "scripted"\nmonitor_room = 1000000\n'
    with gateway(provider, scripted) as house:
        began = time.monotonic()
        sizes = sent(house, steps)
        sending = time.monotonic() - began
        until = time.monotonic() + _LONGEST_SECONDS
        while house.status()["counters"]["monitor_read"] < steps and time.monotonic() < until:
            time.sleep(0.2)
        took = time.monotonic() - began
        sizes.append(memory(house.gateway.process.pid).largest_rss)
        counters = house.status()["counters"]
    read = counters["monitor_read"]
    return {
        "steps": read,
        "a_minute": round(read / took * 60),
        "seconds": round(took, 1),
        "sent_in": round(sending, 1),
        "rss_mb": sizes,
        "rss_mb_without": without,
        "second_half_grew_mb_more": round(_second_half(sizes) - _second_half(without), 1),
        "failed": counters["monitor_failed"],
        "shed": counters["monitor_shed"],
    }


def _second_half(sizes: list[float]) -> float:
    """How much was added after half of the steps had been sent; what came after the last is in it, if it was read."""
    return sizes[-1] - sizes[_SIZES // 2]


def overload(provider: BackgroundProvider, calls: int) -> dict[str, Any]:
    """Medians of the same calls through a gateway whose supervisor hangs, and through one that has none."""
    with ExitStack() as opened:
        model = opened.enter_context(running_model())
        model.mind = model.stall
        hanging = (
            f'[supervisor]\nprovider = "openai"\nmodel = "judge"\nbase_url = "{model.base_url}"\n'
            "budget_tokens_per_day = 1000000000\nmonitor_room = 100\n"
        )
        houses = [opened.enter_context(gateway(provider, supervisor)) for supervisor in (hanging, "")]
        callers = [Caller(house.gateway) for house in houses]
        times: list[list[float]] = [[], []]
        for number in range(_WARM_UP + calls):
            for at, caller in enumerate(callers):
                taken = caller.call(f"Keep it, number {number}.", f"s{number}")
                if number >= _WARM_UP:
                    times[at].append(taken)
        counters = houses[0].status()["counters"]
    with_it, without = [round(statistics.median(each), 3) for each in times]
    return {
        "calls": calls,
        "p50_ms_overloaded": with_it,
        "p50_ms_without": without,
        "added_ms": round(with_it - without, 3),
        "shed": counters["monitor_shed"],
        "waiting": counters["monitor_waiting"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--json", type=Path, dest="json_file")
    given = parser.parse_args()
    told = conditions("anthropic") | {"pinning": "none"}
    with running_provider() as provider:
        provider.script = always(say("anthropic", Turn(text="I keep it.", reply_id="bench01")))
        found = {"throughput": throughput(provider, given.steps), "overload": overload(provider, given.calls)}
    for name, figures in found.items():
        print(f"{name}: " + ", ".join([f"{key} {value}" for key, value in figures.items()]))
    if given.json_file is not None:
        given.json_file.write_text(json.dumps({"conditions": told, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
