"""A reply under policies in force: held as far as a clause needs it, judged, and passed on, changed or ended.

Only where a clause can act on a reply does it come this way; every other reply is relayed untouched and judged
beside the relay. What the provider sent is recorded as it came; what the caller got instead is told by the record's
judgement and, where the provider was asked again, by the exchange of that second answer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import takewhile
from typing import Any, Final, Protocol, TypeVar

import msgspec

from gateway.config import Limits
from gateway.decoding import Bomb, Decoder, Undecoded, decode
from gateway.http import Answer, Interrupted
from gateway.passage import Passage
from gateway.refusals import Refused, Unjudgeable, UpstreamBroke, UpstreamMalformed, UpstreamTimedOut
from gateway.stations.binding import binding
from gateway.stations.judge import Docket
from gateway.stations.observe import Observation
from gateway.wire.blocks import Judgement as Piece
from gateway.wire.blocks import Window
from gateway.wire.edits import Replacement, Uneditable
from gateway.wire.enforcing import Enforcing
from gateway.wire.gate import DOUBTFUL, Answered, Fed, Needs, StreamGate, Substituted
from gateway.wire.gate import Refused as RefusedTurn
from gateway.wire.interface import Reply, RequestView
from gateway.wire.jsons import legible, nests_too_deeply
from gateway.wire.notices import make
from gateway.wire.reply_edits import ReplyEdits
from gateway.wire.turns import Unanswerable, summed
from policies.evaluate import Judgement
from policies.vocabulary.holds import HoldAsk
from policies.vocabulary.keys import Principal
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Part
from policies.vocabulary.verdicts import STRENGTH, Verdict

log = logging.getLogger("stepwarden.supervised")

T = TypeVar("T")

ASKED_AGAIN: Final = 2
"""How often a provider is asked again in the caller's place for one request."""

_KEEPALIVE_SECONDS: Final = 10.0
"""How long a caller of a stream hears nothing while it waits; the most patient of clients gives up after 300 s."""

_SHOWN: Final = 4096
"""Characters of a held step that a person is shown."""

_TOO_LARGE: Final = "The provider's answer is too large to be checked."
_UNREADABLE: Final = "The provider's answer could not be read, so it could not be checked."


class Attempt:
    """One answer of the provider: the caller's own, or one to a request of ours, with its own record."""

    def __init__(
        self, passage: Passage, answer: Answer, observation: Observation, *, body: bytes, view: RequestView
    ) -> None:
        """`body` is what was asked, decoded; `view` what it says."""
        assert passage.docket is not None
        self.passage = passage
        self.docket: Docket = passage.docket
        self.answer = answer
        self.observation = observation
        self.body = body
        self.view = view
        self.heard = b""
        """A stream as the provider sent it, decoded, where some of it was rejected."""


class Line(Protocol):
    """The two ends between which a reply is conducted, and the keeper beside them."""

    async def send(self, message: Any) -> None:
        """An ASGI message to the caller."""
        ...

    async def ask_again(self, body: bytes) -> Attempt:
        """Send a body in the caller's place. Raises `Refused`."""
        ...

    async def hold(self, ask: HoldAsk) -> bool:
        """Wait for a person; whether the step may go on."""
        ...

    async def terminate(self) -> None:
        """Refuse whatever else comes in this session."""
        ...

    def finish(self) -> None:
        """Tell the session how the reply ended, before its last bytes leave."""
        ...


