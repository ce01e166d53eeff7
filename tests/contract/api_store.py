"""A real store with one recorded session in it, and the control plane over both."""

import asyncio
import gzip
import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from litestar import Litestar

from gateway.api.access import Access
from gateway.api.answers import ProviderStatus, SupervisorStatus
from gateway.api.backtests import Backtests
from gateway.api.control import control_app, control_routes
from gateway.api.live import LiveFeed
from gateway.api.long_work import LongWork
from gateway.api.reading import Reader
from gateway.api.search import Searches
from gateway.backtest.run import Laboratory
from gateway.cli.direct import DirectDesk, DirectRevisions
from gateway.config import Config
from gateway.contents import Reach
from gateway.ids import new_id, new_span
from gateway.mcp.grants import Grants
from gateway.optimizing.desk import RevisionDesk
from gateway.searching import Search
from gateway.steps import Place, reply_steps, request_steps
from gateway.wire.dialects import dialects
from gateway.witnesses import WitnessState
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.shipped import shipped
from policies.vocabulary.canaries import Sight
from policies.vocabulary.coverage import Examined
from policies.vocabulary.critiques import Blame, Consumed, Critique, Opinion, Quote
from policies.vocabulary.exchanges import Body, Exchange, Recording
from policies.vocabulary.findings import Evidence, Finding
from policies.vocabulary.holds import HoldAsk
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.keys import ROLES
from policies.vocabulary.monitoring import Filed
from policies.vocabulary.sessions import Join
from policies.vocabulary.verdicts import Verdict
from storage.store import Store

PORT = 8787
WIRES = dialects()
READABLE = {each.name: each for each in (WIRES.anthropic, WIRES.chat, WIRES.responses)}

HOSTILE = (
    "\x1b[31mred\x1b]0;owned\x07 \u202egnp.exe [bold]markup[/bold] :smile: \u200b\n"
    "<script>alert(1)</script>\r\nevent: x\n\n"
)

REQUEST: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 64,
    "system": "You are careful.",
    "tools": [{"name": "read_file", "description": "Reads.", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": HOSTILE},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read_file", "input": {"a": "b"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "the file's text"}]},
    ],
}
REPLY_TEXT = "It says: " + HOSTILE
REPLY: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": REPLY_TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 3},
}


def recorded(*, app: str = "default", encoded: bool = False, **fields: Any) -> Recording:
    """One exchange of one session, as the data plane hands it over; `fields` of its request are otherwise."""
    now = time.time_ns()
    dialect = WIRES.anthropic
    body, reply = msgspec.json.encode({**REQUEST, **fields}), msgspec.json.encode(REPLY)
    view = dialect.read_request(body, "chat")
    reader = dialect.reply_reader("chat", stream=False)
    reader.feed(reply, now)
    read = reader.close(now)
    join = Join(
        session_id=new_id(),
        branch_id=new_id(),
        evidence="none",
        relation="opens",
        derived=True,
        trace_id=new_span(16),
        branch_span_id=new_span(),
    )
    exchange_id = new_id()
    place = Place(join, exchange_id, new_span())
    steps = request_steps(view, place, lambda cut: dialect.parts(body, view, cut), now, given={})
    if encoded:
        steps = [msgspec.structs.replace(step, cut=None) for step in steps]
    steps += reply_steps(read.parts, place, len(steps), (now, now))
    request = Body(raw=body, length=len(body), cuts=view.cuts, media_type="application/json")
    if encoded:
        packed = gzip.compress(body)
        request = Body(raw=packed, length=len(packed), media_type="application/json\r\nx: y", content_encoding="gzip")
    return Recording(
        exchange=Exchange(
            exchange_id=exchange_id,
            join=join,
            app=app,
            provider="anthropic",
            dialect=dialect.name,
            operation="chat",
            method="POST",
            path="/v1/messages",
            outcome="complete",
            status=200,
            upstream_status=200,
            started_ns=now,
            ended_ns=now + 5_000_000,
            model=REPLY["model"],
            client="evil\x1b[2J/1.0",
            server_span_id=new_span(),
            client_span_id=new_span(),
        ),
        request=request,
        response=Body(raw=reply, length=len(reply), media_type="application/json"),
        steps=tuple(steps),
    )


