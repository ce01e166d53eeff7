"""One exchange: a request's way through the stations, and its response's way back.

    ingress -> admit -> read -> open (thread) -> forward -> relay (observe) -> record

A path that carries steps is read whole and understood; every other path streams through unbuffered. What
the provider sends reaches the caller first and is read from a copy after. The gateway adds one thing of
its own: an answer the provider did not finish ends as an error the caller's SDK raises.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from gateway.config import Limits, Provider
from gateway.decoding import Bomb, Undecoded, decode
from gateway.heads import Head, head_of
from gateway.http import Answer, Interrupted, Upstream
from gateway.ids import new_id
from gateway.keeper import Keeper, Opening
from gateway.passage import Passage
from gateway.prices import Prices
from gateway.refusals import (
    BodyTooLarge,
    BudgetExhausted,
    Draining,
    Failed,
    NestedTooDeeply,
    NotAnAnswer,
    Overloaded,
    Refused,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from gateway.server import Door
from gateway.stations import forward, ingress
from gateway.stations.ingress import ClientGone, Presented, Watch
from gateway.stations.observe import Observation
from gateway.wire.dialects import Dialects
from gateway.wire.elsewhere import asks_beyond_its_bytes
from gateway.wire.interface import Dialect, Operation, TooDeep, Undecodable

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

    @contextmanager
    def passing(self) -> Generator[None]:
        """Count one exchange. Raises `Overloaded` or `Draining`."""
        if self.draining:
            raise Draining("The gateway is shutting down.")
        if self.in_flight >= self._limit:
            raise Overloaded("The gateway carries as many requests as it may.")
        self.in_flight += 1
        self._carried += 1
        try:
            yield
        finally:
            self.in_flight -= 1


class DataPlane:
    """The ASGI application mounted for one provider."""

    def __init__(
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
    ) -> None:
        self._provider = provider
        self._dialects = dialects
        self._client = client
        self._keeper = keeper
        self._prices = prices
        self._limits = limits
        self._gate = gate
        self._environ = environ
        self._routed = lru_cache(_REMEMBERED_PATHS)(self._route)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Carry one exchange. Never raises, so that the server has nothing to report that is not logged here."""
        passage = self._arrive(scope)
        try:
            with self._gate.passing():
                await self._carry(passage, scope, receive, send)
        except Refused as refusal:
            await self._refused(passage, refusal, send)
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
            if passage.answer is not None:
                passage.answer.close()
            self._record(passage)

    def _record(self, passage: Passage) -> None:
        """Hand the exchange to the keeper. A caller nobody knows leaves no record; a bug here breaks no answer."""
        if passage.principal is None:
            return
        try:
            self._finish(passage)
            self._keeper.close(passage.recording(self._prices))
        except Exception:
            log.exception("an exchange could not be recorded", extra={"exchange": passage.exchange_id})
            self._keeper.lose(passage.exchange_id, "it could not be made into a record")

    def _finish(self, passage: Passage) -> None:
        done = passage.done()
        if done is not None:
            self._keeper.finish(done)

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
        )

    async def _carry(self, passage: Passage, scope: Any, receive: Receive, send: Send) -> None:
        door = passage.door = ingress.check(scope)
        if door.bare_query:
            passage.target += "?"
        shown = ingress.presented(passage.caller_headers)
        passage.principal = await self._keeper.admit(shown.secret if shown else None)
        headers = forward.request_headers(passage.caller_headers)
        if shown is not None:
            headers = forward.with_provider_key(
                headers, shown, self._provider.key(self._environ), self._provider.dialect
            )
        if passage.operation == "other":
            _refuse_unpriced(passage)
            self._keeper.begin(passage.exchange_id)
            outgoing = self._streamed(passage, door, receive)
        else:
            outgoing = passage.body = await ingress.read_body(receive, door, passage.caller_headers, self._limits)
            self._understand(passage)
            await self._open(passage, shown)
        if not isinstance(outgoing, AsyncIterator):
            passage.watch = Watch(door)
        passage.upstream_started_ns = time.time_ns()
        passage.answer = await self._client.send(passage.method, passage.target, headers, outgoing or None)
        await self._relay(passage, passage.answer, send)

    def _streamed(self, passage: Passage, door: Door, receive: Receive) -> AsyncIterator[bytes] | None:
        """The request body of a path that is not understood, relayed as it arrives; None where there is none."""
        if not ingress.has_body(passage.caller_headers):
            return None
        task = asyncio.current_task()

        def whole() -> None:
            passage.watch = Watch(door, task)

        return passage.spill_request(ingress.stream_body(receive, self._limits), keep=_KEPT_OTHER_BYTES, at_end=whole)

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

    async def _open(self, passage: Passage, shown: Presented | None) -> None:
        priced = passage.operation in {"chat", "embeddings", "batch"}
        opening = Opening(
            exchange_id=passage.exchange_id,
            secret=shown.secret if shown else None,
            ceiling_micro_usd=self._ceiling(passage) if priced else None,
            priced=priced,
            ask=passage.ask(),
        )
        opened = await self._keeper.open(opening)
        passage.join, passage.state = opened.join, opened.state

    def _ceiling(self, passage: Passage) -> int | None:
        """The most this call may cost, in micro-USD; None where that cannot be known from the request."""
        view, principal = passage.view, passage.principal
        if view is None or principal is None or not principal.budgeted or passage.operation == "batch":
            return None
        size = sys.maxsize if asks_beyond_its_bytes(passage.decoded, view) else len(passage.decoded)
        one = self._prices.ceiling(view.model, size, view.max_tokens, passage.provider)
        return None if one is None else one * view.choices

    async def _relay(self, passage: Passage, answer: Answer, send: Send) -> None:
        passage.upstream_status = passage.status = answer.status
        headers = forward.response_headers(answer.headers)
        observation = self._observe(passage, headers)
        first = b""
        if passage.operation == "chat" and answer.status == 200 and observation.may_be_nothing:  # noqa: PLR2004 - OK
            first = await self._first_bytes(answer)
            _refuse_unless_answer(observation.head, first)
        if answer.status in {204, 304}:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        start = {"type": "http.response.start", "status": answer.status, "headers": [*headers, *passage.own_headers()]}
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
                self._finish(passage)
        await self._end_answer(passage, observation, held, send)

    async def _end_answer(self, passage: Passage, observation: Observation, last: bytes, send: Send) -> None:
        """Let the last bytes go, unless the provider stopped before its own end."""
        if observation.unfinished:
            passage.outcome = "truncated"
            await self._end_unfinished(passage, send)
            return
        self._end(passage)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _relay_document(
        self, passage: Passage, answer: Answer, first: bytes, observation: Observation, send: Send
    ) -> None:
        """Anything else: read first, which delays no token; so the session knows the reply before the caller does."""
        chunk = first or await answer.read()
        while chunk:
            observation.feed(chunk)
            if observation.ended:
                self._finish(passage)
            if observation.whole:
                break
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await answer.read()
        await self._end_answer(passage, observation, chunk, send)

    def _end(self, passage: Passage) -> None:
        """The answer is whole; only its last bytes have still to leave."""
        passage.look_away()
        passage.outcome = "complete"
        self._finish(passage)

    async def _first_bytes(self, answer: Answer) -> bytes:
        try:
            return await answer.read()
        except Interrupted as broken:
            if broken.timed_out:
                raise UpstreamTimedOut("The provider answered and then fell silent.") from broken
            raise UpstreamUnreachable(
                "The provider's connection broke before the first byte of its answer."
            ) from broken

    def _observe(self, passage: Passage, headers: forward.Headers) -> Observation:
        keep = _KEPT_OTHER_BYTES if passage.operation == "other" else _KEPT_BYTES
        observation = passage.observation = Observation(
            passage.dialect,
            passage.operation,
            head_of(headers),
            keep=keep,
            limits=self._limits,
            view=passage.view if passage.upstream_status == 200 else None,  # noqa: PLR2004 - errors are documents
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
        if passage.caller_left:  # the broken upload is of its making, and nobody hears a refusal
            passage.outcome = "client_aborted"
        else:
            await self._refuse(passage, passage.refused(refusal), send)

    async def _refuse(self, passage: Passage, refusal: Refused, send: Send) -> None:
        """Say no in the caller's own protocol."""
        status = refusal.status
        message = f"{refusal} {refusal.remedy()}".rstrip() if status < 500 else str(refusal)  # noqa: PLR2004 - server errors
        body = passage.dialect.error_body(status, message, passage.exchange_id, code=refusal.code)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *passage.own_headers(),
        ]
        if refusal.retry_after is None:
            headers.append((b"x-should-retry", b"false"))
        else:
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        if refusal.closes:
            headers.append((b"connection", b"close"))
        headers += refusal.headers
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
        passage.note = "cut when the gateway's drain time was over"
        try:
            async with asyncio.timeout(_PARTING_SECONDS):
                await self._part(passage, send)
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


def _refuse_unpriced(passage: Passage) -> None:
    """Raise `BudgetExhausted` where a key with a budget asks for what may cost anything: images, speech, old routes."""
    principal = passage.principal
    if principal is not None and principal.budgeted and not passage.is_free:
        raise BudgetExhausted("This key has a budget, and nothing is known of what a call to this path may cost.")


def _refuse_unless_answer(head: Head, first: bytes) -> None:
    """Raise `NotAnAnswer` for HTML and for nothing under status 200."""
    if not first:
        raise NotAnAnswer("The provider answered 200 with an empty body.")
    if head.is_page or first[:64].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise NotAnAnswer("The provider answered 200 with a web page; a proxy or login page may stand in between.")