class SupervisedReply:
    """Conducts one reply that a clause may act on."""

    def __init__(self, passage: Passage, line: Line, *, needs: Needs, acts: Enforcing, limits: Limits) -> None:
        assert passage.docket is not None
        self._passage = passage
        self._docket: Docket = passage.docket
        self._line = line
        self._needs = needs
        self._acts = acts
        self._limits = limits
        self._headers: list[tuple[bytes, bytes]] = []
        self._status = 200
        self._asked_again = 0
        self._rejected: Verdict | None = None
        self._sent: list[bytes] = []
        self._said: list[Part] = []
        """What stands in the reply before the answer that was asked for last."""

    # -------------------------------------------------------------------------------------------------- streams

    async def stream(
        self, answer: Answer, observation: Observation, headers: Sequence[tuple[bytes, bytes]], first: bytes
    ) -> None:
        """A reply of server-sent events, of which `first` has been read."""
        self._headers = [pair for pair in headers if pair[0] not in _COUNTED]
        self._status = answer.status
        gate = self._acts.gate(self._needs, self._passage.exchange_id)
        attempt = self._first(answer, observation)
        while await self._pumped(gate, attempt, first):
            first = b""
            second = await self._another(gate, attempt)
            if second is None:
                break
            attempt = second
        await self._end_stream(gate, attempt)

    async def _pumped(self, gate: StreamGate, attempt: Attempt, first: bytes) -> bool:
        """Pass one answer through the gate; whether the provider has to be asked again."""
        plain: list[bytes] = []
        try:
            decoder = self._decoder(attempt.observation)
            while chunk := first or await attempt.answer.read():
                first = b""
                attempt.observation.feed(chunk)
                text = chunk if decoder is None else decoder.feed(chunk)
                plain.append(text)
                await self._act(gate, gate.feed(text), attempt)
            await self._act(gate, gate.finish(), attempt)
        except Interrupted as broken:
            if not attempt.observation.ended:
                attempt.passage.outcome = "timed_out" if broken.timed_out else "upstream_reset"
                attempt.passage.note = str(broken)
                await self._give_up(gate, "The provider's answer ended before it was complete.")
                return False
            await self._act(gate, gate.finish(), attempt)
        except (Bomb, Undecoded) as error:
            attempt.passage.note = f"reply not understood: {error}"
            await self._give_up(gate, _UNREADABLE)
            return False
        if self._rejected is not None:
            attempt.heard = b"".join(plain)
        if gate.paused:
            attempt.passage.outcome = "complete"
            attempt.body = self._follow_up(attempt)
            return True
        if not gate.ended and not attempt.observation.complete:
            attempt.passage.outcome = "truncated"
            await self._give_up(gate, "The provider's answer ended before it was complete.")
        return False

    def _decoder(self, observation: Observation) -> Decoder | None:
        encoding = observation.head.encoding
        return None if encoding is None else Decoder(encoding, cap=self._limits.decoded_bytes, ratio=self._limits.ratio)

    async def _give_up(self, gate: StreamGate, message: str) -> None:
        await self._pass_on(gate.terminal_error(message))

    async def _act(self, gate: StreamGate, fed: Fed, attempt: Attempt) -> None:
        """Send what may leave, decide what is asked, and so on until nothing is asked any more."""
        self._docket.continued(gate.response_ids)
        waiting = deque([fed])
        while waiting:
            here = waiting.popleft()
            await self._pass_on(here.sent)
            for piece in here.asked:
                waiting.append(await self._decided(gate, piece, attempt))

    async def _decided(self, gate: StreamGate, piece: Piece, attempt: Attempt) -> Fed:
        streams = piece.part.kind in ("model_text", "reasoning") and isinstance(self._need_of(piece.part), Window)
        judging = attempt.docket.reply(piece.part, passing=streams, before=piece.before)
        # Who is asked may take longer than a caller listens to silence; guards that are here never do.
        asks = attempt.docket.ruleset.asked and not streams
        judgement = await (self._waiting(gate, judging) if asks else judging)
        verdict = judgement.verdict
        if verdict.name == "hold":
            if await self._waiting(gate, self._held(piece.part, verdict, attempt)):
                return self._let_pass(gate, piece, judgement)
            return self._reject(gate, piece, _unapproved(verdict))
        if verdict.name in ("reject", "terminate"):
            if verdict.name == "terminate":
                await self._line.terminate()
            return self._reject(gate, piece, verdict)
        return self._let_pass(gate, piece, judgement)

    def _need_of(self, part: Part) -> object:
        return self._needs.reasoning if part.kind == "reasoning" else self._needs.text

    def _let_pass(self, gate: StreamGate, piece: Piece, judgement: Judgement) -> Fed:
        try:
            return gate.decide(piece, _replacements(judgement), reach=judgement.reach)
        except Uneditable:
            return self._reject(gate, piece, _uneditable(judgement.verdict))

    def _reject(self, gate: StreamGate, piece: Piece, verdict: Verdict) -> Fed:
        self._rejected = verdict
        if self._may_ask_again(verdict, [piece.part]):
            return gate.reject(piece, Answered())
        return gate.reject(piece, self._ending(verdict))

    def _may_ask_again(self, verdict: Verdict, rejected: Sequence[Part]) -> bool:
        """Whether a rejected turn can go on with another answer: only calls that the caller would run are answered."""
        view = self._passage.view
        return (
            verdict.name == "reject"
            and verdict.recover != "refused"
            and all(part.kind == "tool_call" and not part.server_side for part in rejected)
            and self._asked_again < ASKED_AGAIN
            and view is not None
            and view.choices == 1
        )

    def _ending(self, verdict: Verdict) -> Substituted | RefusedTurn:
        notice = make(_reason(verdict), self._passage.exchange_id, self._docket.bench.notice_key)
        return RefusedTurn(notice) if verdict.recover == "refused" else Substituted(notice)

    def _follow_up(self, attempt: Attempt) -> bytes:
        """The body to ask again with; empty where there is none."""
        assert self._rejected is not None
        if self._rejected.recover == "resampled":
            return attempt.body
        try:
            return self._answering(attempt, self._acts.turns.assemble(attempt.heard))
        except (Unanswerable, ValueError) as error:
            log.info("a rejected turn cannot be answered", extra={"reason": str(error)})
            return b""

    def _answering(self, attempt: Attempt, reply: bytes) -> bytes:
        assert self._rejected is not None
        return self._acts.turns.answer(attempt.body, attempt.view, reply, self._not_run(self._rejected))

    async def _another(self, gate: StreamGate, attempt: Attempt) -> Attempt | None:
        """The provider's next answer, its stream ready to go on in place of the last; None where there is none."""
        assert self._rejected is not None
        if attempt.body:
            try:
                second = await self._waiting(gate, self._asked(attempt.body, _left(attempt)))
            except (Refused, Interrupted) as failed:
                log.info("the provider could not be asked again", extra={"reason": str(failed)})
            else:
                if second.observation.stream:
                    gate.continue_with()
                    self._rejected = None
                    return second
                second.passage.refused(UpstreamMalformed("The provider answered a request for a stream without one."))
        await self._pass_on(gate.end_paused(self._ending(self._rejected)).sent)
        return None

    async def _asked(self, body: bytes, said: Iterable[Part]) -> Attempt:
        """The next answer; `said` is what the caller gets of the last one before it."""
        self._asked_again += 1
        self._docket.asked_again = self._asked_again
        self._said += said
        second = await self._line.ask_again(body)
        second.docket.go_on(self._said)
        return second

    async def _end_stream(self, gate: StreamGate, attempt: Attempt) -> None:
        passage = self._passage
        passage.look_away()
        if passage.outcome == "refused":  # nothing went wrong: it is what passages begin with
            passage.outcome = "complete"
        if attempt.passage is not passage and attempt.passage.outcome == "refused":
            attempt.passage.outcome = "complete"
        if gate.doubted:
            self._docket.doubt("reply")
        if gate.changed:
            self._note_delivery(b"".join(self._sent), stream=True)
        if self._rejected is not None:
            with suppress(Unanswerable, ValueError):  # a stream that was broken off is stored nowhere
                self._note_owed(attempt, self._acts.turns.assemble(attempt.heard))
        self._line.finish()
        await self._start()
        await self._line.send({"type": "http.response.body", "body": b"", "more_body": False})

    # ------------------------------------------------------------------------------------------------ documents

    async def document(
        self, answer: Answer, observation: Observation, headers: Sequence[tuple[bytes, bytes]], first: bytes
    ) -> None:
        """A reply of one JSON document, begun with `first`. Raises `Refused` where the caller can get none of it."""
        self._headers, self._status = list(headers), answer.status
        attempt = self._first(answer, observation)
        raw = await self._gathered(attempt, first)
        plain = self._plain(attempt.observation, raw)
        delivered = await self._judged_document(attempt, plain)
        self._docket.settled = True
        passage = self._passage
        passage.look_away()
        passage.outcome = "complete"
        if delivered is plain:
            body = raw
        else:
            body = delivered
            self._headers = [pair for pair in self._headers if pair[0] not in _COUNTED]
            self._headers.append((b"content-length", b"%d" % len(body)))
            self._note_delivery(body, stream=False)
        self._line.finish()
        await self._start()
        await self._line.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _gathered(self, attempt: Attempt, chunk: bytes) -> bytes:
        """The whole body, from its first bytes on, where those have been read."""
        chunks: list[bytes] = []
        size = 0
        try:
            chunk = chunk or await attempt.answer.read()
            while chunk:
                attempt.observation.feed(chunk)
                chunks.append(chunk)
                size += len(chunk)
                if size > self._limits.decoded_bytes:
                    raise Unjudgeable(_TOO_LARGE)
                chunk = await attempt.answer.read()
        except Interrupted as broken:
            attempt.passage.note = str(broken)
            if broken.timed_out:
                raise UpstreamTimedOut("The provider fell silent in the middle of its answer.") from broken
            raise UpstreamBroke("The provider's connection broke in the middle of its answer.") from broken
        return b"".join(chunks)

    def _plain(self, observation: Observation, raw: bytes) -> bytes:
        encoding = observation.head.encoding
        if encoding is None:
            return raw
        try:
            return decode(raw, encoding, cap=self._limits.decoded_bytes, ratio=self._limits.ratio)
        except (Bomb, Undecoded) as error:
            raise Unjudgeable(_UNREADABLE) from error

    async def _judged_document(self, attempt: Attempt, plain: bytes) -> bytes:
        """What the caller gets of a document: itself, changed, ended, or with another answer in its place."""
        reply = attempt.observation.close()
        if not self._is_readable(attempt, reply, plain):
            return plain
        rejected: list[Part] = []
        edits = ReplyEdits(reply.parts)
        for at, part in enumerate(reply.parts):
            verdict, judgement = await self._ruled(part, attempt)
            if verdict.name in ("reject", "terminate"):
                rejected.append(part)
                if self._rejected is None or STRENGTH[verdict.name] >= STRENGTH[self._rejected.name]:
                    self._rejected = verdict
            elif judgement.edits:
                edits.add(at, _replacements(judgement), judgement.reach)
        if not edits.parts and not rejected:
            return plain
        document = legible(plain)
        try:
            changed = self._acts.edit_reply(document, edits.made()) if edits.parts else document
        except Uneditable:
            self._rejected = self._rejected or _uneditable(attempt.docket.verdict)
            rejected += edits.parts
            changed = document
        if not rejected:
            return changed
        return await self._recovered(attempt, changed, rejected)

    def _is_readable(self, attempt: Attempt, reply: Reply, plain: bytes) -> bool:
        """Whether a document can be judged. Raises `Unjudgeable` where it must not pass without being judged."""
        if not reply.complete:
            if attempt.docket.unreadable("reply").name == "reject" or nests_too_deeply(plain):
                raise Unjudgeable(_UNREADABLE)
            return False
        if (doubt := self._acts.doubt_of_reply(plain)) is not None:
            attempt.docket.doubt("reply")
            raise Unjudgeable(f"{DOUBTFUL}: {doubt}.")
        return True

    async def _ruled(self, part: Part, attempt: Attempt) -> tuple[Verdict, Judgement]:
        judgement = await attempt.docket.reply(part)
        verdict = judgement.verdict
        if verdict.name == "hold":
            approved = await self._held(part, verdict, attempt)
            verdict = Verdict() if approved else _unapproved(verdict)
        elif verdict.name == "terminate":
            await self._line.terminate()
        return verdict, judgement

    async def _recovered(self, attempt: Attempt, document: bytes, rejected: list[Part]) -> bytes:
        verdict = self._rejected
        assert verdict is not None
        if self._may_ask_again(verdict, rejected):
            try:
                second = await self._second_document(attempt, document)
            except (Unanswerable, Refused, Interrupted, ValueError) as failed:
                log.info("the provider could not be asked again", extra={"reason": str(failed)})
            else:
                return second
        self._note_owed(attempt, document)
        return self._acts.turns.end(document, self._ending(verdict), [part.pointer for part in rejected])

    async def _second_document(self, attempt: Attempt, document: bytes) -> bytes:
        resampled = self._rejected is not None and self._rejected.recover == "resampled"
        body = attempt.body if resampled else self._answering(attempt, document)
        second = await self._asked(body, () if resampled else attempt.observation.close().parts)
        plain = await self._second_plain(second)
        second.passage.outcome = "complete"
        self._rejected = None
        delivered = await self._judged_document(second, plain)
        if resampled:
            return summed(document, delivered)
        self._note_holder(attempt, second)
        return self._acts.turns.merge(document, delivered)

    async def _second_plain(self, second: Attempt) -> bytes:
        """The document that came when the provider was asked again. Raises `Refused`, which its record tells too."""
        try:
            if second.observation.stream:
                raise UpstreamMalformed("The provider answered a plain request with a stream.")
            return self._plain(second.observation, await self._gathered(second, b""))
        except Refused as refusal:
            second.passage.refused(refusal)
            raise

    def _note_owed(self, attempt: Attempt, document: bytes) -> None:
        """Note that calls of a turn which the provider may keep were shown to nobody who could answer them."""
        if self._rejected is not None:
            attempt.docket.owes(self._acts.turns.owed(document, self._not_run(self._rejected)))

    def _not_run(self, verdict: Verdict) -> str:
        """What a call is answered with in the caller's place."""
        return make(_reason(verdict), self._passage.exchange_id, self._docket.bench.notice_key, "not_run")

    def _note_holder(self, attempt: Attempt, second: Attempt) -> None:
        """Note that what is merged has the first's id, while the history is kept under the last's."""
        shown, last = (each.observation.close().response_id for each in (attempt, second))
        if shown and last:
            self._docket.continued([shown, self._docket.holder(last)])

    # --------------------------------------------------------------------------------------------------- shared

    def _first(self, answer: Answer, observation: Observation) -> Attempt:
        passage = self._passage
        assert passage.view is not None
        changed = passage.forwarded is not passage.decoded
        view = passage.dialect.read_request(passage.forwarded, passage.operation) if changed else passage.view
        return Attempt(passage, answer, observation, body=passage.forwarded, view=view)

    async def _held(self, part: Part, verdict: Verdict, attempt: Attempt) -> bool:
        """Wait for a person; False where nobody approved in time."""
        passage = self._passage
        return await self._line.hold(hold_ask(passage, attempt.docket, part, verdict))

    async def _waiting(self, gate: StreamGate, awaited: Awaitable[T]) -> T:
        """Wait for something slow while the caller gets its dialect's own keep-alives."""
        task = asyncio.ensure_future(awaited)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=_KEEPALIVE_SECONDS)
                if done:
                    return task.result()
                await self._pass_on(gate.keepalive())
        finally:
            task.cancel()

    async def _start(self) -> None:
        passage = self._passage
        if passage.started:
            return
        headers = [*self._headers, *passage.own_headers()]
        await self._line.send({"type": "http.response.start", "status": self._status, "headers": headers})
        passage.started = True

    async def _pass_on(self, body: bytes) -> None:
        if not body:
            return
        await self._start()
        self._sent.append(body)
        await self._line.send({"type": "http.response.body", "body": body, "more_body": True})

    def _note_delivery(self, body: bytes, *, stream: bool) -> None:
        """Note what the caller got in place of the provider's bytes: its digest, and the reply it reads in them."""
        self._docket.delivered_sha256 = sha256(body).digest()
        reader = self._passage.dialect.reply_reader("chat", stream=stream)
        reader.feed(body, 0)
        self._passage.delivered = reader.close(0)


