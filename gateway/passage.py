"""A passage: one request on its way through the stations, and the record that is made of it at the end.

The only mutable noun of the data plane. It lives for one exchange, in one task, and leaves it as frozen
Structs: an `Ask` when the session is sought, a `Recording` when all is over.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.heads import Head, head_of
from gateway.http import Answer
from gateway.identity import Identity, identity
from gateway.ids import new_span, span_after
from gateway.prices import Prices
from gateway.refusals import Refused, SessionTerminated, TooSlow
from gateway.server import Door
from gateway.stations.asks import GLIMPSED, Ask, Done, Glimpse, Made
from gateway.stations.errands import digest_of
from gateway.stations.ingress import Headers, Watch
from gateway.stations.judge import Docket
from gateway.stations.observe import Observation
from gateway.stations.states import scope_of
from gateway.steps import Place, reply_steps, request_steps
from gateway.wire.fingerprint import fingerprint, fingerprints, is_telling, offered, text_digest
from gateway.wire.interface import Dialect, Operation, Reply, RequestView
from gateway.wire.paths import segments
from policies.vocabulary.audit import OWNER, Receipt, RequestAccepted, commitment
from policies.vocabulary.exchanges import Body, Exchange, Outcome, Recording
from policies.vocabulary.keys import Principal
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Part, Step
from policies.vocabulary.verdicts import STRENGTH

_FREE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""No provider bills for looking, or for tidying up."""

_UPLOADS = frozenset({("files",), ("uploads",)})
"""First name of the paths under which files are put; what reads them later is billed then."""

_TOLD_IN_QUERY = frozenset(
    {
        "after", "after_id", "alt", "api-version", "before", "before_id", "beta", "include", "include[]", "limit",
        "model", "order", "page", "page_size", "pagesize", "purpose", "starting_after", "status", "stream",
    }
)  # fmt: skip
"""Query parameters that are recorded with their values. Of others only the name is: any may be a provider's key, under
a name nobody has thought of, and it travels but is in no record, span or list."""

_PLAIN = re.compile(r"[\w.,:-]{0,128}", re.ASCII)
"""Values that hold nothing else in another reading: no escapes, no separators."""

_PARAMETERS = re.compile(r"([&;])")


