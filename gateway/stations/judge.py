"""Judge: every step that is new is held against the clauses in force, before it takes effect.

A request carries its whole history, so what a step is judged by is on the wire again each time: the same request
meets the same judgement, whichever worker takes it, retried or not, streamed or not, after a restart too. What was
judged once is remembered by the hash of everything before it; a resent history costs a hash a message.

Judged in a request is what others put before the model: instructions, tool definitions, what users said, results,
retrieved text. What the model itself said earlier was judged when it said it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from gateway.stations.bench import INLINE_BYTES, Bench, Said
from gateway.stations.errands import retells
from gateway.stations.histories import Stored
from gateway.stations.own_clauses import RETOLD, UNSEEN
from gateway.wire.edits import PartEdit, Replacement
from gateway.wire.interface import Message, RequestView
from policies.asking import Asking
from policies.evaluate import UNJUDGED, Judgement, Ruleset
from policies.trail import Scene, Trail, utf8
from policies.turn import is_spoken
from policies.vocabulary.coverage import Examined
from policies.vocabulary.findings import Evidence, Finding
from policies.vocabulary.judgements import Judged, StepJudgement, Where
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import PUT_BEFORE_THE_MODEL, STEP_KINDS, Part, Side, Step, StepKind
from policies.vocabulary.verdicts import ALLOW, STRENGTH, ReasonCode, Verdict, combine

JUDGED_BEFORE: Final[Mapping[StepKind, str]] = {
    "model_text": "the model's own words were judged in the reply that brought them",
    "reasoning": "the model's own thoughts were judged in the reply that brought them",
    "tool_call": "a call was judged in the reply that proposed it, before it could be made",
    "handoff": "no wire carries handoffs",
}
"""The other kinds, each with why a request is not judged for it."""

_CHAIN: Final = 16
_OF_A_JUDGEMENT: Final = 400

PartsAt = Callable[[int], Sequence[Part]]

_Reading = tuple[str, StepKind, str, str | None]
"""Pointer, kind, text and tool of a part."""


class Ruled(msgspec.Struct, frozen=True):
    """One part with what was said of it."""

    side: Side
    cut: int | None
    part: Part
    judgement: Judgement
    at: int = 0
    """Its place among the parts of its cut."""
    fresh: bool = True
    """False for what an earlier request of the session brought already."""


class Docket:
    """One exchange before the bench: what came before, what was said of each part, and the verdict so far."""

    def __init__(
        self, bench: Bench, *, scope: bytes, stateful: bool, asking: Asking, before: tuple[Part, ...] = ()
    ) -> None:
        """`scope`: the caller and the provider, whose histories alone may be known here. `asking`: whose exchange.

        `stateful`: the history stands at the provider, known here by an id alone; `before` is what is known.
        """
        self.bench: Final = bench
        self.ruled: list[Ruled] = []
        self._replied: set[_Reading] = set()
        """The parts of the reply among these."""
        self.asked_again = 0
        self.settled = False
        """True once all of the reply has been judged, so that nothing can change the verdict any more."""
        self.unread: str | None = None
        """Why nothing of this exchange can be judged, where that is so."""
        self.instructed: str | None = None
        """Digest of the parameters whose instructions or descriptions were added to the request."""
        self.uninstructed: str | None = None
        """Why those that there are could not be added."""
        self.forwarded_sha256: bytes | None = None
        self.delivered_sha256: bytes | None = None
        self.revision: str | None = None
        """What is in force for this exchange in place of the policy files."""
        self._scope = scope
        self._stateful = stateful
        self._owed: tuple[bytes, ...] = ()
        self._asking = asking
        self._session_id = asking.session_id
        self.given: Mapping[str, str] = {}
        """What tool servers gave in answer to calls whose results this request brings, by call id."""
        self._trail: list[Part] = list(before)
        self._partial = False
        self._verdict = ALLOW
        self._parts_at: PartsAt = _nothing_at

    @property
    def ruleset(self) -> Ruleset:
        """The snapshot this exchange is judged by from its beginning to its end."""
        return self.bench.ruleset

    @property
    def acts(self) -> bool:
        """Whether any clause may do more than flag."""
        return self.ruleset.acts

    @property
    def partial(self) -> bool:
        """Whether what came before is not known here."""
        return self._partial

    def request_edits(self) -> list[PartEdit]:
        """What redaction and rewriting change in the request, old parts included."""
        return [
            PartEdit(
                cut=ruled.cut or 0,
                pointer=self._parts_at(ruled.cut or 0)[ruled.at].pointer,
                ranges=tuple([Replacement(edit.start, edit.end, edit.text) for edit in ruled.judgement.edits]),
            )
            for ruled in self.ruled
            if ruled.side == "request" and ruled.judgement.edits
        ]

    @property
    def verdict(self) -> Verdict:
        """The strongest so far."""
        return self._verdict

    def follow_up(self) -> "Docket":
        """A docket for the answer to a request of ours that goes on from here.

        What this reply said may not stand before that answer any more; whoever knows tells it with `go_on`.
        """
        before = tuple([part for part in self._trail if not (is_spoken(part) and self.was_judged(part))])
        other = Docket(self.bench, scope=self._scope, stateful=False, asking=self._asking, before=before)
        other._partial = self._partial
        other.revision = self.revision
        return other

    def unreadable(self, why: str) -> Verdict:
        """Note that no guard can read this exchange, and what the app makes of that."""
        settings = self.ruleset.settings
        self.unread = why
        name = settings.unseen if settings.enforce else "flag"
        reason = "supervision_unavailable" if name == "reject" else None
        self._verdict = combine([self._verdict, Verdict(name=name, reason=reason, clauses=(UNSEEN,))])
        return self._verdict

    def doubt(self, why: str) -> None:
        """Note that this exchange ends because others may read it otherwise than it was judged."""
        self.unread = why
        self.stop("supervision_unavailable")

    def unread_reply(self) -> None:
        """Note that the caller got a reply in which no step could be read, where a clause is about replies."""
        if self.unread is None and self._heeds(*STEP_KINDS):
            self.unreadable("reply")

    def _heeds(self, *kinds: StepKind) -> bool:
        """Whether any clause is about steps of these kinds in a reply."""
        return any(self.ruleset.needs(kind, "response").hold != "idle" for kind in kinds)

    def stop(self, reason: ReasonCode) -> None:
        """Note that this exchange goes no further, for a reason that its clauses did not give by themselves."""
        clauses = self._verdict.clauses
        self._verdict = combine([self._verdict, Verdict(name="reject", reason=reason, clauses=clauses)])

    # ------------------------------------------------------------------------------------------------- requests

    async def request(self, dialect: str, view: RequestView, parts_at: PartsAt, join: Join | None) -> None:
        """Judge what a request puts before the model; `ruled` then holds what was said, old parts included."""
        self._recall(view)
        await self._lead(view, parts_at, join)
        self._parts_at = parts_at
        chain = blake2b(dialect.encode() + b"\0" + view.lead, digest_size=_CHAIN)
        # What stands at the provider is before every message, and is no part of this body.
        whose = self._scope if self._stateful else b""
        chain.update(repr((whose, view.previous_response_id, view.conversation_id, self._partial)).encode())
        pending: list[tuple[int, Message, bytes, tuple[Part, ...], int]] = []
        scenes: list[Scene] = []
        found: dict[int, Said] = {}
        parts_of: dict[int, tuple[Part, ...]] = {}
        for at, message in enumerate(view.messages):
            chain.update(message.digest)
            key = chain.copy().digest()
            known = join is not None and at < join.known and at not in join.replaces
            parts = parts_of[at] = self._parts(dialect, message, parts_at, known=known)
            said = self.bench.said.get(key)
            if said is not None and len(said.judgements) == len(parts):
                found[at] = said
            else:
                first = len(scenes)
                scenes += self._scenes(parts)
                pending.append((at, message, key, parts, first))
            self._trail += parts
        judgements = await self.bench.judge(scenes, self._asking)
        for at, _, key, parts, first in pending:
            judged = iter(judgements[first:])
            # What the model said earlier was judged then, but whoever writes the history may write our notices into it.
            said = Said(tuple([next(judged) if _is_judged(part) else self.bench.forged(part) for part in parts]))
            found[at] = said
            self._keep(key, said)
        for at, message in enumerate(view.messages):
            fresh = join is None or at >= join.known or at in join.replaces
            self._rule("request", message.cut, parts_of[at], found[at].judgements, fresh=fresh)

    def _recall(self, view: RequestView) -> None:
        """Begin with what the provider holds of this conversation, as far as it passed here."""
        if not self._stateful:
            return
        stored = self._stored(view)
        self._partial = stored is None or stored.parts is None
        if stored is not None:
            self._trail += stored.parts or ()

    def _stored(self, view: RequestView) -> Stored | None:
        named = view.previous_response_id
        return self.bench.histories.behind(self._scope, self.holder(named) if named else view.conversation_id or "")

    def holder(self, response_id: str) -> str:
        """The response under which the provider keeps the history of one that the caller names."""
        return self.bench.histories.holder(self._scope, response_id)

    def continued(self, response_ids: Sequence[str]) -> None:
        """Note the ids of the provider's responses behind one reply: its caller knows it by the first."""
        self.bench.histories.continued(self._scope, response_ids)

    def owed(self, view: RequestView) -> tuple[bytes, ...]:
        """Results that the provider waits for where a request goes on, of calls that its caller was never shown."""
        stored = self._stored(view) if self._stateful else None
        return () if stored is None else stored.owed

    def owes(self, results: Sequence[bytes]) -> None:
        """Note that the reply leaves calls at the provider that were not shown to the caller, with these results."""
        self._owed = tuple(results)

    async def _lead(self, view: RequestView, parts_at: PartsAt, join: Join | None) -> None:
        """Instructions and tool definitions; definitions are compared with those the session began with."""
        lead = [(cut, parts_at(cut)) for _, cut in view.lead_cuts]
        definitions = tuple([part for _, parts in lead for part in parts if part.kind == "tool_definitions"])
        session = self._session_id
        earlier = self.bench.offered.get(session) if session is not None else None
        if session is not None and earlier is None and definitions:
            self.bench.offered.put(session, definitions, sum(len(part.text) for part in definitions))
        known = earlier is not None and earlier == definitions
        key = blake2b(b"lead" + view.lead, digest_size=_CHAIN).digest()
        said = self.bench.said.get(key) if known or earlier is None else None
        parts = tuple([part for _, found in lead for part in found])
        if said is None or len(said.judgements) != len(parts):
            before = Trail(parts=earlier or (), partial=self._partial)
            scenes = [Scene(step=part, trail=before) for part in parts]
            said = Said(tuple(await self.bench.judge(scenes, self._asking)))
            if known or earlier is None:
                self._keep(key, said)
        judged = iter(said.judgements)
        for cut, found in lead:
            self._rule("request", cut, found, [next(judged) for _ in found], fresh=join is None or not join.lead_known)
        self._trail += parts

    def _keep(self, key: bytes, said: Said) -> None:
        """Remember what was said, unless time ran out before it was or nobody answered: then it is judged again."""
        if not any(judgement.transient for judgement in said.judgements):
            self.bench.said.put(key, said, _OF_A_JUDGEMENT * len(said.judgements) + 1)

    def _parts(self, dialect: str, message: Message, parts_at: PartsAt, *, known: bool) -> tuple[Part, ...]:
        """The parts of a message; of a known one as they were first read, which its pointers may not fit."""
        key = (dialect, message.digest)
        parts = self.bench.parts.get(key) if known else None
        if parts is None:
            parts = tuple(parts_at(message.cut))
            self.bench.parts.put(key, parts, sum(len(part.text) for part in parts))
        return parts

    def _scenes(self, parts: Sequence[Part]) -> list[Scene]:
        """A scene for each part that is judged in requests, behind what came before it."""
        before = tuple(self._trail)
        return [
            Scene(step=part, trail=Trail(parts=(*before, *parts[:at]), partial=self._partial))
            for at, part in enumerate(parts)
            if _is_judged(part)
        ]

    def _rule(
        self, side: Side, cut: int | None, parts: Sequence[Part], judgements: Iterable[Judgement], *, fresh: bool
    ) -> None:
        for at, (part, judgement) in enumerate(zip(parts, judgements, strict=True)):
            given = self.given.get(part.call_id or "") if part.kind == "tool_result" and self.given else None
            said = judgement if given is None else _with_difference(part, judgement, given)
            if said is UNJUDGED:
                continue
            self._take(Ruled(side, cut, part, said, at, fresh))
            verdict = said.verdict
            # What an old step was merely flagged for was said when it was new.
            if fresh or STRENGTH[verdict.name] > STRENGTH["flag"]:
                self._verdict = combine([self._verdict, verdict])

    def _take(self, ruled: Ruled) -> None:
        self.ruled.append(ruled)
        if ruled.side == "response":
            self._replied.add(_reading(ruled.part))

    # ------------------------------------------------------------------------------------------------- errands

    def without_history(self) -> None:
        """Note that what came before in this session is not known here."""
        self._partial = True

    async def act(self, part: Part, cut: int, *, declared: Sequence[Part]) -> Judgement:
        """Judge an act that a request makes by itself, such as a call of a tool; `declared`: the tools there are."""
        scene = Scene(step=part, trail=Trail(parts=(*declared, *self._trail), partial=self._partial))
        (judgement,) = await self.bench.judge([scene])
        self._rule("request", cut, [part], [judgement], fresh=True)
        self._trail.append(part)
        return judgement

    async def brought(self, parts: Sequence[Part], *, declared: Sequence[Part]) -> list[Judgement]:
        """Judge what a tool server says; `declared`: the tools it had before."""
        before = (*declared, *self._trail)
        scenes = [
            Scene(step=part, trail=Trail(parts=(*before, *parts[:at]), partial=self._partial))
            for at, part in enumerate(parts)
        ]
        judgements = await self.bench.judge(scenes)
        self._rule("response", None, parts, judgements, fresh=True)
        self._trail += [part for part in parts if part.kind != "tool_definitions"]
        return judgements

    def note(self, part: Part, finding: Finding) -> None:
        """Add what the gateway itself found of a part of the answer, whatever clauses said of it."""
        found = next((at for at, ruled in enumerate(self.ruled) if ruled.part is part), None)
        if found is None:
            found = len(self.ruled)
            self._take(Ruled("response", None, part, UNJUDGED))
        ruled = self.ruled[found]
        flagged = Verdict(name="flag", clauses=(finding.clause,))
        said = msgspec.structs.replace(
            ruled.judgement,
            verdict=combine([ruled.judgement.verdict, flagged]),
            findings=(*ruled.judgement.findings, finding),
        )
        self.ruled[found] = msgspec.structs.replace(ruled, judgement=said)
        self._verdict = combine([self._verdict, flagged])

    def leave_trail(self) -> None:
        """Keep what this exchange told its model and what that said, for the next act of the session."""
        if self._session_id is not None:
            self.bench.trails.tell(self._session_id, tuple(self._trail), partial=self._partial)

    # -------------------------------------------------------------------------------------------------- replies

    async def reply(self, part: Part, *, passing: bool = False, before: str = "") -> Judgement:
        """Judge one part of the reply. `passing`: a stretch of a text that streams by, to be judged whole later.

        `before`: the end of what the turn said before it, as far as that is not judged whole either.
        """
        scene = self._reply_scene(part, before)
        if passing:
            judgement = await self.bench.judge_stretch(scene)
            self._verdict = combine([self._verdict, judgement.verdict])
        else:
            (judgement,) = await self.bench.judge([scene], self._asking)
            self.said_of_reply(part, judgement)
        return judgement

    def go_on(self, parts: Iterable[Part]) -> None:
        """Note what the turn said already, in the answers that this one goes on from."""
        self._trail += [part for part in parts if is_spoken(part)]

    async def rest(self, parts: Iterable[Part]) -> None:
        """Judge what of a reply was not judged while it passed."""
        for part in parts:
            if not self.was_judged(part):
                await self.reply(part)

    def rest_here(self, parts: Iterable[Part]) -> None:
        """The same where nothing can be waited for any more; what is long is left out, and the coverage says so."""
        for part in parts:
            if self.was_judged(part):
                continue
            if len(part.text) <= INLINE_BYTES:
                self.said_of_reply(part, self.bench.judge_here([self._reply_scene(part)])[0])
            else:
                row = Examined(clause="*", guard="*", seq=0, size=len(part.text), state="error", skipped="broken_off")
                flag = Verdict(name="flag", clauses=(UNSEEN,)) if self._heeds(part.kind) else ALLOW
                self.said_of_reply(part, Judgement(verdict=flag, coverage=(row,)))

    def was_judged(self, part: Part) -> bool:
        """Whether this part of the reply has been judged whole."""
        return _reading(part) in self._replied

    def said_of_reply(self, part: Part, judgement: Judgement) -> None:
        """Note what was said of a whole part, which is from now on before those that follow."""
        self._rule("response", None, [part], [judgement], fresh=True)
        self._trail.append(part)

    def remember(self, *names: str | None) -> None:
        """Keep what came before, for a request that goes on from here by one of these ids alone."""
        stored = Stored(None if self._partial else tuple(self._trail), self._owed)
        for name in names:
            if name is not None:
                self.bench.histories.keep(self._scope, name, stored)

    def _reply_scene(self, part: Part, before: str = "") -> Scene:
        said = (Part(kind=part.kind, text=before, pointer=part.pointer),) if before else ()
        return Scene(step=part, trail=Trail(parts=(*self._trail, *said), partial=self._partial))

    # --------------------------------------------------------------------------------------------------- record

    def judged(self, steps: Sequence[Step]) -> Judged:
        """What is recorded: only of steps that were new in this exchange; of all pieces where no session has any."""
        if self._session_id is None:
            found = [_said(ruled, seq, _where(ruled)) for seq, ruled in enumerate(self.ruled)]
        else:
            seqs = {(step.side, step.cut, step.pointer, step.kind): step.seq for step in steps}
            placed = [
                (ruled, seqs.get((ruled.side, ruled.cut, ruled.part.pointer, ruled.part.kind)))
                for ruled in self.ruled
                if ruled.fresh
            ]
            found = [_said(ruled, seq) for ruled, seq in placed if seq is not None]
        return Judged(
            ruleset=self.ruleset.revision,
            revision=self.revision or "",
            unread=self.unread,
            verdict=self._verdict,
            partial=self._partial,
            steps=tuple(found),
            forwarded_sha256=self.forwarded_sha256,
            delivered_sha256=self.delivered_sha256,
            asked_again=self.asked_again,
            instructed=self.instructed,
            uninstructed=self.uninstructed,
        )


