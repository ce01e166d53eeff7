"""A client that wants to hear of progress hears of it while a person is waited for, and of nothing else before."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from gateway.config import Config, McpServer
from gateway.exchange import Gate
from gateway.keeper import Opened, Opening
from gateway.mcp.relay import McpPlane
from gateway.mcp.seat import Seat
from gateway.server import DOOR, Door
from gateway.stations.asks import Done, Glimpse
from gateway.stations.bench import Bench
from gateway.stations.benches import Supervision
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.vocabulary.audit import ConfigActivated
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.holds import HoldAsk
from policies.vocabulary.keys import Principal
from policies.vocabulary.monitoring import DISTRUSTED
from policies.vocabulary.pins import Listing, Pinned
from policies.vocabulary.reports import Report
from policies.vocabulary.sessions import Join
from tests.gateway.test_policies import RULES

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Paid."}]}}'


class Keeper:
    """A keeper with one hold, which somebody decides on once the client has heard that it waits."""

    def __init__(self, *, approves: bool, distrusts: bool) -> None:
        self._approves = approves
        self._distrusts = distrusts
        self.heard = asyncio.Event()
        self.asked = asyncio.Event()
        self.held: list[HoldAsk] = []
        self.given_up = 0
        self.changed = False
        self.recordings: list[Recording] = []

    async def admit(self, _secret: str | None) -> Principal:
        return Principal(role="app", app="default")

    async def open(self, _opening: Opening) -> Opened:
        join = Join(
            session_id="s", branch_id="b", evidence="none", relation="opens", derived=True,
            trace_id=b"t" * 16, branch_span_id=b"b" * 8,
        )  # fmt: skip
        return Opened(join=join, distrusted=self._distrusts)

    async def hold(self, ask: HoldAsk) -> bool:
        self.held.append(ask)
        self.asked.set()
        try:
            await self.heard.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return self._approves

    async def withheld(self, _server: str, _tool: str) -> bool:
        return self.changed

    async def pin(self, _listing: Listing) -> Pinned:
        return Pinned()

    async def report(self, report: Report) -> None: ...

    async def activate(self, active: Sequence[ConfigActivated]) -> None: ...

    async def terminate(self, session_id: str) -> None: ...

    def finish(self, done: Done) -> None: ...

    def show(self, glimpse: Glimpse) -> None: ...

    def close(self, recording: Recording) -> None:
        self.recordings.append(recording)

    def lose(self, exchange_id: str, why: str) -> None: ...


class Served:
    """What a tool server answers: one document."""

    status = 200
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),)

    def __init__(self) -> None:
        self._left = ANSWER

    async def read(self) -> bytes:
        whole, self._left = self._left, b""
        return whole

    def close(self) -> None: ...


class Upstream:
    """A tool server's pool that notes what was sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(
        self, _method: str, _target: str, _headers: list[tuple[bytes, bytes]], body: bytes | AsyncIterator[bytes] | None
    ) -> Served:
        assert isinstance(body, bytes)
        self.sent.append(body)
        return Served()


def supervision() -> Supervision:
    def compiled() -> Ruleset:
        return Ruleset.compile([load(RULES, "house").policy], settings=Settings(enforce=True))

    bench = Bench(compiled(), heavy=compiled, clock=lambda: 0, notice_key=bytes(32))
    return Supervision({"default": bench})


class Visit:
    """One call of a tool through the plane, as its caller sees it."""

    def __init__(
        self,
        *,
        approves: bool,
        token: object = None,
        accept: bytes = b"application/json",
        tool: str = "pay",
        distrusts: bool = False,
    ) -> None:
        self.keeper = Keeper(approves=approves, distrusts=distrusts)
        self._tool = tool
        self.upstream = Upstream()
        self._token = token
        self._accept = accept
        self.body = b""
        self.kind = b""

    async def run(self) -> None:
        config = msgspec.structs.replace(
            Config.load(None, environ={}), mcp={"web": McpServer(name="web", url="http://tools.invalid/mcp")}
        )
        clauses = supervision()
        seat = Seat(
            config.mcp["web"],
            keeper=self.keeper,
            supervision=lambda: clauses,
            beside=lambda _: (),
            keepalive_seconds=0.01,
        )
        plane = McpPlane(
            config,
            clients={"web": self.upstream},
            seats={"web": seat},
            keeper=self.keeper,
            gate=Gate(1),
            environ={},
        )
        params: dict[str, Any] = {"name": self._tool, "arguments": {"to": "Ann"}}
        if self._token is not None:
            params["_meta"] = {"progressToken": self._token}
        message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        door = Door(lambda: None, lambda: None)
        door.whole = True
        scope = {
            "type": "http",
            "method": "POST",
            "raw_path": b"/mcp/web",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"accept", self._accept)],
            "extensions": {DOOR: door},
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": message, "more_body": False}

        await plane(scope, receive, self._send)

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.kind = dict(message["headers"]).get(b"content-type", b"")
        self.body += message.get("body", b"")
        if b"notifications/progress" in self.body:
            self.keeper.heard.set()

    def events(self) -> list[Any]:
        return [json.loads(line[6:]) for line in self.body.splitlines() if line.startswith(b"data: ")]