_COUNTED: Final = frozenset({b"content-length", b"content-encoding"})
"""Headers that describe the provider's bytes and no longer ours."""


class Asking(Protocol):
    """The exchange in which a person is asked about a step."""

    exchange_id: str
    started_ns: int

    @property
    def join(self) -> Join | None:
        """Its session."""
        ...

    @property
    def principal(self) -> Principal | None:
        """Who calls."""
        ...


def hold_ask(passage: Asking, docket: Docket, part: Part, verdict: Verdict, *, bound_to: str | None = None) -> HoldAsk:
    """What a person is asked about a step. `bound_to`: what an approval is good within, where that is no session."""
    join = passage.join
    session_id = None if join is None else join.session_id
    assert passage.principal is not None
    revisions = [rule.revision for rule in docket.ruleset.rules if rule.name in verdict.clauses]
    return HoldAsk(
        binding=binding(bound_to or session_id, part, revisions),
        exchange_id=passage.exchange_id,
        session_id=session_id,
        app=passage.principal.app,
        kind=part.kind,
        tool=part.tool,
        text=part.text[:_SHOWN],
        clauses=verdict.clauses,
        reason=_reason(verdict),
        at_ns=passage.started_ns,
    )


def _reason(verdict: Verdict) -> Any:
    return verdict.reason or "action_not_allowed"


def _unapproved(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(verdict, name="reject", reason="needs_approval")


def _left(attempt: Attempt) -> Iterator[Part]:
    """What a caller has seen of a stream whose calls were rejected: nothing that stands behind the first of them."""
    return takewhile(lambda part: part.kind != "tool_call" or part.server_side, attempt.observation.close().parts)


def _uneditable(verdict: Verdict) -> Verdict:
    return Verdict(name="reject", reason=_reason(verdict), clauses=verdict.clauses, recover="answered")


def _replacements(judgement: Judgement) -> tuple[Replacement, ...]:
    return tuple([Replacement(edit.start, edit.end, edit.text) for edit in judgement.edits])
