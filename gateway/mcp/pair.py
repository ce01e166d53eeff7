"""A pair: one message of a client to a tool server with the server's answer, and the record that is made of it.

The mutable noun of this plane, as a passage is of the other: it lives for one message, in one task.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from gateway.identity import Identity, identity, session_name, traceparent
from gateway.ids import new_id, new_span, span_after
from gateway.keeper import Opening
from gateway.mcp.heads import STATELESS, VERSION_KEY
from gateway.stations.asks import Ask, Done
from gateway.stations.errands import Errand, digest_of
from gateway.stations.ingress import Headers
from gateway.stations.judge import Docket
from gateway.stations.states import scope_of
from gateway.steps import Place, errand_steps
from gateway.wire import mcp
from gateway.wire.interface import RequestView
from gateway.wire.jsonrpc import Message
from policies.vocabulary.audit import BLIND_BYTES, OWNER, RequestAccepted, commitment
from policies.vocabulary.exchanges import Body, Exchange, Outcome, Recording
from policies.vocabulary.keys import Principal
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Part

Transport: TypeAlias = Literal["POST", "GET", "DELETE", "STDIO"]
"""How a message came: an HTTP method, or a line of a pipe."""

KEPT_BYTES: Final = 64 << 20
"""Largest answer kept for the record; beyond it the record holds length and digest."""

_JSON: Final = "application/json"
_OPERATION: Final = 64
"""Characters of a method that is recorded."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a message, and over what."""

    principal: Principal
    secret: str | None = None
    headers: Headers = ()
    transport: Transport
    connection: str | None = None
    """An id that several messages of one client share; never shown."""

    revision: str | None = None
    """The protocol revision spoken, where it is known."""


