"""What the dashboard's tests and pictures look at: a gateway with policies in force, and runs that passed through."""

import math
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from gateway import sockets
from gateway.config import Config
from gateway.demo import guarded, story
from gateway.demo.agent import Ended, Event
from gateway.demo.playback import Run
from gateway.ids import new_id, new_span
from gateway.steps import Place, reply_steps, request_steps
from gateway.times import rfc3339
from gateway.wire.dialects import dialects
from policies.vocabulary.exchanges import Body, Exchange, Recording
from policies.vocabulary.sessions import Join
from policies.vocabulary.usage import Usage
from storage.store import Store
from tests.fakes.gateway import GatewayProcess, running_gateway
from tests.gateway.house import waited

POLICIES = """
[app.default]
policy = ["agent-baseline", "payments"]
enforce = true

[tool.send_money]
tags = ["money"]
"""

MINUTE_NS = 60_000_000_000
_APART_NS = 40_000_000


@dataclass
class Stage:
    """A gateway, the provider behind it, and the recorded runs."""

    gateway: GatewayProcess
    told: tuple[Run, ...]
    agents: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.gateway.url

    def run(self, run: Run) -> list[Event]:
        """Live a run to its end, until all of it is on record: the agent has its last answer a little before."""
        began = rfc3339(time.time_ns())
        events = list(story.tell(f"{self.url}/anthropic", [run]))
        self.recorded(sum(each.requests for each in events if isinstance(each, Ended)), since=began)
        return events

    def recorded(self, exchanges: int, *, since: str) -> None:
        """Wait until so many exchanges that callers began since then are on record."""

        def all_of_them() -> bool | None:
            listed = self.api("/api/exchanges", limit=200)["exchanges"]
            asked = [each for each in listed if each["started_at"] >= since and each["in_place_of"] is None]
            return len(asked) >= exchanges or None

        waited(all_of_them)

    def payment(self) -> "Waiting":
        """An agent that wants to pay, and waits for a person: it goes on in a thread of its own."""
        poisoned = next(run for run in self.told if run.name == guarded.POISONED)
        waiting = Waiting(self, guarded.payment(poisoned))
        waiting.thread.start()
        self.agents.append(waiting.thread)
        return waiting

    @contextmanager
    def held(self) -> Iterator[None]:
        """An agent waits for a person meanwhile; approved at the end, so that nothing waits for whoever comes after."""
        waiting = self.payment()
        hold = waited(lambda: next(iter(self.api("/api/holds", only="waiting")["holds"]), None))
        try:
            yield
        finally:
            self.post(f"/api/holds/{hold['hold_id']}/approve", {"by": "test"})
            waiting.ended()

    def api(self, path: str, **query: Any) -> Any:
        """Ask the control plane as the owner."""
        return self._asked("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """Change something as the owner."""
        return self._asked("POST", path, json=body)

    def _asked(self, method: str, path: str, **what: Any) -> Any:
        with (
            sockets.reachable(self.gateway.folder / "data" / sockets.CONTROL) as short,
            httpx.Client(transport=httpx.HTTPTransport(uds=str(short)), base_url="http://localhost") as caller,
        ):
            answer = caller.request(method, path, **what)
        assert answer.is_success, answer.text
        return answer.json()


class Waiting:
    """An agent at work beside the test."""

    def __init__(self, stage: Stage, run: Run) -> None:
        self.events: list[Event] = []
        self.thread = threading.Thread(target=self._live, args=(stage, run), daemon=True)

    def _live(self, stage: Stage, run: Run) -> None:
        for event in story.tell(f"{stage.url}/anthropic", [run]):
            self.events.append(event)

    def ended(self, seconds: float = 60.0) -> list[Event]:
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the agent still waits"
        return self.events


@contextmanager
def stage(folder: Path, *, speed: float = 50.0, workers: int = 1, more: str = POLICIES) -> Iterator[Stage]:
    """A gateway whose policies are enforced, in front of a provider that plays recorded runs."""
    told = story.runs()
    with (
        story.provider(told, speed=speed) as upstream,
        running_gateway(folder, {"anthropic": upstream.url}, more=more, options=("--workers", str(workers))) as gateway,
    ):
        standing = Stage(gateway, told)
        yield standing
        for agent in standing.agents:
            agent.join(5)


def fill(folder: Path, recordings: list[Recording]) -> None:
    """Put exchanges into the data directory of a gateway that is not started yet."""
    config = Config.load(
        None, environ={**os.environ, "STEPWARDEN_GATEWAY__DATA_DIR": str(folder / "data")}, overrides={}
    )
    store = Store.open(config.gateway.data_dir)
    try:
        for start in range(0, len(recordings), 250):
            store.append(recordings[start : start + 250])
    finally:
        store.close()


def long_session(steps: int) -> tuple[str, list[Recording]]:
    """A session of so many steps, four in each of its turns, that ended a minute ago."""
    turns = [Turn(f"Line {number} of a very long run.") for number in range(steps // 4)]
    return session_of(turns, ended_ns=time.time_ns() - MINUTE_NS)


def earlier_day() -> list[Recording]:
    """Single-turn sessions of the last 24 hours, more of them by day than by night; the same ones every time."""
    drawn, now_ns = random.Random(7), time.time_ns()
    found: list[Recording] = []
    for number in range(400):
        back = drawn.random() * 23.5 + 0.4
        if drawn.random() < 0.5 + 0.5 * math.cos(2 * math.pi * (back - 4) / 24):
            model, price = drawn.choice([("claude-haiku-4-5", 1.0), ("claude-sonnet-4-5", 3.0), ("gpt-4.1-mini", 0.4)])
            turn = Turn(f"Earlier run {number}.", model=model, app=drawn.choice(["support", "default", "research"]))
            _, made = session_of([turn] * drawn.randint(1, 4), ended_ns=now_ns - int(back * 60 * MINUTE_NS))
            found += [_at_a_price(each, drawn, price) for each in made]
    return sorted(found, key=lambda each: each.exchange.started_ns)


def _at_a_price(recording: Recording, drawn: random.Random, price: float) -> Recording:
    exchange, spent = recording.exchange, drawn.randint(300, 9_000)
    slow = int(drawn.lognormvariate(0.4, 0.5) * 1e9)
    usage = Usage(input_tokens=spent, output_tokens=spent // 8)
    changed = msgspec.structs.replace(
        exchange,
        usage=usage,
        cost_micro_usd=round(spent * price),
        first_token_ns=exchange.started_ns + slow // 4,
        ended_ns=exchange.started_ns + slow,
    )
    return msgspec.structs.replace(recording, exchange=changed)


def hostile_session(texts: Sequence[str]) -> tuple[str, list[Recording]]:
    """A session in which everything that somebody else wrote is hostile: texts, tools, models, agents, clients."""
    turns = [Turn(text, tool=text[:60], model=text, client=text) for text in texts]
    return session_of(turns, ended_ns=time.time_ns() - MINUTE_NS, agent=texts[0])


def delegated() -> tuple[str, list[Recording]]:
    """A planner that hands a part of its work to a researcher, both at work at the same time."""
    ended_ns = time.time_ns() - 3 * MINUTE_NS
    session, main = session_of([Turn(f"Plan {number}") for number in range(4)], ended_ns=ended_ns, agent="planner")
    _, sub = session_of([Turn(f"Look {number}") for number in range(3)], ended_ns=ended_ns, agent="researcher")
    parent, branch = main[0].exchange.join, new_id()
    assert parent is not None
    for number, each in enumerate(sub):
        join = msgspec.structs.replace(
            parent,
            branch_id=branch,
            parent_branch_id=parent.branch_id,
            agent_name="researcher",
            relation="continues" if number else "spawns",
            evidence="agent_header",
        )
        steps = [msgspec.structs.replace(step, session_id=session, branch_id=branch) for step in each.steps]
        exchange = msgspec.structs.replace(each.exchange, join=join)
        sub[number] = msgspec.structs.replace(each, exchange=exchange, steps=tuple(steps))
    return session, sorted([*main, *sub], key=lambda each: each.exchange.started_ns)


class Turn(msgspec.Struct, frozen=True):
    """What one turn says, on both sides."""

    text: str
    tool: str = "read_file"
    model: str = "claude-haiku-4-5"
    client: str = "long/1.0"
    app: str = "default"
    system: str | None = None
    tools: Mapping[str, str] = {}
    """What each is said to do, by name."""
    temperature: float | None = None


def session_of(turns: Sequence[Turn], *, ended_ns: int, agent: str | None = None) -> tuple[str, list[Recording]]:
    """A session of turns with a result, a question, an answer and a call each, and its id."""
    session, branch, trace, span = new_id(), new_id(), new_span(16), new_span()
    start = ended_ns - len(turns) * _APART_NS
    found: list[Recording] = []
    for number, turn in enumerate(turns):
        join = Join(
            session_id=session,
            branch_id=branch,
            agent_name=agent,
            evidence="content_prefix" if number else "none",
            relation="continues" if number else "opens",
            derived=True,
            trace_id=trace,
            branch_span_id=span,
        )
        found.append(_recording(turn, number, join, start + number * _APART_NS))
    return session, found


def revised_session() -> tuple[str, list[Recording]]:
    """A session whose second request has other instructions, tools and settings, and its id."""
    told = [
        Turn("Hello", system="Be kind.\nBe brief.\nBe exact.", tools={"lookup": "Looks it up."}),
        Turn("Go", system="Be kind.\nBe long.\nBe exact.", tools={"send": "Sends a letter."}, temperature=0.7),
    ]
    return session_of(told, ended_ns=time.time_ns() - 4 * MINUTE_NS)


def _recording(turn: Turn, number: int, join: Join, began: int) -> Recording:
    dialect = dialects().anthropic
    result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": turn.text}
    question = {"type": "text", "text": f"Go on with {number}."}
    call = {"type": "tool_use", "id": f"t{number + 1}", "name": turn.tool, "input": {"line": number, "said": turn.text}}
    messages = [{"role": "user", "content": [result, question]}]
    offered = [{"name": name, "description": said, "input_schema": {}} for name, said in turn.tools.items()]
    more = {"system": turn.system, "tools": offered or None, "temperature": turn.temperature}
    lead = {name: value for name, value in more.items() if value is not None}
    body = msgspec.json.encode({"model": turn.model, "max_tokens": 64, **lead, "messages": messages})
    reply = msgspec.json.encode({
        "id": f"msg_{number}", "type": "message", "role": "assistant", "model": turn.model,
        "content": [{"type": "text", "text": turn.text}, call], "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 900, "output_tokens": 40},
    })  # fmt: skip
    view = dialect.read_request(body, "chat")
    reader = dialect.reply_reader("chat", stream=False)
    reader.feed(reply, began)
    exchange_id = new_id()
    place = Place(join, exchange_id, new_span())
    steps = request_steps(view, place, lambda cut: dialect.parts(body, view, cut), began, given={})
    steps += reply_steps(reader.close(began).parts, place, len(steps), (began + 20_000_000, began + 30_000_000))
    exchange = Exchange(
        exchange_id=exchange_id,
        join=join,
        app=turn.app,
        provider="anthropic",
        dialect=dialect.name,
        operation="chat",
        method="POST",
        path="/v1/messages",
        outcome="complete",
        status=200,
        upstream_status=200,
        started_ns=began,
        first_token_ns=began + 20_000_000,
        ended_ns=began + 30_000_000,
        model=turn.model,
        usage=Usage(input_tokens=900, output_tokens=40),
        cost_micro_usd=1100,
        client=turn.client,
        server_span_id=new_span(),
        client_span_id=new_span(),
    )
    return Recording(
        exchange=exchange,
        request=Body(raw=body, length=len(body), cuts=view.cuts, media_type="application/json"),
        response=Body(raw=reply, length=len(reply), media_type="application/json"),
        steps=tuple(steps),
    )
