"""One exchange: a request's way through the stations, and its response's way back.

    ingress -> admit -> read -> open (thread) -> judge -> instruct -> forward -> relay (observe) -> record

A path that carries steps is read whole and understood; every other path streams through unbuffered. What
the provider sends reaches the caller first and is read from a copy after. The gateway adds one thing of
its own: an answer the provider did not finish ends as an error the caller's SDK raises.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from gateway.answering import Unsayable
from gateway.config import Limits, Provider
from gateway.decoding import Bomb, Undecoded, decode
from gateway.heads import BODILESS, head_of
from gateway.http import Answer, Interrupted, Upstream
from gateway.ids import new_id, secrets_of
from gateway.keeper import Keeper, Opening
from gateway.passage import Passage
from gateway.prices import Prices
from gateway.refusals import (
    Ambiguous,
    BodyTooLarge,
    BudgetExhausted,
    Draining,
    Failed,
    NestedTooDeeply,
    NotAnAnswer,
    Overloaded,
    Refused,
    StepRejected,
    UpstreamBroke,
    UpstreamMalformed,
    UpstreamTimedOut,
)
from gateway.stations import forward, ingress
from gateway.stations.benches import Supervision
from gateway.stations.ingress import ClientGone, Presented, Watch
from gateway.stations.instruct import ECHOES, Restored, instruct
from gateway.stations.judge import Docket
from gateway.stations.observe import Observation
from gateway.supervised import Attempt, SupervisedReply, hold_ask
from gateway.wire.dialects import Dialects
from gateway.wire.edits import Uneditable
from gateway.wire.elsewhere import asks_beyond_its_bytes
from gateway.wire.enforcing import enforcing
from gateway.wire.interface import Dialect, Operation, RequestView, TooDeep, Undecodable
from gateway.wire.notices import make
from gateway.wire.responses_turns import redirected, settled
from gateway.wire.stored import hands_out_turns
from gateway.wire.strict import ambiguity
from policies.asking import Asking
from policies.vocabulary.audit import BLIND_BYTES
from policies.vocabulary.holds import HoldAsk
from policies.vocabulary.verdicts import ReasonCode

log = logging.getLogger("stepwarden.exchange")

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

_KEPT_BYTES = 64 << 20
"""Largest response kept for the record on a path that carries steps."""

_KEPT_OTHER_BYTES = 8 << 20
"""Largest body kept of a path that streams through; beyond it the record holds length and digest."""

_PARTING_SECONDS = 1.0
"""How long a caller may take to accept why its answer ends when the gateway stops."""


_REMEMBERED_PATHS = 1024
_REMEMBERED_LENGTH = 256
"""Longest path worth remembering, bytes: callers choose paths, and memory must stay small."""


_LOOK_SECONDS = 0.1
"""How often an exchange that somebody watches live is looked at while it is under way."""


class Gate:
    """How many exchanges are in flight in this worker, and whether it still takes new ones."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_flight = 0
        self.draining = False
        self._carried = 0

    def carried(self) -> int:
        """How many exchanges have come since the start."""
        return self._carried

    def __enter__(self) -> None:
        """Count one exchange. Raises `Overloaded` or `Draining`."""
        if self.draining:
            raise Draining("The gateway is shutting down.")
        if self.in_flight >= self._limit:
            raise Overloaded("The gateway carries as many requests as it may.")
        self.in_flight += 1
        self._carried += 1

    def __exit__(self, *_: object) -> None:
        """It is over."""
        self.in_flight -= 1