CLAUSE = "agent-baseline/no-orders-from-data"
MATCHED = (REPLY_TEXT.encode().index(b"<script>"), REPLY_TEXT.encode().index(b"</script>"))
"""Bytes of the reply's text that a finding means."""


def judged(recording: Recording) -> Recording:
    """The same exchange with its reply rejected: by what goes back to a tool result, and with a secret in it."""
    reply = len(recording.steps) - 1
    order = Finding(
        clause=CLAUSE,
        guard="provenance.0",
        score=90,
        state="violation",
        evidence=(
            Evidence(start=MATCHED[0], end=MATCHED[1], label="agent_directed", source=4, source_start=4, source_end=10),
        ),
        note="a value comes from an order in data",
    )
    secret = Finding(
        clause="agent-baseline/no-secrets-in-data",
        guard="secrets.0",
        score=90,
        state="violation",
        evidence=(Evidence(start=0, end=8, label="github-pat"),),
    )
    verdict = Verdict(name="reject", reason="instructions_in_data", clauses=(CLAUSE,))
    coverage = (
        Examined(clause=CLAUSE, guard="provenance.0", seq=reply, scanned=40, size=50, state="violation", micros=1200),
        Examined(clause=CLAUSE, guard="schema.0", seq=reply, size=50, state="error", skipped="deadline"),
    )
    said = StepJudgement(seq=reply, verdict=verdict, findings=(order, secret), coverage=coverage)
    exchange = msgspec.structs.replace(recording.exchange, verdict="reject")
    found = Judged(ruleset="of yesterday", verdict=verdict, steps=(said,), asked_again=1)
    return msgspec.structs.replace(recording, exchange=exchange, judged=found)


def asked(recording: Recording, *, text: str = HOSTILE) -> HoldAsk:
    """A hold of one of its calls."""
    join = recording.exchange.join
    return HoldAsk(
        binding=hashlib.sha256(recording.exchange.exchange_id.encode()).digest(),
        exchange_id=recording.exchange.exchange_id,
        session_id=None if join is None else join.session_id,
        app=recording.exchange.app,
        kind="tool_call",
        tool="send_money",
        text=text,
        clauses=("payments/large-payments-are-confirmed",),
        reason="needs_approval",
        at_ns=recording.exchange.started_ns,
    )


def session_of(recording: Recording) -> str:
    assert recording.exchange.join is not None
    return recording.exchange.join.session_id


def filed(recording: Recording) -> Filed:
    """A critique of a recorded exchange that distrusts its session, and says what nobody should print as it is."""
    [step] = [step for step in recording.steps if step.kind == "user_input"]
    opinion = Opinion(
        clause=CLAUSE,
        label="violation",
        score=91,
        quotes=(Quote(step_id=step.step_id, start=0, end=step.size),),
        first_bad_step=step.step_id,
        feedback=HOSTILE,
    )
    critique = Critique(
        critique_id=new_id(),
        seat="monitor",
        app=recording.exchange.app,
        session_id=session_of(recording),
        steps=(step.step_id,),
        ruleset="r",
        opinions=(opinion,),
        blamed=(Blame(rank=1, component="tool_definition", name="\x1b[31mred"),),
        calls=(Consumed(model="judge-1", prompt="p", cost_micro_usd=1500, micros=2000),),
        at_ns=recording.exchange.ended_ns,
    )
    return Filed(critique=critique, verdict="hold", clauses=(CLAUSE,))


