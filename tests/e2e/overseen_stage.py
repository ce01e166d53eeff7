"""A gateway whose supervisor reads along, with a real MCP server behind it: what the pages about both look at.

The supervisor is the scripted model, which is no model: rules that see quoted words of a clause in a step.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.config import Config
from gateway.ids import new_id
from gateway.times import rfc3339
from policies.vocabulary.critiques import Blame, Consumed, Critique, Label, Opinion, Quote
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.labels import LabelGiven, StepLabel
from policies.vocabulary.monitoring import Filed
from storage.store import Store
from tests.e2e.dashboard_stage import MINUTE_NS, POLICIES, Stage, Turn, session_of, stage
from tests.gateway.house import waited
from tests.gateway.tool_house import tool_server

CLAUSE = "house/no-promised-refunds"
OFFICE = "office"
"""What the session with the tool server is called by its client."""

_HOUSE = """
[policy]
id = "house"
description = "What this house promises."

[[clause]]
id = "no-promised-refunds"
text = 'Nobody is told that a "refund will be processed" before the airline says so.'
severity = "high"
steps = ["model_text"]
guards = [{ kind = "judge", seat = "monitor", sample = 1.0 }]
action = [{ at = 75, do = "hold" }]
reason = "needs_approval"
on_error = "flag"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "model_text", text = "Your refund will be processed today." }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "model_text", text = "I ask a colleague." }]
"""
_MORE = """
[supervisor]
model = "scripted"
provider = "scripted"
budget_usd_per_day = 5.0
canary_every = 2
"""
_ACCEPTED = "application/json, text/event-stream"
_SCORES: tuple[tuple[int, Label, float], ...] = (
    (5, "ok", 0.02),
    (20, "ok", 0.1),
    (40, "ok", 0.25),
    (55, "unsure", 0.45),
    (78, "violation", 0.7),
    (93, "violation", 0.95),
)
"""Scores with what the supervisor calls them, and how often persons agree that it is a violation."""


@contextmanager
def overseen(folder: Path, *, speed: float = 50.0) -> Iterator[Stage]:
    """A gateway with a supervisor and a tool server."""
    (folder / "house.toml").write_text(_HOUSE)
    policies = POLICIES.replace('"payments"]', f'"payments", "{folder / "house.toml"}"]')
    with (
        tool_server() as tools,
        stage(folder, speed=speed, more=f'{policies}{_MORE}\n[mcp.office]\nurl = "{tools}"\n') as standing,
    ):
        yield standing


def promise(standing: Stage) -> str:
    """A recorded run in which the model promises what the house does not; the id of its session."""
    airline = next(run for run in standing.told if "airline" in run.name)
    standing.run(airline)
    return standing.api("/api/sessions", limit=1)["sessions"][0]["session_id"]


def read_along(standing: Stage, session: str) -> None:
    """Wait until the supervisor has read all that the model said in a session, so that its figures stand still."""
    turns = standing.api(f"/api/sessions/{session}/turns")["turns"]
    said = sum(step["kind"] == "model_text" for turn in turns for step in turn["steps"])
    waited(lambda: standing.api("/api/status")["counters"]["monitor_read"] >= said or None, seconds=60)


class Office:
    """A client of the tool server."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.sent = 0
        self._client.headers.update({"accept": _ACCEPTED, "stepwarden-session": OFFICE})
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}}
        answer = self._send("initialize", about)
        self._client.headers.update({"mcp-protocol-version": "2025-06-18"})
        if "mcp-session-id" in answer.headers:
            self._client.headers.update({"mcp-session-id": answer.headers["mcp-session-id"]})
        self._post({"method": "notifications/initialized"})

    def tools(self) -> None:
        """Ask what there is."""
        self._send("tools/list", {})

    def call(self, tool: str, **arguments: Any) -> None:
        """Call one."""
        self._send("tools/call", {"name": tool, "arguments": arguments})

    def _send(self, method: str, params: dict[str, Any]) -> httpx.Response:
        return self._post({"id": 1, "method": method, "params": params})

    def _post(self, message: dict[str, Any]) -> httpx.Response:
        answer = self._client.post("/mcp/office", json={"jsonrpc": "2.0", **message})
        assert answer.is_success, answer.text
        self.sent += 1
        return answer


def changed_tool(standing: Stage) -> None:
    """An agent sees the server's tools and calls one; then the server changes one of them."""
    began = rfc3339(time.time_ns())
    with httpx.Client(base_url=standing.url, timeout=30) as client:
        office = Office(client)
        office.tools()
        office.call("get_weather", city="Rome")
        office.call("change")
        office.tools()
    standing.recorded(office.sent, since=began)


def labelled_before(folder: Path) -> None:
    """Put steps with critiques and labels into the data directory of a gateway that is not started yet: made up."""
    config = Config.load(None, environ={"STEPWARDEN_GATEWAY__DATA_DIR": str(folder / "data")}, overrides={})
    drawn, store = random.Random(11), Store.open(config.gateway.data_dir)
    try:
        for number in range(90):
            score, said, share = drawn.choice(_SCORES)
            text = f"Booking {number}: your refund {'will be processed.' if score > 50 else 'is not decided.'}"
            _, recordings = session_of([Turn(text)], ended_ns=time.time_ns() - (number + 2) * MINUTE_NS)
            store.append(recordings)
            _judge(store, recordings[0], score, said, "violation" if drawn.random() < share else "ok")
    finally:
        store.close()


def _judge(store: Store, recording: Recording, score: int, said: Label, label: StepLabel) -> None:
    join, exchange = recording.exchange.join, recording.exchange
    assert join is not None
    step = next(each for each in recording.steps if each.kind == "model_text")
    opinion = Opinion(
        clause=CLAUSE,
        label=said,
        score=score,
        quotes=() if said == "ok" else (Quote(step_id=step.step_id, start=0, end=step.size),),
        first_bad_step=step.step_id if said == "violation" else None,
        feedback="" if said == "ok" else "It promises a refund, and the airline has not said so.",
    )
    critique = Critique(
        critique_id=new_id(),
        seat="monitor",
        app=exchange.app,
        session_id=join.session_id,
        steps=(step.step_id,),
        ruleset="made up",
        opinions=(opinion,),
        blamed=() if said == "ok" else (Blame(rank=1, component="instruction"),),
        calls=(Consumed(model="scripted", prompt="made up", input_tokens=900, output_tokens=60, micros=700_000),),
        at_ns=exchange.ended_ns,
    )
    store.critiques.add(Filed(critique=critique))
    given = LabelGiven(
        step_id=step.step_id,
        session_id=join.session_id,
        app=exchange.app,
        clause=CLAUSE,
        label=label,
        by="Ada",
        actor="owner",
        at_ns=exchange.ended_ns + MINUTE_NS,
    )
    store.labels.record(given)