BOTH = b"application/json, text/event-stream"


@pytest.mark.parametrize("token", ["t", 7, 0, ""])
def test_a_held_call_tells_of_progress_and_goes_on_with_the_answer(token: object) -> None:
    visit = Visit(approves=True, token=token, accept=BOTH)
    asyncio.run(visit.run())
    *progress, answer = visit.events()
    assert visit.kind == b"text/event-stream"
    assert all(each["params"]["progressToken"] == token for each in progress)
    steps = [each["params"]["progress"] for each in progress]
    assert steps == sorted(set(steps))
    assert answer == json.loads(ANSWER)
    assert len(visit.upstream.sent) == 1


def test_a_call_of_a_tool_that_changed_while_a_person_thought_about_it_is_not_made() -> None:
    visit = Visit(approves=True, token="t", accept=BOTH)
    visit.keeper.changed = True
    asyncio.run(visit.run())
    (answer,) = [each for each in visit.events() if "id" in each]
    assert answer["result"]["_meta"]["stepwarden/reason"] == "needs_approval"
    assert visit.upstream.sent == []


def test_a_held_call_that_nobody_approves_ends_as_a_failed_call() -> None:
    visit = Visit(approves=False, token="t", accept=BOTH)
    asyncio.run(visit.run())
    answer = visit.events()[-1]["result"]
    assert answer["isError"]
    assert answer["_meta"]["stepwarden/reason"] == "needs_approval"
    assert visit.upstream.sent == []
    (recording,) = visit.keeper.recordings
    assert (recording.exchange.outcome, recording.exchange.verdict) == ("refused", "reject")


@pytest.mark.parametrize(("token", "accept"), [(None, BOTH), ("t", b"application/json"), (True, BOTH)])
def test_who_cannot_hear_of_progress_just_waits(token: object, accept: bytes) -> None:
    visit = Visit(approves=True, token=token, accept=accept)

    async def work() -> None:
        running = asyncio.create_task(visit.run())
        await visit.keeper.asked.wait()
        visit.keeper.heard.set()
        await running

    asyncio.run(work())
    assert (visit.kind, visit.body) == (b"application/json", ANSWER)


def test_a_retry_of_a_call_in_no_session_is_asked_under_the_same_binding() -> None:
    bindings: set[bytes] = set()
    for _ in range(2):
        visit = Visit(approves=False, token="t", accept=BOTH)
        asyncio.run(visit.run())
        bindings |= {ask.binding for ask in visit.keeper.held}
    assert len(bindings) == 1


@pytest.mark.parametrize("distrusts", [True, False])
def test_a_call_of_a_session_that_a_critique_warns_of_waits_whatever_it_is(*, distrusts: bool) -> None:
    visit = Visit(approves=False, tool="look_up", distrusts=distrusts)
    visit.keeper.heard.set()
    asyncio.run(visit.run())
    assert [ask.clauses for ask in visit.keeper.held] == ([(DISTRUSTED,)] if distrusts else [])
    assert len(visit.upstream.sent) == (0 if distrusts else 1)


def test_nobody_waits_on_for_a_call_that_its_caller_gave_up() -> None:
    visit = Visit(approves=True)

    async def left() -> None:
        running = asyncio.create_task(visit.run())
        await visit.keeper.asked.wait()
        running.cancel()
        await asyncio.wait({running})
        await asyncio.sleep(0)
        assert visit.keeper.given_up == 1

    asyncio.run(left())
    assert visit.upstream.sent == []