class Spill:
    """A copy of a body that streams by: its digest and length always, its bytes while they are few."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._pieces: list[bytes] = []
        self._hash = hashlib.sha256()
        self.length = 0

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        self.length += len(piece)
        self._hash.update(piece)
        if self.length <= self._keep:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def body(self, head: Head) -> Body:
        """The copy as the record holds it."""
        return Body(
            raw=b"".join(self._pieces) if self.length <= self._keep else None,
            length=self.length,
            sha256=self._hash.digest(),
            media_type=head.media_type,
            content_encoding=head.encoding,
        )


class Passage:
    """What is known so far of one exchange."""

    principal: Principal | None = None
    body = b""
    decoded = b""
    view: RequestView | None = None
    shadowed: tuple[str, ...] = ()
    """Clauses that were out of force when this exchange was opened."""
    distrusted = False
    revision: str | None = None
    """What is in force for it in place of the policy files."""
    docket: Docket | None = None
    """What clauses say of this exchange; None where no policy is in force for its app."""
    forwarded = b""
    """The decoded body as the provider gets it, where the exchange is judged."""
    delivered: Reply | None = None
    """The reply as the caller got it, where that is not the provider's own."""
    join: Join | None = None
    state: bytes | None = None
    given: Mapping[str, str] = MappingProxyType({})
    """What tool servers gave in answer to calls whose results this request brings, by call id."""
    receipt: Receipt | None = None
    """That the audit log holds this request, where its app is strict."""
    watch: Watch | None = None
    answer: Answer | None = None
    observation: Observation | None = None
    outcome: Outcome = "refused"
    status: int | None = None
    upstream_status: int | None = None
    upstream_started_ns: int | None = None
    started = False
    """True once response headers have left."""
    note: str | None = None
    in_place_of: str | None = None
    """Of a request of ours: the caller's exchange."""
    error_type: str | None = None
    failure: Refused | None = None
    """What went wrong while a streamed request body was read; it explains the broken upstream call."""
    outlet: Callable[[Any], Awaitable[None]] | None = None
    """The way to the caller once an answer may come; None before."""
    finished = False
    """True once the keeper was told how the reply ended."""
    door: Door | None = None
    _blind = b""
    _body_sha256: bytes | None = None
    _prints: tuple[bytes, ...] = ()
    _spill: Spill | None = None
    _identity: Identity | None = None
    _asked_steps: tuple[Step, ...] | None = None
    _glimpsed = 0
    """How many of its steps were shown before it was over."""
    showing: asyncio.TimerHandle | None = None
    """The next look at it, where somebody watches it live."""

    def __init__(  # noqa: PLR0913 - what a request arrives with, by name
        self,
        *,
        exchange_id: str,
        started_ns: int,
        provider: str,
        dialect: Dialect,
        operation: Operation,
        method: str,
        target: str,
        caller_headers: Headers,
        blinds: Iterator[bytes],
    ) -> None:
        """What is known when a request arrives; all else is as the class has it until a station finds it."""
        self.exchange_id = exchange_id
        self.started_ns = started_ns
        self.epoch_ns = started_ns - time.monotonic_ns()
        """What makes a wall clock of the monotonic one: a clock that is set meanwhile changes no time of this call."""
        self.provider = provider
        self.dialect = dialect
        self.operation: Operation = operation
        self.method = method
        self.target = target
        self.caller_headers = caller_headers
        self._blinds = blinds
        self.children: list[Passage] = []
        """Exchanges of ours on the caller's behalf: the provider asked again."""
        self.request_head = head_of(caller_headers)
        self._server_span = new_span()
        self._client_span = span_after(self._server_span, 1)
        self._parts: dict[int, tuple[Part, ...]] = {}

    @property
    def is_free(self) -> bool:
        """Whether no provider bills this call: counting tokens, looking, tidying up, uploading a file."""
        if self.operation != "other":
            return self.operation == "count_tokens"
        uploads = self.dialect.name != "raw" and segments(self.target)[:1] in _UPLOADS
        return self.method in _FREE_METHODS or uploads

    @property
    def scope(self) -> bytes:
        """Who asks and at which provider: the wall that nothing known of stored histories passes."""
        assert self.principal is not None
        return scope_of(self.principal.app, self.principal.key_id) + self.provider.encode()

    def now(self) -> int:
        """Unix epoch, nanoseconds, by the wall clock as it was when the exchange began."""
        return time.monotonic_ns() + self.epoch_ns

    def child(self, exchange_id: str, body: bytes) -> "Passage":
        """The passage of a request of ours in this caller's place. Raises `Undecodable`, or `TooDeep`."""
        other = Passage(
            exchange_id=exchange_id,
            started_ns=self.now(),
            provider=self.provider,
            dialect=self.dialect,
            operation=self.operation,
            method=self.method,
            target=self.target,
            caller_headers=[pair for pair in self.caller_headers if pair[0] != b"content-encoding"],
            blinds=self._blinds,
        )
        view = self.dialect.read_request(body, self.operation)
        other.body = other.forwarded = body
        other.understood(body, view)
        other.principal = self.principal
        other.in_place_of = self.exchange_id
        if self.docket is not None:
            other.docket = self.docket.follow_up()
        if self.join is not None:
            other.join = msgspec.structs.replace(
                self.join, relation="retries", known=len(view.messages), lead_known=True, replaces=()
            )
        return other

    def end_children(self) -> None:
        """What was asked on the caller's behalf and came to no end of its own ended as the caller's exchange did."""
        for child in self.children:
            if child.outcome == "refused" and child.error_type is None:
                child.outcome = self.outcome

    async def judge_rest(self) -> None:
        """Judge what of the reply was not judged while it passed; nobody waits for this any more."""
        docket, observation = self.docket, self.observation
        if docket is None or observation is None or self.operation != "chat":
            return
        reply = observation.close()
        await docket.rest(reply.parts)
        if self.outcome == "complete" and (observation.unread or not reply.complete):
            docket.unread_reply()

    def close_docket(self) -> None:
        """Judge what is left, as far as that can be done at once, and keep what a later request may go on from."""
        if self.docket is None or self.observation is None or self.operation != "chat":
            return
        reply = self.observation.close()
        self.docket.rest_here(reply.parts)
        self.docket.leave_trail()
        named = self.view.conversation_id if self.view is not None and reply.response_id else None
        self.docket.remember(reply.response_id, reply.conversation_id or named)

    def understood(self, decoded: bytes, view: RequestView) -> None:
        """Keep the readable body and what its dialect read in it."""
        self.decoded = decoded
        self.view = view
        self._parts = dict(view.parts_read)

    def parts_at(self, cut: int) -> tuple[Part, ...]:
        """The parts of one cut of the request, read once."""
        parts = self._parts.get(cut)
        if parts is None:
            assert self.view is not None
            parts = self._parts[cut] = self.dialect.parts(self.decoded, self.view, cut)
        return parts

    def identity(self) -> Identity:
        """Who the caller says it is, from headers and body, read once."""
        if self._identity is None:
            self._identity = identity(self.caller_headers, self.view or RequestView(operation=self.operation))
        return self._identity

    @property
    def blind(self) -> bytes:
        """What the audit log's commitments to this exchange are made under, drawn when it is first needed."""
        if not self._blind:
            self._blind = next(self._blinds)
        return self._blind

    def accepted(self) -> RequestAccepted:
        """What the audit log says of this request before it is forwarded."""
        principal = self.principal
        assert principal is not None
        request = None
        if principal.strict and self.operation != "other":
            self._body_sha256 = hashlib.sha256(self.body).digest()
            request = commitment(self.blind, self._body_sha256)
        return RequestAccepted(
            actor=principal.key_id or OWNER,
            tenant=principal.app,
            span=self._server_span.hex(),
            exchange=self.exchange_id,
            provider=self.provider,
            operation=self.operation,
            request=request,
        )

    def ask(self) -> Ask | None:
        """What the keeper needs to find this request's session; None where it carries no conversation."""
        view, principal = self.view, self.principal
        if view is None or principal is None or self.operation != "chat":
            return None
        who = self.identity()
        run = _last_assistant_run(view)
        tail = view.messages[run[1] :] if run else view.messages
        return Ask(
            exchange_id=self.exchange_id,
            at_ns=self.started_ns,
            scope=scope_of(principal.app, principal.key_id),
            provider=self.provider,
            dialect=self.dialect.name,
            explicit_session=who.explicit_session,
            agent_session=who.agent_session,
            agent_id=who.agent_id,
            parent_agent_id=who.parent_agent_id,
            agent_name=who.agent_name,
            conversation_id=view.conversation_id,
            previous_response_id=view.previous_response_id,
            user_id=view.user_id,
            session_hint=view.session_hint,
            prompt_cache_key=view.prompt_cache_key,
            trace=who.trace,
            retry=who.retry,
            voices=tuple([message.voice for message in view.messages]),
            digests=tuple([message.digest for message in view.messages]),
            lead=view.lead,
            last_run=(run[0], self._run_fingerprint(run)) if run else None,
            opening=None if run else self._opening(),
            results=tuple(
                part.call_id
                for message in tail
                if message.voice == "tool"
                for part in self.parts_at(message.cut)
                if part.call_id
            ),
        )

    def _run_fingerprint(self, run: tuple[int, int]) -> bytes:
        assert self.view is not None
        return fingerprint(
            part for message in self.view.messages[run[0] : run[1]] for part in self.parts_at(message.cut)
        )

    def _opening(self) -> bytes | None:
        assert self.view is not None
        for message in self.view.messages:
            if message.voice == "user":
                for part in self.parts_at(message.cut):
                    if part.kind == "user_input" and part.text:
                        return text_digest(part.text)
        return None

    async def spill_request(self, body: AsyncIterator[bytes], *, keep: int) -> AsyncIterator[bytes]:
        """Relay a request body of any size while keeping a bounded copy."""
        spill = self._spill = Spill(keep)
        try:
            async for piece in body:
                spill.add(piece)
                yield piece
        except TooSlow as late:
            self.failure = late
            raise

    def refused(self, refusal: Refused) -> Refused:
        """Note a refusal; returns the one to tell the caller."""
        refusal = self.failure or refusal
        self.outcome = refusal.outcome
        self.status = refusal.status
        self.error_type = refusal.code
        self.note = self.note or str(refusal)
        return refusal

    def look_away(self) -> None:
        """The answer is ending: the caller's departure no longer changes anything."""
        if self.watch is not None:
            self.watch.stop()

    def own_headers(self) -> list[tuple[bytes, bytes]]:
        """The only headers the gateway adds to an answer; a refusal that no verdict caused names none."""
        headers = [(b"stepwarden-exchange", self.exchange_id.encode())]
        if self.join is not None:
            headers.append((b"stepwarden-session", self.join.session_id.encode()))
        verdict = self._told_verdict()
        if verdict is not None:
            headers.append((b"stepwarden-verdict", verdict.encode()))
        if self.receipt is not None:
            headers.append((b"stepwarden-receipt", self.receipt.header().encode()))
        return headers

    def _told_verdict(self) -> str | None:
        """The verdict as far as it is known when headers leave; None for refusals that no verdict caused."""
        if self.error_type == SessionTerminated.code:
            return "terminate"
        docket = self.docket
        if docket is None:
            return "allow" if self.error_type is None else None
        if self.error_type is not None and STRENGTH[docket.verdict.name] < STRENGTH["hold"]:
            return None
        to_come = self.operation == "chat" and self.upstream_status == 200 and not docket.settled  # noqa: PLR2004 - OK
        known = STRENGTH[docket.verdict.name] >= STRENGTH["reject"]
        return "streaming" if to_come and not known and self.error_type is None else docket.verdict.name

    def recording(self, prices: Prices) -> Recording:
        """The exchange as it is recorded."""
        ended_ns = self.now()
        reply = self.observation.close() if self.observation is not None else Reply()
        steps = self._steps(reply.parts, ended_ns)
        return Recording(
            exchange=self._exchange(reply, prices, ended_ns),
            request=self._request_body(),
            response=self._response_body(),
            steps=steps,
            state=self.state,
            reply_fingerprint=b"".join(self._prints) or None,
            end_user=None if self.view is None else self.view.end_user or self.view.user_id,
            judged=None if self.docket is None else self.docket.judged(steps),
        )

    def done(self) -> Done | None:
        """How the reply ended, for the session: once, as soon as it is known; None without one, and ever after."""
        if self.join is None or self.finished:
            return None
        self.finished = True
        reply = self.delivered or (self.observation.close() if self.observation is not None else Reply())
        self._prints = fingerprints(reply.parts)
        answered = self.upstream_status == 200 and reply.complete and reply.error_type is None  # noqa: PLR2004 - OK
        calls = [part for part in reply.parts if part.kind == "tool_call"]
        return Done(
            exchange_id=self.exchange_id,
            complete=reply.complete,
            failed=not answered,
            fingerprints=self._prints,
            telling=len(self._prints) == 1 and is_telling(reply.parts),
            response_id=reply.response_id,
            conversation_id=reply.conversation_id,
            calls=tuple([part.call_id for part in calls if part.call_id]) if calls else (),
            made=tuple(_made(calls)) if calls else (),
            offered=offered(calls) if calls else (),
        )

    def glimpse(self) -> Glimpse | None:
        """What is new of it since the last look; None where nothing is, or it carries no steps."""
        join, view, principal = self.join, self.view, self.principal
        if join is None or view is None or principal is None:
            return None
        now = self.now()
        closed = self.observation.parts if self.observation is not None else []
        asked = self._request_steps()
        seen, self._glimpsed = self._glimpsed, len(asked) + len(closed)
        if seen == self._glimpsed:
            return None
        steps = self._steps(closed, now)
        later = closed[max(seen - len(asked), 0) :]
        texts = [*(self._asked_text(step) for step in asked[seen:]), *(part.text for part in later)]
        return Glimpse(
            exchange_id=self.exchange_id,
            app=principal.app,
            join=join,
            model=view.model,
            started_ns=self.started_ns,
            steps=steps[seen:],
            texts=tuple([text[:GLIMPSED] for text in texts]),
        )

    def _asked_text(self, step: Step) -> str:
        assert step.cut is not None  # every step of a request that was read stands in a cut of it
        parts = self.parts_at(step.cut)
        return next(part.text for part in parts if (part.kind, part.pointer) == (step.kind, step.pointer))

    def _request_steps(self) -> tuple[Step, ...]:
        """What is new in the request, told apart once."""
        if self._asked_steps is None:
            assert self.join is not None
            assert self.view is not None
            place = Place(self.join, self.exchange_id, self._client_span)
            found = request_steps(self.view, place, self.parts_at, self.started_ns, given=self.given)
            self._asked_steps = tuple(found)
        return self._asked_steps

    def _steps(self, reply: Sequence[Part], ended_ns: int) -> tuple[Step, ...]:
        if self.join is None or self.view is None:
            return ()
        asked = self._request_steps()
        place = Place(self.join, self.exchange_id, self._client_span)
        return (*asked, *reply_steps(reply, place, len(asked), self._reply_times(ended_ns)))

    def _reply_times(self, ended_ns: int) -> tuple[int, int]:
        first = self.observation.first_byte_ns if self.observation is not None else None
        return first or ended_ns, ended_ns

    def _exchange(self, reply: Reply, prices: Prices, ended_ns: int) -> Exchange:
        principal, view, who = self.principal, self.view, self.identity()
        assert principal is not None
        observation = self.observation
        model = reply.model or (view.model if view else None)
        return Exchange(
            exchange_id=self.exchange_id,
            join=self.join,
            app=principal.app,
            key_id=principal.key_id,
            provider=self.provider,
            dialect=self.dialect.name,
            operation=self.operation,
            method=self.method,
            path=_without_secrets(self.target),
            stream=observation is not None and observation.stream,
            outcome=self.outcome,
            status=self.status,
            upstream_status=self.upstream_status,
            error_type=self.error_type or reply.error_type,
            note=self.note or (observation.unread if observation else None),
            started_ns=self.started_ns,
            upstream_started_ns=self.upstream_started_ns,
            first_byte_ns=observation.first_byte_ns if observation else None,
            first_token_ns=reply.first_token_ns,
            ended_ns=ended_ns,
            model_requested=view.model if view else None,
            model=reply.model,
            response_id=reply.response_id,
            provider_request_id=observation.head.request_id if observation else None,
            finish_reasons=reply.finish_reasons,
            max_tokens=view.max_tokens if view else None,
            temperature=view.temperature if view else None,
            top_p=view.top_p if view else None,
            usage=reply.usage,
            cost_micro_usd=self._cost(model, reply, prices),
            price_version=prices.version,
            client=who.client,
            retry=who.retry,
            server_span_id=self._server_span,
            client_span_id=self._client_span,
            parent_span_id=who.trace[1] if who.trace else None,
            tags=who.tags,
            verdict="allow" if self.docket is None else self.docket.verdict.name,
            in_place_of=self.in_place_of,
            blind=self.blind,
        )

    def _cost(self, model: str | None, reply: Reply, prices: Prices) -> int | None:
        """What the call cost; a call that never reached the provider cost nothing, one we cannot price is unknown."""
        if self.is_free:
            return 0
        if self.upstream_started_ns is None or self.outcome == "upstream_unreachable":
            return 0
        if self.outcome == "refused" and self.upstream_status is None:
            return 0
        if self.upstream_status is not None and self.upstream_status >= 400:  # noqa: PLR2004 - providers bill no errors
            return 0
        off_list = reply.off_list or (self.view is not None and self.view.off_list)
        if self.operation not in {"chat", "embeddings"} or off_list:
            return None
        return prices.cost(model, reply.usage, self.provider)

    def _request_body(self) -> Body:
        head = self.request_head
        if self._spill is not None:
            return self._spill.body(head)
        return Body(
            raw=self.body,
            length=len(self.body),
            sha256=self._body_sha256,
            cuts=self.view.cuts if self.view is not None and self.decoded is self.body else (),
            media_type=head.media_type,
            content_encoding=head.encoding,
        )

    def _response_body(self) -> Body:
        return self.observation.body() if self.observation is not None else Body(raw=b"", length=0)


def _without_secrets(target: str) -> str:
    """The path with its query as it is recorded."""
    path, mark, query = target.partition("?")
    return path + mark + "".join(map(_told, _PARAMETERS.split(query))) if query else target


def _told(piece: str) -> str:
    """What is recorded of one parameter (or of what stands between two)."""
    name, equals, value = piece.partition("=")
    if piece in {"", "&", ";"} or (name.lower() in _TOLD_IN_QUERY and _PLAIN.fullmatch(value)):
        return piece
    return f"{name}=***" if equals else "***"


def _made(parts: Iterable[Part]) -> Iterator[Made]:
    """Of the calls of a reply, those that a tool server could come to see."""
    for part in parts:
        if part.call_id and part.tool and not part.server_side:
            digest = digest_of(part.text)
            if digest is not None:
                yield Made(part.call_id, part.tool, digest)


def _last_assistant_run(view: RequestView) -> tuple[int, int] | None:
    """(start, end) of the last consecutive assistant messages; None where the history holds none."""
    end = len(view.messages)
    while end and view.messages[end - 1].voice != "assistant":
        end -= 1
    start = end
    while start and view.messages[start - 1].voice == "assistant":
        start -= 1
    return (start, end) if end else None