class Standing:
    """What a control plane may know of a gateway."""

    serving = True
    started_ns = 1
    listening = f"http://127.0.0.1:{PORT}"
    workers = 1
    supervisor: SupervisorStatus | None = None
    providers = (ProviderStatus(name="anthropic", dialect="anthropic", base_url="https://a.example", key_present=True),)

    def counters(self) -> Mapping[str, int]:
        return {"recorded": 1}

    def sights(self) -> tuple[Sight, ...]:
        return ()

    def metrics(self) -> bytes:
        return b"# TYPE up gauge\nup 1\n"

    def witnesses(self) -> tuple[WitnessState, ...]:
        return ()

    def failing(self) -> str | None:
        return None

    def unready(self) -> str | None:
        return None


class Rules:
    """A shipped policy in force for the app `default`."""

    def rulesets(self) -> Mapping[str, Ruleset]:
        policy = load(shipped()["agent-baseline"], "agent-baseline").policy
        return {"default": Ruleset.compile([policy], settings=Settings(enforce=True))}


async def _written(job: Callable[[], Any]) -> Any:
    return job()


class Plane:
    """The control plane over a store in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Store.open(directory)
        self.recordings = [recorded(), recorded(encoded=True), recorded(app="other")]
        self.store.append(self.recordings)
        self.live = LiveFeed(READABLE)
        self.searched = {"default"}
        self.app = self.application()

    def application(self, **access: Any) -> Litestar:
        """The application; `access` overrides what the door is told."""
        return control_app(self.routes(**access))

    def routes(self, **access: Any) -> list[Any]:
        """The control plane's routes."""
        told: dict[str, Any] = {"host": "127.0.0.1", "port": PORT, "allowed_hosts": (), "now_ns": time.time_ns} | access
        return control_routes(
            records=self.store,
            key_ring=self.store.keys,
            hold_book=self.store.holds,
            mode_book=self.store.modes,
            critique_book=self.store.critiques,
            label_book=self.store.labels,
            monitor_queue=self.store.monitor_queue,
            call_book=self.store.supervisor_calls,
            pin_book=self.store.pins,
            in_force=Rules(),
            live_feed=self.live,
            gateway=Standing(),
            desk=DirectDesk(self.store),
            logins=Grants({}, self.store.grants, {}, written=_written),
            backtest_desk=Backtests(
                Laboratory(
                    self.store, self.store.holds, Config.load(None, environ={}, overrides={}), notice_key=b"k" * 32
                ),
                rest=lambda: None,
                work=LongWork(),
            ),
            search_desk=Searches(
                Search(self.store, Reader(self.store, READABLE, Reach()), searchable=lambda app: app in self.searched),
                work=LongWork(),
                rest=lambda: None,
            ),
            revision_desk=self._revisions(),
            audit_log=self.store.audit,
            dialects=READABLE,
            access=Access(self.store.keys, self.store.sign_ins, **told),
            sign_ins=self.store.sign_ins,
        )

    def _revisions(self) -> RevisionDesk:
        config = Config.load(None, environ={}, overrides={"gateway.data_dir": str(self.directory)})
        direct = DirectRevisions(config, self.store)
        return RevisionDesk(
            self.store,
            config,
            standing=lambda: direct.standing,
            revise=direct.revise,
            work=LongWork(),
            rest=lambda: None,
            busy=lambda: False,
        )

    def keys(self, *, app: str = "default") -> dict[str, str]:
        """A key of every role."""
        now = time.time_ns()
        return {role: self.store.keys.create(name=role, role=role, app=app, now_ns=now)[1] for role in ROLES}


def ask(
    app: Any,
    path: str,
    *,
    method: str = "GET",
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    client: tuple[str, int] = ("127.0.0.1", 50_000),
    body: Any = None,
    content: bytes | None = None,
) -> httpx.Response:
    """One request, as a caller on loopback unless said otherwise; `content`: its body as it is."""
    sent = {"host": f"127.0.0.1:{PORT}", **(headers or {})}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=client, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{PORT}") as caller:
            return await caller.request(method, path, headers=sent, json=body, content=content)

    return asyncio.run(asked())
