"""The seat: where messages between agents and one tool server are judged, with the clauses of the caller's app.

A call is judged before the server sees it, an answer before the agent does, whatever way the two are connected. What
is to be stopped is answered in the protocol's own shapes; what passes unchanged passes as the bytes it came in.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from gateway.config import McpServer
from gateway.keeper import Keeper
from gateway.mcp.definitions import defined, without_tools
from gateway.mcp.pair import Pair
from gateway.mcp.refusals import told
from gateway.refusals import Refused
from gateway.stations.benches import Supervision
from gateway.stations.judge import Docket
from gateway.stations.own_clauses import CHANGED, SHADOWING
from gateway.supervised import hold_ask
from gateway.wire import mcp
from gateway.wire.edits import PartEdit, Replacement, Uneditable, edited
from gateway.wire.jsonrpc import Malformed, Message, answers, notification, read
from gateway.wire.jsons import decode_whole
from gateway.wire.notices import make
from policies.asking import Asking
from policies.evaluate import Judgement
from policies.tools import name_matches
from policies.vocabulary.findings import Evidence, Finding
from policies.vocabulary.pins import Listing, Pinned
from policies.vocabulary.steps import Part
from policies.vocabulary.verdicts import STRENGTH, ReasonCode, Verdict

log = logging.getLogger("stepwarden.mcp")

T = TypeVar("T")

_STEP: Final = 0.001
"""Progress reported for each keep-alive while a person is waited for: less than any server reports."""


class Waiting(Protocol):
    """Who is told that a person is waited for, so that a client does not give up."""

    async def __call__(self, message: bytes) -> None:
        """Pass on a notification of ours."""
        ...


class Ruling(NamedTuple):
    """What becomes of a message."""

    passes: bool
    """False where it goes no further, and `body` is the answer its sender gets."""

    body: bytes


class Seat:
    """One tool server before the bench, in one worker."""

    def __init__(
        self,
        server: McpServer,
        *,
        keeper: Keeper,
        supervision: Callable[[], Supervision],
        beside: Callable[[str], tuple[str, ...]],
        keepalive_seconds: float = 10.0,
    ) -> None:
        """`beside`: the other servers that callers of an app can reach."""
        self.server = server
        self._keeper = keeper
        self._supervision = supervision
        self._beside = beside
        self._keepalive_seconds = keepalive_seconds

    async def open(self, pair: Pair) -> None:
        """Find the pair's session and the clauses it is judged by. Raises `Refused`."""
        message = pair.message
        if message is not None and message.kind == "request" and message.method in mcp.ACTS:
            pair.asked = [(part, 0) for part in mcp.request_parts(decode_whole(message.raw))]
        opened = await self._keeper.open(pair.opening())
        pair.join, pair.shadowed, pair.withheld = opened.join, opened.shadowed, opened.withheld
        pair.distrusted, pair.revision = opened.distrusted, opened.revision
        await self._supervision().attend(pair.principal.app, opened.revision)
        pair.call_id = opened.call_id or f"mcp_{pair.exchange_id}"
        pair.asked = [(msgspec.structs.replace(part, call_id=pair.call_id), cut) for part, cut in pair.asked]
        self._summon(pair, opened.call_id)

    def _summon(self, pair: Pair, call_id: str | None) -> None:
        bench = self._supervision().bench(
            pair.principal.app, pair.shadowed, distrusted=pair.distrusted, revision=pair.revision
        )
        if bench is None or pair.join is None:
            return
        session_id = pair.join.session_id
        if pair.join.relation == "opens":
            bench.trails.act(session_id, ())
        trail = bench.trails.of(session_id)
        before = () if trail is None else trail.before(call_id)
        asking = Asking(app=pair.principal.app, session_id=session_id, exchange_id=pair.exchange_id)
        pair.docket = Docket(bench, scope=pair.scope, stateful=False, asking=asking, before=before)
        pair.docket.revision = pair.revision
        if trail is None or trail.partial:
            pair.docket.without_history()

    def _leave(self, pair: Pair, docket: Docket, parts: Iterable[Part]) -> None:
        """Let the next act of the session know of this one."""
        if pair.join is not None:
            docket.bench.trails.act(pair.join.session_id, parts, begins=False)

    # ------------------------------------------------------------------------------------------------- requests

    async def request(self, pair: Pair, waiting: Waiting) -> Ruling:
        """Judge what a client sends before its server sees it."""
        message = pair.message
        assert message is not None
        reason = self._closed_to(pair, message)
        if reason is not None:
            return self._rejected(pair, reason)
        docket = pair.docket
        return Ruling(True, message.raw) if docket is None else await self._acted(pair, message, docket, waiting)

    def _closed_to(self, pair: Pair, message: Message) -> ReasonCode | None:
        """Why a tool cannot be called, whatever clauses say; None where it can."""
        if message.method != "tools/call":
            return None
        if not self.allows(pair.tool or ""):
            return "tool_not_declared"
        return "needs_approval" if pair.withheld and self.server.pins == "hold" else None

    async def _acted(self, pair: Pair, message: Message, docket: Docket, waiting: Waiting) -> Ruling:
        edits: list[PartEdit] = []
        for part, cut in pair.asked:
            judgement = await docket.act(part, cut, declared=self._declared(pair, docket))
            reason = await self._stopped(pair, docket, [(part, judgement)], waiting)
            if reason is not None:
                return self._rejected(pair, reason)
            edits += _edit(part, judgement)
        if pair.parked.is_set() and await self._changed_since(pair):
            return self._rejected(pair, "needs_approval")
        self._leave(pair, docket, [part for part, _ in pair.asked])
        if not edits:
            return Ruling(True, message.raw)
        try:
            body = edited(message.raw, lambda value: [*mcp.request_parts({**value, "method": message.method})], edits)
        except Uneditable:
            return self._rejected(pair, docket.verdict.reason or "action_not_allowed")
        docket.forwarded_sha256 = sha256(body).digest()
        return Ruling(True, body)

    async def _changed_since(self, pair: Pair) -> bool:
        """Whether a tool became another one while a person thought about a call of what it was."""
        held = self.server.pins == "hold" and pair.tool is not None
        return held and await self._keeper.withheld(self.server.name, pair.tool or "")

    def allows(self, tool: str) -> bool:
        """Whether a tool of this server may be listed and called at all."""
        return any(name_matches(pattern, tool) for pattern in self.server.tools)

    def _declared(self, pair: Pair, docket: Docket) -> Sequence[Part]:
        """The tools of this server as they were last listed; reading and prompting are no tools."""
        return (docket.bench.offered.get(self._listed) or ()) if pair.tool is not None else ()

    @property
    def _listed(self) -> str:
        return f"mcp/{self.server.name}"

    # -------------------------------------------------------------------------------------------------- answers

    async def answer(self, pair: Pair, raw: bytes, waiting: Waiting) -> bytes:
        """Judge one answer of the server before its client sees it; what the client gets."""
        try:
            answer = _answer_to(pair.message, raw)
        except Malformed as malformed:
            pair.outcome, pair.note = "not_an_answer", str(malformed)
            pair.spoilt = True
            return self._failure(pair, "The tool server's answer could not be read.", "upstream_malformed")
        value = decode_whole(raw)
        parts = [self._named(pair, part) for part in mcp.reply_parts(value)]
        pair.brought += tuple(parts)
        pair.error_type = pair.error_type or mcp.reply_of(value).error_type
        taken, pinned = await self._examined(pair, value)
        delivered = await self._judged(pair, answer, parts, taken, pinned, waiting)
        if pair.docket is not None and delivered is not raw:
            pair.docket.delivered_sha256 = sha256(delivered).digest()
        if pair.tool is not None:
            pair.given = mcp.told(delivered)
        return delivered

    def _named(self, pair: Pair, part: Part) -> Part:
        """A part of an answer with what it answers."""
        if part.kind == "tool_result":
            return msgspec.structs.replace(part, tool=pair.tool, call_id=pair.call_id)
        tool = part.tool if part.kind == "tool_definitions" else pair.operation
        return msgspec.structs.replace(part, tool=tool)

    async def _examined(self, pair: Pair, value: object) -> tuple[set[str], Pinned]:
        """Names of tools that are taken out of a list of them, and what pins say."""
        tools = defined(self.server.name, value)
        if not tools:
            return set(), Pinned()
        pinned = await self._keeper.pin(
            Listing(
                server=self.server.name,
                app=pair.principal.app,
                exchange_id=pair.exchange_id,
                tools=tools,
                beside=self._beside(pair.principal.app),
            )
        )
        taken = {each.tool for each in tools if not self.allows(each.tool)}
        if self.server.pins == "hold":
            taken.update(pinned.changed)
        return taken, pinned

    async def _judged(
        self, pair: Pair, answer: Message, parts: Sequence[Part], taken: set[str], pinned: Pinned, waiting: Waiting
    ) -> bytes:
        """An answer as its client gets it."""
        docket, raw = pair.docket, answer.raw
        edits: list[PartEdit] = []
        if docket is not None:
            before = docket.bench.offered.get(self._listed) or ()
            judgements = await docket.brought(parts, declared=before)
            self._leave(pair, docket, parts)
            reason = await self._stopped(
                pair,
                docket,
                [
                    (part, judgement)
                    for part, judgement in zip(parts, judgements, strict=True)
                    if part.kind != "tool_definitions"
                ],
                waiting,
            )
            if reason is not None:
                return self._rejected(pair, reason, answer).body
            for part, judgement in zip(parts, judgements, strict=True):
                if part.kind == "tool_definitions" and STRENGTH[judgement.verdict.name] >= STRENGTH["hold"]:
                    if part.tool is None:  # what has no name cannot be taken out
                        return self._rejected(pair, judgement.verdict.reason or "action_not_allowed", answer).body
                    taken.add(part.tool)
                else:
                    edits += _edit(part, judgement)
            self._noted(docket, parts, pinned)
            self._offer(docket, [part for part in parts if part.tool not in taken], before)
        try:
            body = edited(raw, mcp.reply_parts, edits) if edits else raw
        except Uneditable:
            assert docket is not None
            return self._rejected(pair, docket.verdict.reason or "action_not_allowed", answer).body
        return without_tools(body, taken) if taken else body

    def _offer(self, docket: Docket, parts: Iterable[Part], before: Sequence[Part]) -> None:
        """Remember a list of tools, its pages one after the other."""
        found = {part.tool: part for part in parts if part.kind == "tool_definitions"}
        if found:
            merged = tuple(({part.tool: part for part in before} | found).values())
            docket.bench.offered.put(self._listed, merged, sum(len(part.text) for part in merged))

    def _noted(self, docket: Docket, parts: Iterable[Part], pinned: Pinned) -> None:
        """Add what pins found to what clauses said of the definitions."""
        beside = dict(pinned.shadowing)
        for part in parts:
            if part.kind != "tool_definitions" or part.tool is None:
                continue
            if part.tool in pinned.changed:
                docket.note(part, _finding(CHANGED, "changed_definition", 90, "It is not what was accepted."))
            if part.tool in beside:
                note = f"It bears the name of a tool of MCP server {beside[part.tool]}, or speaks of one."
                docket.note(part, _finding(SHADOWING, "tool_shadowing", 75, note))

    # --------------------------------------------------------------------------------------------------- shared

    async def _stopped(
        self, pair: Pair, docket: Docket, ruled: Iterable[tuple[Part, Judgement]], waiting: Waiting
    ) -> ReasonCode | None:
        """Why a message goes no further, after a person was asked where a clause wants that; None where it may."""
        held: list[tuple[Part, Verdict]] = []
        strongest = Verdict()
        for part, judgement in ruled:
            verdict = judgement.verdict
            if verdict.name == "hold":
                held.append((part, verdict))
            elif STRENGTH[verdict.name] > STRENGTH[strongest.name]:
                strongest = verdict
        if strongest.name == "terminate" and pair.join is not None:
            await self._keeper.terminate(pair.join.session_id)
        if strongest.name in ("reject", "terminate"):
            return strongest.reason or "action_not_allowed"
        for part, verdict in held:
            # What nothing joins to a session would be asked anew in another one.
            alone = pair.join is None or pair.join.evidence == "none"
            caller = f"{self._listed}/{pair.scope.hex()}" if alone else None
            ask = hold_ask(pair, docket, part, verdict, bound_to=caller)
            if not await self._told_to_wait(pair, self._keeper.hold(ask), waiting):
                return "needs_approval"
        return None

    async def _told_to_wait(self, pair: Pair, awaited: Awaitable[T], waiting: Waiting) -> T:
        """Wait for a person, while the client hears of progress where it wants to."""
        token = None if pair.message is None else pair.message.progress_token
        pair.parked.set()
        task = asyncio.ensure_future(awaited)
        progress = 0.0
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=self._keepalive_seconds)
                if done:
                    return task.result()
                progress += _STEP
                if token is not None:
                    said = {"progressToken": token, "progress": progress, "message": "A person has to approve it."}
                    await waiting(notification("notifications/progress", said))
        finally:
            task.cancel()

    def _rejected(self, pair: Pair, reason: ReasonCode, answer: Message | None = None) -> Ruling:
        """The answer in place of what is stopped; `answer`: the server's own, which need not be to this message."""
        message = pair.message or answer
        assert message is not None
        pair.error_type = reason
        if pair.docket is None:
            words, key = _PLAIN[reason], None
        else:
            pair.docket.stop(reason)
            words, key = "", pair.docket.bench.notice_key
        notice = words if key is None else make(reason, pair.exchange_id, key, "not_run")
        body = mcp.rejection(message, notice, reason=reason, exchange_id=pair.exchange_id, stateless=pair.stateless)
        return Ruling(False, body)

    def _failure(self, pair: Pair, said: str, code: str) -> bytes:
        """An error of ours in answer to a request."""
        pair.error_type = code
        token = b"null" if pair.message is None else pair.message.id_token
        return mcp.error_of(-32603, said, pair.exchange_id, code=code, id_token=token)

    def refusal(self, pair: Pair, refused: Refused) -> bytes:
        """A refusal of the gateway in JSON-RPC's shape."""
        pair.outcome, pair.error_type = refused.outcome, refused.code
        pair.note = pair.note or str(refused)
        return told(refused, pair.exchange_id, b"null" if pair.message is None else pair.message.id_token)

    def close(self, pair: Pair) -> None:
        """Tell the session how it ended, and hand the record over. A bug here breaks no answer."""
        with suppress(Exception):
            self._keeper.finish(pair.done())
        try:
            self._keeper.close(pair.recording())
        except Exception:
            log.exception("an exchange could not be recorded", extra={"exchange": pair.exchange_id})
            self._keeper.lose(pair.exchange_id, "it could not be made into a record")


def _answer_to(message: Message | None, raw: bytes) -> Message:
    """An answer of a server. Raises `Malformed` where it is none, or one to another message."""
    answer = read(raw)
    if message is None or message.kind != "request":
        return answer
    if answer.kind not in ("result", "error"):
        raise Malformed("It is no answer.")
    if not answers(answer, message):
        raise Malformed("It answers another message.")
    return answer


_PLAIN: Final[dict[ReasonCode, str]] = {
    "tool_not_declared": "This tool is not among those that may be called here.",
    "needs_approval": "This tool has changed; a person has to approve it before it can be called.",
}
"""What is said where no policy is in force for the app, and so no key to mark a notice with."""


def _edit(part: Part, judgement: Judgement) -> list[PartEdit]:
    if not judgement.edits:
        return []
    ranges = tuple([Replacement(edit.start, edit.end, edit.text) for edit in judgement.edits])
    return [PartEdit(pointer=part.pointer, ranges=ranges)]


def _finding(clause: str, label: str, score: int, note: str) -> Finding:
    return Finding(
        clause=clause, guard="pins.0", score=score, state="violation", evidence=(Evidence(label=label),), note=note
    )
