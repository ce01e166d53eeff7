"""What the gate adds to a call beyond its model: the same calls with and without it, in turn, in one run.

    python -m bench.gate [--calls 200] [--delay-ms 50] [--json F]

The model is a stand-in on a socket that answers each question after a delay with one word. Each call is asked about
once. Three gateways answer in turn: one per wire of the model, and one without a supervisor, whose clause of the same
bands looks at the same calls here. What the gate adds to a call beyond its model is what that call took, less what the
same call took in the same turn without a supervisor, less the model's own time for it: from the question's last byte
read to the answer's first byte written.

No call waits for a disk: `p50_ms_fsync` says what one would have waited for in this run. `cpu_ms_beyond` is what the
gate costs the gateway's process for each call, settling and recording included, which does not depend on who else uses
the machine; the load average stands beside, for the times do.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.conditions import conditions, load_average
from bench.monitor import Caller
from bench.processes import settle
from gateway.demo.background import BackgroundProvider
from gateway.demo.turns import Call, Turn
from tests.fakes.gateway import running_gateway
from tests.fakes.provider import always, running_provider, say
from tests.fakes.supervisor_model import Asked, Mind, Said, running_model
from tests.gateway.house import House

_WARM_UP = 20
_POLICY = """
[policy]
id = "house"
description = "What holds in this measurement."

[[clause]]
id = "no-midnight"
text = 'Nothing is launched at "midnight".'
severity = "high"
steps = ["tool_call"]
guards = [GUARD]
action = [{ at = 75, do = "reject" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "midnight" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "noon" } }]
"""
_AT_THE_GATE = '{ kind = "judge", seat = "gate" }'
_HERE = '{ kind = "pattern", rules = [{ id = "hour", pattern = "midnight", score = 90 }] }'
_WIRES = ("anthropic", "openai")


def slow(seconds: float) -> Mind:
    """A mind that says `ok` after a while."""
    pause = threading.Event()

    def ok(_: Asked) -> Said:
        pause.wait(seconds)
        return Said(text="ok")

    return ok


@contextmanager
def gateway(provider: BackgroundProvider, supervisor: str, guard: str) -> Generator[House]:
    """A gateway whose one clause holds proposed calls until this guard has said what it thinks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "house.toml").write_text(_POLICY.replace("GUARD", guard))
        more = f'[app.default]\npolicy = ["{folder / "house.toml"}"]\nenforce = true\n{supervisor}'
        with running_gateway(folder, {"anthropic": provider.url}, more=more) as process:
            yield House(provider, process)


def supervisor(wire: str, url: str) -> str:
    """The configuration of a supervisor that speaks this wire."""
    return (
        f'[supervisor]\nprovider = "{wire}"\nmodel = "judge-1"\nbase_url = "{url}"\nkey_env = "PATH"\n'
        "budget_tokens_per_day = 1000000000\ncanary_every = 0\n"
    )


def measured(provider: BackgroundProvider, calls: int, delay_ms: float) -> dict[str, Any]:
    """Medians by wire, in milliseconds."""
    with ExitStack() as opened:
        models = {wire: opened.enter_context(running_model(slow(delay_ms / 1000))) for wire in _WIRES}
        houses = {
            wire: opened.enter_context(gateway(provider, supervisor(wire, models[wire].base_url), _AT_THE_GATE))
            for wire in _WIRES
        }
        houses["none"] = opened.enter_context(gateway(provider, "", _HERE))
        callers = {name: Caller(house.gateway) for name, house in houses.items()}
        times: dict[str, list[float]] = {name: [] for name in houses}
        fsync: list[float] = []
        before: dict[str, float] = {}
        for number in range(_WARM_UP + calls):
            if number == _WARM_UP:
                before = {name: settle(house.gateway.process.pid) for name, house in houses.items()}
            for name, caller in callers.items():
                taken = caller.call(f"Launch number {number}.", f"s{number}")
                if number >= _WARM_UP:
                    times[name].append(taken)
            fsync.append(_fsync_ms())
        cpu = {
            name: (settle(house.gateway.process.pid) - before[name]) * 1000 / calls for name, house in houses.items()
        }
    found: dict[str, Any] = {
        "calls": calls,
        "load_average": load_average(),
        "p50_ms_without": round(statistics.median(times["none"]), 2),
        "p50_ms_fsync": round(statistics.median(fsync), 2),
    }
    for wire in _WIRES:
        own = models[wire].took_ns
        assert len(own) == _WARM_UP + calls, f"{wire}: asked {len(own)} times"
        model = [each / 1e6 for each in own[_WARM_UP:]]
        triples = zip(times[wire], times["none"], model, strict=True)
        beyond = [with_it - without - its_own for with_it, without, its_own in triples]
        found[wire] = {
            "p50_ms": round(statistics.median(times[wire]), 2),
            "p50_ms_model": round(statistics.median(model), 2),
            "p50_ms_beyond": round(statistics.median(beyond), 2),
            "p95_ms_beyond": round(statistics.quantiles(beyond, n=20)[18], 2),
            "cpu_ms_beyond": round(cpu[wire] - cpu["none"], 2),
        }
    return found


def _fsync_ms() -> float:
    """What it takes to make one page durable."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(4096))
        file.flush()
        began = time.perf_counter_ns()
        os.fsync(file.fileno())
        return (time.perf_counter_ns() - began) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--json", type=Path, dest="json_file")
    given = parser.parse_args()
    told = conditions("anthropic")
    with running_provider() as provider:
        turn = Turn(text="Now.", calls=(Call("call_1", "launch", '{"at":"noon"}'),), reply_id="bench01")
        provider.script = always(say("anthropic", turn))
        found = measured(provider, given.calls, given.delay_ms)
    print(json.dumps(found, indent=1))
    if given.json_file is not None:
        given.json_file.write_text(json.dumps({"conditions": told, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