def _said(ruled: Ruled, seq: int, where: Where | None = None) -> StepJudgement:
    """What is recorded of one piece."""
    said = ruled.judgement
    coverage = tuple([msgspec.structs.replace(row, seq=seq) for row in said.coverage])
    return StepJudgement(
        seq=seq, where=where, verdict=said.verdict, findings=said.findings, coverage=coverage, edits=said.edits
    )


def _where(ruled: Ruled) -> Where:
    part = ruled.part
    return Where(
        kind=part.kind,
        side=ruled.side,
        cut=ruled.cut,
        pointer=part.pointer,
        size=len(utf8(part.text)),
        tool=part.tool,
        call_id=part.call_id,
    )


def _with_difference(part: Part, judgement: Judgement, given: str) -> Judgement:
    """Add that an agent tells of another result than the tool gave; wrapped, joined or shortened it is the same."""
    if retells(part.text, given):
        return judgement
    evidence = (Evidence(start=0, end=len(utf8(part.text)), label="retold_result"),)
    finding = Finding(clause=RETOLD, guard="witness.0", score=75, state="violation", evidence=evidence)
    flagged = combine([judgement.verdict, Verdict(name="flag", clauses=(RETOLD,))])
    return msgspec.structs.replace(judgement, verdict=flagged, findings=(*judgement.findings, finding))


def _nothing_at(_: int) -> Sequence[Part]:
    return ()


def _reading(part: Part) -> _Reading:
    """What two readings of one piece have in common: providers may give two pieces the same place."""
    return part.pointer, part.kind, part.text, part.tool


def _is_judged(part: Part) -> bool:
    return part.kind in PUT_BEFORE_THE_MODEL