class Pair:
    """What is known so far of one message and its answer."""

    def __init__(self, server: str, caller: Caller, message: Message | None, *, body: bytes = b"") -> None:
        """`message`: None where a client only listens, or sent what could not be read; `body` is what it sent."""
        self.started_ns = time.time_ns()
        self.exchange_id = new_id(self.started_ns)
        self.server = server
        self.caller = caller
        self.message = message
        self.body = body if message is None else message.raw
        self.join: Join | None = None
        self.docket: Docket | None = None
        self.shadowed: tuple[str, ...] = ()
        self.distrusted = False
        self.revision: str | None = None
        self.withheld = False
        """Whether the tool it calls is another one than a person last saw."""
        self.call_id: str | None = None
        """The id under which the steps of this pair belong together: the model's own, where it is known."""
        self.outcome: Outcome = "refused"
        self.status: int | None = None
        self.upstream_status: int | None = None
        self.error_type: str | None = None
        self.note: str | None = None
        self.forwarded_ns: int | None = None
        self.answered_ns: int | None = None
        self.asked: list[tuple[Part, int]] = []
        self.brought: tuple[Part, ...] = ()
        """Parts of the request with their cuts, and of the answer."""
        self.given: str | None = None
        """The text that the client got as the tool's result."""
        self.parked = asyncio.Event()
        """Set once a person is waited for: until then what follows waits its turn."""
        self.spoilt = False
        """True where its answer could not be read."""
        self.stream = False
        self.media_type: str | None = _JSON
        self._heard: list[bytes] = []
        self._length = 0
        self._digest: Any = hashlib.sha256()
        self._span = new_span()
        self._blind = b""
        self.who = _identity(caller, message)

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return self.caller.principal

    @property
    def stateless(self) -> bool:
        """Whether the message is of a revision without sessions, by its headers or, in a pipe, by its own word."""
        said = None if self.message is None else self.message.meta.get(VERSION_KEY)
        revision = self.caller.revision or (said if isinstance(said, str) else "")
        return revision >= STATELESS

    @property
    def scope(self) -> bytes:
        """The caller's walls."""
        return scope_of(self.principal.app, self.principal.key_id)

    @property
    def operation(self) -> str:
        """The method, or what the client does instead of calling one."""
        if self.message is None:
            return "other"
        if self.message.kind in ("result", "error"):
            return "answer"
        return (self.message.method or "")[:_OPERATION]

    @property
    def tool(self) -> str | None:
        """The tool that is called."""
        return self.message.name if self.message is not None and self.message.method == "tools/call" else None

    def opening(self) -> Opening:
        """What the keeper is asked before the message is passed on."""
        return Opening(
            accepted=self._accepted(),
            secret=self.caller.secret,
            errand=Errand(
                ask=Ask(
                    exchange_id=self.exchange_id,
                    at_ns=self.started_ns,
                    scope=self.scope,
                    explicit_session=self.who.explicit_session,
                    agent_session=self.who.agent_session,
                    agent_id=self.who.agent_id,
                    parent_agent_id=self.who.parent_agent_id,
                    agent_name=self.who.agent_name,
                    trace=self.who.trace,
                ),
                server=self.server,
                connection=self.caller.connection,
                tool=self.tool,
                arguments=digest_of(self.asked[0][0].text) if self.tool is not None and self.asked else None,
            ),
        )

    def _accepted(self) -> RequestAccepted:
        principal = self.principal
        request = commitment(self.blind, hashlib.sha256(self.body).digest()) if principal.strict else None
        return RequestAccepted(
            actor=principal.key_id or OWNER,
            tenant=principal.app,
            span=self._span.hex(),
            exchange=self.exchange_id,
            provider=f"mcp/{self.server}",
            operation=self.operation,
            request=request,
        )

    @property
    def blind(self) -> bytes:
        """What the audit log's commitments to this exchange are made under."""
        if not self._blind:
            self._blind = os.urandom(BLIND_BYTES)
        return self._blind

    def hear(self, data: bytes) -> None:
        """Take bytes of the answer as the server sent them."""
        self._length += len(data)
        self._digest.update(data)
        if self._length <= KEPT_BYTES:
            self._heard.append(data)
        else:
            self._heard.clear()

    def done(self) -> Done:
        """How it ended, for the session."""
        return Done(exchange_id=self.exchange_id, complete=self.outcome == "complete", given=self.given)

    def recording(self) -> Recording:
        """The pair as it is recorded."""
        ended_ns = max(time.time_ns(), self.started_ns)
        steps = ()
        if self.join is not None:
            times = (self.started_ns, self.forwarded_ns or self.started_ns, self.answered_ns or ended_ns)
            place = Place(self.join, self.exchange_id, span_after(self._span, 1))
            steps = errand_steps(place, self.asked, self.brought, times)
        view_cuts = ((0, len(self.body), False),) if self.asked else ()
        return Recording(
            exchange=self._exchange(ended_ns),
            request=Body(raw=self.body, length=len(self.body), cuts=view_cuts, media_type=_JSON),
            response=Body(
                raw=b"".join(self._heard) if self._length <= KEPT_BYTES else None,
                length=self._length,
                sha256=self._digest.digest(),
                media_type=self.media_type if self._length else None,
            ),
            steps=steps,
            judged=None if self.docket is None else self.docket.judged(steps),
        )

    def _exchange(self, ended_ns: int) -> Exchange:
        message = self.message
        return Exchange(
            exchange_id=self.exchange_id,
            join=self.join,
            app=self.principal.app,
            key_id=self.principal.key_id,
            provider=f"mcp/{self.server}",
            dialect=mcp.NAME,
            operation=self.operation,
            method=self.caller.transport,
            path=f"/mcp/{self.server}",
            stream=self.stream,
            outcome=self.outcome,
            status=self.status,
            upstream_status=self.upstream_status,
            error_type=self.error_type,
            note=self.note,
            started_ns=self.started_ns,
            upstream_started_ns=self.forwarded_ns,
            first_byte_ns=self.answered_ns,
            ended_ns=ended_ns,
            response_id=message.id_token.decode("utf-8", "replace")[:_OPERATION]
            if message and message.id_token
            else None,
            cost_micro_usd=0,
            client=self.who.client,
            server_span_id=self._span,
            client_span_id=span_after(self._span, 1),
            parent_span_id=self.who.trace[1] if self.who.trace else None,
            tags=self.who.tags,
            verdict="allow" if self.docket is None else self.docket.verdict.name,
            blind=self.blind,
        )


def _identity(caller: Caller, message: Message | None) -> Identity:
    """Who sends this: by headers, and by what the message says of itself where they say nothing."""
    found = identity(caller.headers, RequestView(operation="other"))
    meta: Mapping[str, Any] = {} if message is None else message.meta
    session, trace = meta.get("stepwarden/session"), meta.get("traceparent")
    if found.explicit_session is None and isinstance(session, str):
        found = msgspec.structs.replace(found, explicit_session=session_name(session.encode("utf-8", "replace")))
    if found.trace is None and isinstance(trace, str):
        found = msgspec.structs.replace(found, trace=traceparent(trace.encode("utf-8", "replace")))
    return found
