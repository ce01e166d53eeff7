"""A stream with a call that somebody is asked about: the caller hears keep-alives until the answer comes."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from gateway import supervised
from gateway.config import Limits
from gateway.demo.turns import Call, Turn
from gateway.heads import head_of
from gateway.ids import secrets_of
from gateway.passage import Passage
from gateway.stations.bench import Bench
from gateway.stations.judge import Docket
from gateway.stations.observe import Observation
from gateway.supervised import SupervisedReply
from gateway.wire.dialects import dialects
from gateway.wire.enforcing import enforcing
from policies.asking import Answer, Asking, Question
from policies.evaluate import Ruleset, Settings
from policies.guards.external import ExternalSpec
from policies.vocabulary.clauses import Band, Clause, Policy, PolicyHead
from tests.fakes.provider import events

TURN = Turn(text="Now.", calls=(Call("call_1", "look", '{"at": "noon"}'),))


class Slow:
    """Answers once the caller has heard something."""

    def __init__(self, heard: asyncio.Event) -> None:
        self._heard = heard

    async def ask(self, question: Question) -> Answer:
        del question
        await self._heard.wait()
        return Answer()


class Caller:
    """Takes what is sent, and says when a keep-alive was among it."""

    def __init__(self, heard: asyncio.Event) -> None:
        self.heard = heard
        self.body = b""

    async def send(self, message: Any) -> None:
        piece = message.get("body", b"")
        self.body += piece
        if b"ping" in piece:
            self.heard.set()

    def finish(self) -> None:
        """Nothing to tell."""


class Reply:
    """A provider's answer, all at once."""

    status = 200
    headers = ((b"content-type", b"text/event-stream"),)

    def __init__(self, body: bytes) -> None:
        self._left = [body, b""]

    async def read(self) -> bytes:
        return self._left.pop(0)

    def close(self) -> None:
        """Nothing is open."""


def ruleset() -> Ruleset:
    spec = msgspec.convert({"kind": "external", "url": "https://judge.example/"}, ExternalSpec)
    clause = Clause(
        id="rule",
        text="No.",
        severity="low",
        steps=("tool_call",),
        guards=(spec,),
        action=(Band(at=75, do="reject"),),
        reason="action_not_allowed",
        on_error="reject",
    )
    policy = Policy(policy=PolicyHead(id="p", description=""), clause=(clause,))
    return Ruleset.compile([policy], settings=Settings(enforce=True))


async def streamed() -> Caller:
    caller = Caller(asyncio.Event())
    dialect, limits = dialects().anthropic, Limits()
    passage = Passage(
        exchange_id="x",
        started_ns=0,
        provider="anthropic",
        dialect=dialect,
        operation="chat",
        method="POST",
        target="/v1/messages",
        caller_headers=[],
        blinds=secrets_of(16),
    )
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Go."}]}).encode()
    passage.understood(body, dialect.read_request(body, "chat"))
    passage.forwarded, passage.upstream_status = body, 200
    bench = Bench(ruleset(), heavy=ruleset, clock=lambda: 0, notice_key=bytes(32), asker=Slow(caller.heard))
    passage.docket = Docket(bench, scope=b"", stateful=False, asking=Asking(session_id="s"))
    own = [event for event in events("anthropic", TURN) if b"ping" not in event]
    answer = Reply(b"".join(own))
    observation = Observation(dialect, "chat", head_of(answer.headers), keep=1 << 20, limits=limits, view=passage.view)
    passage.observation = observation
    needs, acts = bench.needs, enforcing(dialect)
    assert needs is not None
    assert acts is not None
    reply = SupervisedReply(passage, caller, needs=needs, acts=acts, limits=limits)  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await reply.stream(answer, observation, answer.headers, b"")
    return caller


def test_keepalives_are_sent_while_somebody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "_KEEPALIVE_SECONDS", 0.01)
    caller = asyncio.run(streamed())
    assert caller.heard.is_set()
    assert b"call_1" in caller.body
    assert caller.body.index(b"ping") < caller.body.index(b"call_1")