class DataPlane:
    """The ASGI application of one provider."""

    def __init__(  # noqa: PLR0913 - the composition root hands over everything an exchange needs, by name
        self,
        provider: Provider,
        *,
        dialects: Dialects,
        client: Upstream,
        keeper: Keeper,
        prices: Prices,
        limits: Limits,
        gate: Gate,
        environ: Mapping[str, str],
        supervision: Supervision,
    ) -> None:
        self.supervision = supervision
        """Clauses in force; replaced as a whole when policies change. An exchange keeps those it began under."""
        self._provider = provider
        self._dialects = dialects
        self._client = client
        self.keeper = keeper
        self._prices = prices
        self._limits = limits
        self._gate = gate
        self._environ = environ
        self._blinds = secrets_of(BLIND_BYTES)
        self._routed = lru_cache(_REMEMBERED_PATHS)(self._route)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Carry one exchange. Never raises, so that the server has nothing to report that is not logged here."""
        passage = self._arrive(scope)
        try:
            with self._gate:
                await self._carry(passage, scope, receive, send)
        except Refused as refusal:
            await self._refused(passage, refusal, send)
        except Unsayable:
            oddity = UpstreamMalformed("The provider's answer has a header that HTTP does not allow.")
            await self._refused(passage, oddity, send)
        except ClientGone:
            passage.outcome = "client_aborted"
        except asyncio.CancelledError:
            await self._cancelled(passage, send)
        except Exception:
            log.exception("an exchange failed", extra={"exchange": passage.exchange_id})
            await self._fail(passage, send)
        finally:
            if passage.watch is not None:
                passage.watch.stop()
            if passage.showing is not None:
                passage.showing.cancel()
            passage.end_children()
            for each in (passage, *passage.children):
                if each.answer is not None:
                    each.answer.close()
                self._record(each)

    def _record(self, passage: Passage) -> None:
        """Hand the exchange to the keeper. A caller nobody knows leaves no record; a bug here breaks no answer."""
        if passage.principal is None:
            return
        try:
            if not passage.finished:
                self.finish(passage)
            passage.close_docket()
            self.keeper.close(passage.recording(self._prices))
        except Exception:
            log.exception("an exchange could not be recorded", extra={"exchange": passage.exchange_id})
            self.keeper.lose(passage.exchange_id, "it could not be made into a record")

    def finish(self, passage: Passage) -> None:
        """Tell the keeper how a reply ended, once."""
        done = passage.done()
        if done is not None:
            self.keeper.finish(done)

    def _route(self, method: str, raw_path: bytes) -> tuple[str, Dialect, Operation]:
        """The provider's path of a request, its dialect, and what the request is."""
        path = "/" + raw_path.lstrip(b"/").partition(b"/")[2].decode("latin-1")
        dialect = self._dialects.for_provider(self._provider.dialect, method, path)
        return path, dialect, dialect.operation(method, path)

    def _arrive(self, scope: Any) -> Passage:
        """Mint the ids and find the dialect of this path."""
        now = time.time_ns()
        route = self._routed if len(scope["raw_path"]) <= _REMEMBERED_LENGTH else self._route
        path, dialect, operation = route(scope["method"], scope["raw_path"])
        query: bytes = scope["query_string"]
        return Passage(
            exchange_id=new_id(now),
            started_ns=now,
            provider=self._provider.name,
            dialect=dialect,
            operation=operation,
            method=scope["method"],
            target=f"{path}?{query.decode('latin-1')}" if query else path,
            caller_headers=scope["headers"],
            blinds=self._blinds,
        )

    async def _carry(self, passage: Passage, scope: Any, receive: Receive, send: Send) -> None:
        door = passage.door = ingress.check(scope)
        if door.bare_query:
            passage.target += "?"
        shown = ingress.presented(passage.caller_headers)
        passage.principal = await self.keeper.admit(shown.secret if shown else None)
        headers = forward.request_headers(passage.caller_headers)
        if shown is not None:
            headers = forward.with_provider_key(
                headers, shown, self._provider.key(self._environ), self._provider.dialect
            )
        if passage.operation == "other":
            _refuse_unpriced(passage)
            await self._open(passage, shown)
            self._note_unseen(passage)
            outgoing = self._streamed(passage, receive)
            passage.watch = Watch(door)
        else:
            outgoing = passage.body = await ingress.read_body(receive, door, passage.caller_headers, self._limits)
            self._understand(passage)
            await self._open(passage, shown)
            passage.watch = Watch(door)  # from here on, for judging may wait for a person
            if self._summon(passage) is not None:
                outgoing, headers = await self._judge(passage, headers)
        send = passage.outlet = self._outlet(passage, send)
        passage.upstream_started_ns = passage.now()
        passage.answer = await self._client.send(passage.method, passage.target, headers, outgoing or None)
        line = None if passage.docket is None else _Line(self, passage, shown, headers, send)
        await self._relay(passage, passage.answer, send, line)

    def _outlet(self, passage: Passage, send: Send) -> Send:
        """The way to the caller, by which it hears nothing of what was added to its request."""
        docket, view = passage.docket, passage.view
        added = docket is not None and docket.instructed is not None and passage.operation == "chat"
        if docket is None or view is None or not added or passage.dialect.name != ECHOES:
            return send
        return Restored(send, docket, passage.decoded, view)

    def _summon(self, passage: Passage) -> Docket | None:
        """Open the docket of an exchange whose app has policies."""
        principal = passage.principal
        bench = None
        if principal is not None:
            bench = self.supervision.bench(
                principal.app, passage.shadowed, distrusted=passage.distrusted, revision=passage.revision
            )
        if principal is not None and bench is not None:
            view, join = passage.view, passage.join
            stateful = view is not None and (view.previous_response_id or view.conversation_id) is not None
            session_id = None if join is None else join.session_id
            asking = Asking(app=principal.app, session_id=session_id, exchange_id=passage.exchange_id)
            passage.docket = Docket(bench, scope=passage.scope, stateful=stateful, asking=asking)
            passage.docket.given, passage.docket.revision = passage.given, passage.revision
            passage.forwarded = passage.decoded
        return passage.docket

    def _note_unseen(self, passage: Passage) -> None:
        """A path on which no step is understood: what the app makes of calls that no guard can read."""
        kept = passage.method == "GET" and passage.dialect.name != "raw" and hands_out_turns(passage.target)
        if (kept or not passage.is_free) and self._summon(passage) is not None:
            self._unreadable(passage, "stored_turns" if kept else "path")

    def _unreadable(self, passage: Passage, why: str) -> None:
        docket = passage.docket
        assert docket is not None
        if docket.unreadable(why).name == "reject":
            raise self._rejection(passage, "supervision_unavailable")

    def _rejection(self, passage: Passage, reason: ReasonCode | None) -> StepRejected:
        assert passage.docket is not None
        code = reason or "action_not_allowed"
        passage.docket.stop(code)
        return StepRejected(make(code, passage.exchange_id, passage.docket.bench.notice_key), reason=code)

    async def _judge(self, passage: Passage, headers: forward.Headers) -> tuple[bytes, forward.Headers]:
        """Judge what a request puts before the model; the body and headers that may go on. Raises `StepRejected`."""
        docket, view = passage.docket, passage.view
        assert docket is not None
        if docket.acts and (doubt := self._doubt(passage)) is not None:
            raise Ambiguous(f"The JSON of this request holds {doubt}.")
        unread = "not_understood" if view is None else passage.operation
        if view is None or unread not in {"chat", "count_tokens"}:
            docket.uninstructed = unread if docket.bench.overlay else None
            self._unreadable(passage, unread)
            return passage.body, headers
        await docket.request(passage.dialect.name, view, passage.parts_at, passage.join)
        if docket.partial:
            self._unreadable(passage, "server_side_history")
        await self._enforce(passage, docket)
        if view.stream and docket.bench.needs is not None:
            headers = forward.with_header(headers, b"accept-encoding", b"identity")
        return self._changed(passage, docket, headers)

    def _doubt(self, passage: Passage) -> str | None:
        """What in a request a provider may read otherwise than its clauses do."""
        body, acts = passage.decoded or passage.body, enforcing(passage.dialect)
        return ambiguity(body) if acts is None else acts.doubt_of_request(body)

    async def _enforce(self, passage: Passage, docket: Docket) -> None:
        """Stop what has to be stopped before the provider sees it. Raises `StepRejected`."""
        verdict = docket.verdict
        if verdict.name == "terminate" and passage.join is not None:
            await self.keeper.terminate(passage.join.session_id)
        if verdict.name in {"reject", "terminate"}:
            raise self._rejection(passage, verdict.reason)
        if verdict.name == "hold":
            for ruled in docket.ruled:
                said = ruled.judgement.verdict
                if said.name == "hold" and not await self.keeper.hold(hold_ask(passage, docket, ruled.part, said)):
                    raise self._rejection(passage, "needs_approval")

    def _changed(self, passage: Passage, docket: Docket, headers: forward.Headers) -> tuple[bytes, forward.Headers]:
        """The body with what is redacted, rewritten or added; the caller's own bytes where that is nothing."""
        assert passage.view is not None
        enforced = self._enforced(passage, docket, passage.view)
        again = enforced is not passage.decoded and docket.bench.overlay
        view = passage.dialect.read_request(enforced, passage.operation) if again else passage.view
        body = passage.forwarded = instruct(docket, passage.dialect, enforced, view)
        if body is passage.decoded:
            return passage.body, headers
        docket.forwarded_sha256 = sha256(body).digest()
        headers = [pair for pair in headers if pair[0] != b"content-encoding"]
        if docket.instructed is not None and passage.dialect.name == ECHOES:
            headers = forward.with_header(headers, b"accept-encoding", b"identity")
        return body, forward.with_header(headers, b"content-length", b"%d" % len(body))

    def _enforced(self, passage: Passage, docket: Docket, view: RequestView) -> bytes:
        """The decoded body after what clauses ask for.

        One that goes on from a response of which the caller knows the first id alone is led to the last, and answers
        the calls that stand there and were kept from the caller.
        """
        edits, body, acts = docket.request_edits(), passage.decoded, enforcing(passage.dialect)
        named = view.previous_response_id or ""
        holder, owed = docket.holder(named), docket.owed(view)
        if edits:
            try:
                assert acts is not None
                body = acts.edit_request(body, view, edits)
            except Uneditable as uneditable:
                raise self._rejection(passage, docket.verdict.reason) from uneditable
        if holder != named:
            body = redirected(body, view, {named: holder})
        return settled(body, owed) if owed else body

    def _streamed(self, passage: Passage, receive: Receive) -> AsyncIterator[bytes] | None:
        """The request body of a path that is not understood, relayed as it arrives; None where there is none."""
        if not ingress.has_body(passage.caller_headers):
            return None
        return passage.spill_request(ingress.stream_body(receive, self._limits), keep=_KEPT_OTHER_BYTES)

    def _understand(self, passage: Passage) -> None:
        """Read the request; what cannot be read is relayed all the same and noted."""
        encoding = passage.request_head.encoding
        try:
            decoded = passage.body
            if encoding is not None:
                limits = self._limits
                decoded = decode(passage.body, encoding, cap=limits.decoded_bytes, ratio=limits.ratio)
            passage.understood(decoded, passage.dialect.read_request(decoded, passage.operation))
        except Bomb as bomb:
            raise BodyTooLarge(f"The compressed body cannot be read: {bomb}.") from bomb
        except TooDeep as error:
            raise NestedTooDeeply("The JSON of this request nests too deeply to be read.") from error
        except (Undecodable, Undecoded) as error:
            passage.note = f"request not understood: {error}"

    async def ask_again(
        self, passage: Passage, shown: Presented | None, headers: forward.Headers, body: bytes
    ) -> Attempt:
        """Send a body in a caller's place, as an exchange of its own beside the caller's. Raises `Refused`."""
        child = passage.child(new_id(passage.now()), body)
        await self._open_child(passage, child, shown)
        headers = [pair for pair in headers if pair[0] != b"content-encoding"]
        headers = forward.with_header(headers, b"content-length", b"%d" % len(body))
        child.upstream_started_ns = child.now()
        try:
            answer = child.answer = await self._client.send(child.method, child.target, headers, body)
        except Refused as refusal:
            child.refused(refusal)
            raise
        child.upstream_status = child.status = answer.status
        observation = self._observe(child, forward.response_headers(answer.headers))
        if answer.status != 200:  # noqa: PLR2004 - OK
            child.outcome = "complete"  # an answer, too, though nobody wants to read it
            raise UpstreamBroke("The provider refused to be asked again.")
        assert child.view is not None
        return Attempt(child, answer, observation, body=body, view=child.view)

    async def _open_child(self, passage: Passage, child: Passage, shown: Presented | None) -> None:
        """Open a request of ours. Raises `Refused`; one whose caller leaves meanwhile is recorded, and so settled."""
        opening = Opening(
            accepted=child.accepted(),
            secret=shown.secret if shown else None,
            ceiling_micro_usd=self._ceiling(child),
            priced=True,
        )
        passage.children.append(child)
        try:
            await self.keeper.open(opening)
        except Refused:
            passage.children.remove(child)
            raise

    async def _open(self, passage: Passage, shown: Presented | None) -> None:
        priced = passage.operation in {"chat", "embeddings", "batch"}
        opening = Opening(
            accepted=passage.accepted(),
            secret=shown.secret if shown else None,
            ceiling_micro_usd=self._ceiling(passage) if priced else None,
            priced=priced,
            ask=passage.ask(),
        )
        opened = await self.keeper.open(opening)
        passage.join, passage.state = opened.join, opened.state
        passage.shadowed, passage.distrusted, passage.receipt = opened.shadowed, opened.distrusted, opened.receipt
        if opened.given:
            passage.given = dict(opened.given)
        if opened.watched:
            self._look_soon(passage)
        if opened.revision is not None and passage.principal is not None:
            passage.revision = opened.revision
            await self.supervision.attend(passage.principal.app, opened.revision)

    def _look_soon(self, passage: Passage) -> None:
        """Show an exchange while it is under way; most are over before the first look, and cost a timer."""
        passage.showing = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, passage)

    def _look(self, passage: Passage) -> None:
        glimpse = passage.glimpse()
        if glimpse is not None:
            self.keeper.show(glimpse)
        self._look_soon(passage)

    def _ceiling(self, passage: Passage) -> int | None:
        """The most this call may cost, in micro-USD; None where that cannot be known from the request."""
        view, principal = passage.view, passage.principal
        if view is None or principal is None or not principal.budgeted or passage.operation == "batch":
            return None
        if view.off_list:
            return None
        size = sys.maxsize if asks_beyond_its_bytes(passage.decoded, view) else len(passage.decoded)
        one = self._prices.ceiling(view.model, size, view.max_tokens, passage.provider)
        return None if one is None else one * view.choices

    async def _relay(self, passage: Passage, answer: Answer, send: Send, line: "_Line | None") -> None:
        """The answer on its way to the caller; `line` where clauses may have a say in it."""
        passage.upstream_status = passage.status = answer.status
        headers = forward.response_headers(answer.headers)
        observation = self._observe(passage, headers)
        first = b""
        if passage.operation == "chat" and _succeeded(answer.status):
            if observation.may_be_nothing:
                first = await self._first_bytes(answer)
                _refuse_unless_answer(answer.status, observation, first)
            if line is not None and await self._supervised(answer, first, observation, headers, line):
                await passage.judge_rest()
                return
        if answer.status in BODILESS:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        start = {"type": "http.response.start", "status": answer.status, "headers": [*headers, *passage.own_headers()]}
        if first and passage.door is not None:
            passage.door.join_head()
        await send(start)
        passage.started = True
        try:
            if observation.stream:
                await self._relay_stream(passage, answer, observation, send)
            else:
                await self._relay_document(passage, answer, first, observation, send)
        except Interrupted as broken:
            if observation.stream and observation.ended and observation.head.length is None:
                await self._end_answer(passage, observation, b"", send)  # the provider had said its last word
                return
            passage.outcome = "timed_out" if broken.timed_out else "upstream_reset"
            passage.note = str(broken)
            await self._end_unfinished(passage, send)
        await passage.judge_rest()

    async def _supervised(
        self, answer: Answer, first: bytes, observation: Observation, headers: forward.Headers, line: "_Line"
    ) -> bool:
        """Conduct a reply that a clause may act on; False where none can."""
        supervised = line.supervised(self._limits)
        if supervised is None:
            return False
        if observation.begins_events(first):
            await supervised.stream(answer, observation, headers, first)
        else:
            await supervised.document(answer, observation, headers, first)
        return True

    async def _relay_stream(self, passage: Passage, answer: Answer, observation: Observation, send: Send) -> None:
        """Server-sent events: each chunk reaches the caller before it is read.

        Where the head declared a length, the last byte waits until the stream is known to be whole: once it has
        left, nothing could tell the caller otherwise.
        """
        declared = observation.head.length
        held = b""
        while chunk := await answer.read():
            if declared is not None and observation.length + len(chunk) >= declared:
                held = chunk[-1:]
            await send({"type": "http.response.body", "body": chunk[:-1] if held else chunk, "more_body": True})
            observation.feed(chunk)
            if observation.ended:
                self.finish(passage)
        await self._end_answer(passage, observation, held, send)

    async def _end_answer(self, passage: Passage, observation: Observation, last: bytes, send: Send) -> None:
        """Let the last bytes go, unless the provider stopped before its own end."""
        if observation.unfinished and passage.upstream_status not in BODILESS:
            passage.outcome = "truncated"
            await self._end_unfinished(passage, send)
            return
        passage.look_away()
        passage.outcome = "complete"
        if not self.keeper.here:
            self.finish(passage)
        await send({"type": "http.response.body", "body": last, "more_body": False})
        self.finish(passage)  # nothing came between: this loop takes the caller's next request once it is done here

    async def _relay_document(
        self, passage: Passage, answer: Answer, first: bytes, observation: Observation, send: Send
    ) -> None:
        """Anything else: its bytes are taken note of as they pass, and read once all are there."""
        chunk = first or await answer.read()
        while chunk:
            observation.feed(chunk)
            if observation.ended:
                self.finish(passage)
            if observation.whole:
                break
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await answer.read()
        await self._end_answer(passage, observation, chunk, send)

    async def _first_bytes(self, answer: Answer) -> bytes:
        try:
            return await answer.read()
        except Interrupted as broken:
            if broken.timed_out:
                raise UpstreamTimedOut("The provider answered and then fell silent.") from broken
            raise UpstreamBroke("The provider's connection broke before the first byte of its answer.") from broken

    def _observe(self, passage: Passage, headers: forward.Headers) -> Observation:
        keep = _KEPT_OTHER_BYTES if passage.operation == "other" else _KEPT_BYTES
        observation = passage.observation = Observation(
            passage.dialect,
            passage.operation,
            head_of(headers),
            keep=keep,
            limits=self._limits,
            view=passage.view if passage.upstream_status == 200 else None,  # noqa: PLR2004 - errors are documents
            epoch_ns=passage.epoch_ns,
        )
        return observation

    async def _end_unfinished(
        self, passage: Passage, send: Send, message: str = "The provider's answer ended before it was complete."
    ) -> None:
        """End an answer that is not whole: as an error in its dialect, or else by cutting the connection."""
        observation = passage.observation
        assert observation is not None
        passage.look_away()
        parting = b""
        if observation.extensible:
            parting = observation.terminal_error(message, passage.exchange_id)
        if parting:
            await send({"type": "http.response.body", "body": parting, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await _cut(passage)

    async def _refused(self, passage: Passage, refusal: Refused, send: Send) -> None:
        await self._refuse(passage, passage.refused(refusal), send)

    async def _refuse(self, passage: Passage, refusal: Refused, send: Send) -> None:
        """Say no in the caller's own protocol."""
        status = refusal.status
        body = passage.dialect.error_body(status, refusal.told, passage.exchange_id, code=refusal.code)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *passage.own_headers(),
            *refusal.answer_headers,
        ]
        passage.look_away()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _fail(self, passage: Passage, send: Send) -> None:
        """A bug of ours: the caller gets an error or a cut connection, never half an answer that looks whole."""
        try:
            if not passage.started:
                await self._refuse(passage, passage.refused(Failed("The gateway failed on this request.")), send)
                return
        except Exception:  # the server had begun an answer before it failed, or fails on this one too
            log.exception("a failed exchange could not be answered", extra={"exchange": passage.exchange_id})
        await _cut(passage)

    async def _cancelled(self, passage: Passage, send: Send) -> None:
        """The caller left, or the drain time is over."""
        if passage.watch is not None and passage.watch.recalled():
            passage.outcome = "client_aborted"
            return
        passage.note = "cut when the gateway ended"
        try:
            async with asyncio.timeout(_PARTING_SECONDS):
                await self._part(passage, passage.outlet or send)
        except (TimeoutError, asyncio.CancelledError):
            await _cut(passage)
        passage.outcome = "timed_out"

    async def _part(self, passage: Passage, send: Send) -> None:
        """End at once what the gateway can no longer wait for."""
        if passage.started:
            await self._end_unfinished(passage, send, "The gateway shut down before the answer was complete.")
        else:
            refusal = Draining("The gateway shut down before the provider answered.")
            await self._refuse(passage, passage.refused(refusal), send)


async def _cut(passage: Passage) -> None:
    """Cut the caller's connection, and let the server see that: it would report the missing rest of an answer."""
    if passage.door is not None:
        passage.door.abort()
        await asyncio.sleep(0)


class _Line:
    """One exchange's ends as `gateway/supervised.py` needs them."""

    def __init__(
        self, plane: DataPlane, passage: Passage, shown: Presented | None, headers: forward.Headers, send: Send
    ) -> None:
        self._send = send
        self._plane = plane
        self._passage = passage
        self._shown = shown
        self._headers = headers

    async def send(self, message: Any) -> None:
        """An ASGI message to the caller."""
        await self._send(message)

    def supervised(self, limits: Limits) -> SupervisedReply | None:
        """Who conducts this reply; None where no clause can act on one."""
        passage = self._passage
        acts = enforcing(passage.dialect)
        if passage.docket is None or passage.view is None or acts is None:
            return None
        needs = passage.docket.bench.needs
        return None if needs is None else SupervisedReply(passage, self, needs=needs, acts=acts, limits=limits)

    async def ask_again(self, body: bytes) -> Attempt:
        """Send a body in the caller's place, as an exchange of its own. Raises `Refused`."""
        return await self._plane.ask_again(self._passage, self._shown, self._headers, body)

    async def hold(self, ask: HoldAsk) -> bool:
        """Wait for a person."""
        return await self._plane.keeper.hold(ask)

    async def terminate(self) -> None:
        """Refuse whatever else comes in this session."""
        if self._passage.join is not None:
            await self._plane.keeper.terminate(self._passage.join.session_id)

    def finish(self) -> None:
        """Tell the session how the reply ended."""
        self._plane.finish(self._passage)


def _refuse_unpriced(passage: Passage) -> None:
    """Raise `BudgetExhausted` where a key with a budget asks for what may cost anything: images, speech, old routes."""
    principal = passage.principal
    if principal is not None and principal.budgeted and not passage.is_free:
        raise BudgetExhausted("This key has a budget, and nothing is known of what a call to this path may cost.")


def _succeeded(status: int) -> bool:
    """Whether clients take what comes with this status for an answer: they do so of any success."""
    return 200 <= status < 300 and status not in BODILESS  # noqa: PLR2004 - successes


def _refuse_unless_answer(status: int, observation: Observation, first: bytes) -> None:
    """Raise `NotAnAnswer` for HTML and for nothing under status 200."""
    if status != 200:  # noqa: PLR2004 - OK
        return
    found = observation.no_answer(first)
    if found == "nothing":
        raise NotAnAnswer("The provider answered 200 with an empty body.")
    if found == "page":
        raise NotAnAnswer("The provider answered 200 with a web page; a proxy or login page may stand in between.")
