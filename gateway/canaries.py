"""Canaries: the violating examples of the clauses in force, sent through every path a step can take.

Each example is put on the wire, in every dialect that can carry it, read back by the dialect's own reader, and judged
as an exchange is: a request by the docket, a reply as one document, a reply as a stream through its gate. No provider
is asked and nothing is recorded. A clause that speaks when its example is judged by itself and is silent when the same
steps come over a wire is a hole.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from gateway.demo import render
from gateway.demo.turns import Call, Setting, Turn, WireName
from gateway.stations.bench import Bench
from gateway.stations.judge import Docket
from gateway.wire.absences import absent
from gateway.wire.blocks import Judgement as Piece
from gateway.wire.dialects import dialects
from gateway.wire.edits import Replacement, Uneditable
from gateway.wire.enforcing import enforcing
from gateway.wire.gate import Needs, StreamGate, Substituted
from gateway.wire.interface import Dialect
from policies.asking import Asking
from policies.evaluate import Judgement, Ruleset
from policies.examples import asked_kinds, scene_of, tags_of, threshold
from policies.rules import Rule
from policies.trail import Scene
from policies.vocabulary.clauses import Example
from policies.vocabulary.steps import PUT_BEFORE_THE_MODEL, Part, Side, StepKind

Json: TypeAlias = dict[str, Any]
State: TypeAlias = Literal["seen", "unseen", "silent", "unasked"]

WIRES: Final[Mapping[str, WireName]] = {
    "anthropic": "anthropic",
    "openai_chat": "chat",
    "openai_responses": "responses",
}
"""Dialects that are read, and what the demo's renderers call them."""

_SPOKEN: Final[frozenset[StepKind]] = frozenset({"model_text", "reasoning", "tool_call"})
_FRAGMENT: Final = 3
"""Characters a delta: nothing is found in one by itself."""

_SESSION: Final = "canaries"


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """One violating example on one path."""

    app: str
    clause: str
    """`policy/clause`."""

    guards: tuple[str, ...]
    """Kinds of the clause's guards."""

    step: StepKind
    path: str
    """Dialect, side and form: `openai_chat response stream`."""

    state: State
    """`silent`: the clause says nothing of its example in this app even without a wire, as where its condition is
    about another app. `unasked`: one of its guards would have to be asked elsewhere, and canaries leave nothing."""


class _Uncarried(Exception):
    """This wire has no place for one of the steps."""


async def send_canaries(app: str, ruleset: Ruleset) -> list[Canary]:
    """Send every violating example of these clauses through every path that can carry it."""
    known = dialects().by_name()
    found: list[Canary] = []
    for rule in ruleset.rules:
        for example in rule.clause.example:
            if example.expect != "violation":
                continue
            if asked_kinds(rule.clause):
                found.append(_canary(app, rule, example, "none", "unasked"))
                continue
            tagged = ruleset.tagged({**ruleset.tags, **tags_of(example, rule.clause)})
            scene = scene_of(example)
            speaks = _speaks(rule, [tagged.judge(scene, clock=time.monotonic_ns)])
            for name, path in _paths(scene.step.kind):
                try:
                    judgements = await _through(known[name], path, scene, tagged)
                except _Uncarried:
                    continue
                state: State = "silent" if not speaks else "seen" if _speaks(rule, judgements) else "unseen"
                found.append(_canary(app, rule, example, f"{name} {' '.join(path)}", state))
    return found


def _canary(app: str, rule: Rule, example: Example, path: str, state: State) -> Canary:
    guards = tuple([place.partition(".")[0] for place, _ in rule.places])
    return Canary(app=app, clause=rule.name, guards=guards, step=example.steps[-1].kind, path=path, state=state)


def _speaks(rule: Rule, judgements: Sequence[Judgement]) -> bool:
    """Whether the clause found what its example is an example of."""
    least = threshold(rule.clause)
    return any(
        finding.clause == rule.name and finding.score >= least and finding.state in ("unsure", "violation")
        for judgement in judgements
        for finding in judgement.findings
    )


def _paths(kind: StepKind) -> Iterator[tuple[str, tuple[Side, Literal["json", "stream"]]]]:
    side: Side = "request" if kind in PUT_BEFORE_THE_MODEL else "response"
    for name in WIRES:
        if absent(name, side, kind) is None:
            yield name, (side, "json")
            yield name, (side, "stream")


async def _through(
    dialect: Dialect, path: tuple[Side, Literal["json", "stream"]], scene: Scene, ruleset: Ruleset
) -> list[Judgement]:
    """What is said of a scene whose last step comes over this path. Raises `_Uncarried`."""
    side, form = path
    bench = Bench(ruleset, heavy=lambda: ruleset, clock=time.monotonic_ns, notice_key=bytes(32))
    before, step = list(scene.trail.parts), scene.step
    if side == "request":
        docket = await _asked(dialect, bench, before, stream=form == "stream")
        docket = await _asked(dialect, bench, [*before, step], stream=form == "stream")
        return [ruled.judgement for ruled in docket.ruled]
    docket = await _asked(dialect, bench, before, stream=form == "stream")
    turn = _turn(step)
    setting = Setting(model="canary", include_usage=True, fragment=_FRAGMENT)
    if form == "stream":
        return await _streamed(dialect, docket, render.stream(WIRES[dialect.name], turn, setting))
    reader = dialect.reply_reader("chat", stream=False)
    reader.feed(msgspec.json.encode(render.document(WIRES[dialect.name], turn, setting)), 0)
    return [await docket.reply(part) for part in reader.close(0).parts]


async def _asked(dialect: Dialect, bench: Bench, parts: Sequence[Part], *, stream: bool) -> Docket:
    """The docket of a request that holds these steps."""
    body = msgspec.json.encode({"model": "canary", "stream": stream, **_WRITERS[dialect.name](parts)})
    view = dialect.read_request(body, "chat")
    docket = Docket(bench, scope=b"canaries", stateful=False, asking=Asking(session_id=_SESSION))
    await docket.request(dialect.name, view, lambda cut: dialect.parts(body, view, cut), None)
    return docket


async def _streamed(dialect: Dialect, docket: Docket, events: Sequence[bytes]) -> list[Judgement]:
    """What is said of a stream: of what its gate asks before it lets it go, or beside it where no clause acts."""
    acts, needs = enforcing(dialect), docket.bench.needs
    if acts is None or needs is None:
        reader = dialect.reply_reader("chat", stream=True)
        for event in events:
            reader.feed(event, 0)
        return [await docket.reply(part) for part in reader.close(0).parts]
    gate = acts.gate(needs, _SESSION)
    said: list[Judgement] = []
    for event in events:
        await _decide(gate, gate.feed(event).asked, docket, said)
    await _decide(gate, gate.finish().asked, docket, said)
    return [*said, *await _beside(dialect, docket, events, needs)]


async def _decide(gate: StreamGate, asked: Sequence[Piece], docket: Docket, said: list[Judgement]) -> None:
    waiting = list(asked)
    while waiting:
        piece = waiting.pop(0)
        judgement = await docket.reply(piece.part, passing=True)
        said.append(judgement)
        if judgement.verdict.name in ("hold", "reject", "terminate"):
            waiting += gate.reject(piece, Substituted("")).asked
            continue
        edits = [Replacement(edit.start, edit.end, edit.text) for edit in judgement.edits]
        try:
            waiting += gate.decide(piece, edits).asked
        except Uneditable:
            waiting += gate.reject(piece, Substituted("")).asked


async def _beside(dialect: Dialect, docket: Docket, events: Sequence[bytes], needs: Needs) -> list[Judgement]:
    """What is said after the fact of the pieces that nobody holds back, since no clause about them acts."""
    reader = dialect.reply_reader("chat", stream=True)
    for event in events:
        reader.feed(event, 0)
    idle = {"model_text": needs.text, "reasoning": needs.reasoning, "tool_call": needs.tool_call}
    return [await docket.reply(part) for part in reader.close(0).parts if idle.get(part.kind) == "idle"]


def _turn(step: Part) -> Turn:
    """A step of the model as a reply. Raises `_Uncarried`."""
    if step.kind == "model_text":
        return Turn(text=step.text)
    if step.kind == "reasoning":
        return Turn(reasoning=step.text, signature="Y2FuYXJ5", text="Done.")
    if step.kind == "tool_call":
        _arguments(step)
        return Turn(calls=(Call(step.call_id or "call_canary", step.tool or "", step.text or "{}"),))
    raise _Uncarried


# Requests


def _arguments(step: Part) -> Any:
    try:
        return msgspec.json.decode(step.text or "{}")
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _Uncarried from None


def _definition(step: Part) -> tuple[str, str, Any]:
    """Name, description and schema of a defined tool."""
    try:
        told = msgspec.json.decode(step.text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return step.tool or "canary", step.text, {"type": "object"}
    fields = cast("Json", told)
    return str(fields.get("name", "")), str(fields.get("description", "")), fields.get("input_schema") or {}


def _definitions(parts: Sequence[Part]) -> list[tuple[str, str, Any]]:
    """The tools as they stand at the end: the last definition of a name wins."""
    return list({told[0]: told for told in map(_definition, parts)}.values())


def _sorted_out(parts: Sequence[Part]) -> tuple[list[str], list[tuple[str, str, Any]], list[Part]]:
    """Instructions, tool definitions, and the conversation. Raises `_Uncarried`."""
    if any(part.kind == "handoff" for part in parts):
        raise _Uncarried
    told = [part.text for part in parts if part.kind == "instructions"]
    tools = _definitions([part for part in parts if part.kind == "tool_definitions"])
    return told, tools, [part for part in parts if part.kind not in ("instructions", "tool_definitions")]


def _anthropic(parts: Sequence[Part]) -> Json:
    told, tools, rest = _sorted_out(parts)
    messages: list[Json] = []
    for part in rest:
        role = "assistant" if part.kind in _SPOKEN else "user"
        messages.append({"role": role, "content": [_anthropic_block(part)]})
    found: Json = {"max_tokens": 64, "messages": messages or [{"role": "user", "content": "Go on."}]}
    if told:
        found["system"] = [{"type": "text", "text": text} for text in told]
    if tools:
        found["tools"] = [
            {"name": name, "description": description, "input_schema": schema} for name, description, schema in tools
        ]
    return found


def _anthropic_block(part: Part) -> Json:
    if part.kind == "reasoning":
        return {"type": "thinking", "thinking": part.text, "signature": "Y2FuYXJ5"}
    if part.kind == "tool_call":
        return {"type": "tool_use", "id": part.call_id, "name": part.tool, "input": _arguments(part)}
    if part.kind == "tool_result":
        return {"type": "tool_result", "tool_use_id": part.call_id, "content": part.text}
    if part.kind == "retrieval":
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": part.text}}
    return {"type": "text", "text": part.text}


def _chat(parts: Sequence[Part]) -> Json:
    told, tools, rest = _sorted_out(parts)
    messages: list[Json] = [{"role": "system", "content": text} for text in told]
    messages += [_chat_message(part) for part in rest]
    found: Json = {"messages": messages or [{"role": "user", "content": "Go on."}]}
    if tools:
        found["tools"] = [
            {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
            for name, description, schema in tools
        ]
    return found


def _chat_message(part: Part) -> Json:
    if part.kind == "tool_call":
        function = {"name": part.tool, "arguments": part.text}
        calls = [{"id": part.call_id, "type": "function", "function": function}]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    if part.kind == "tool_result":
        return {"role": "tool", "tool_call_id": part.call_id, "content": part.text}
    if part.kind == "reasoning":
        return {"role": "assistant", "content": None, "reasoning_content": part.text}
    if part.kind == "retrieval":
        raise _Uncarried
    return {"role": "assistant" if part.kind == "model_text" else "user", "content": part.text}


def _responses(parts: Sequence[Part]) -> Json:
    told, tools, rest = _sorted_out(parts)
    items: list[Json] = [{"role": "developer", "content": text} for text in told]
    items += [_responses_item(part) for part in rest]
    found: Json = {"input": items or "Go on."}
    if tools:
        found["tools"] = [
            {"type": "function", "name": name, "description": description, "parameters": schema}
            for name, description, schema in tools
        ]
    return found


def _responses_item(part: Part) -> Json:
    if part.kind == "tool_call":
        return {"type": "function_call", "call_id": part.call_id, "name": part.tool, "arguments": part.text}
    if part.kind == "tool_result":
        return {"type": "function_call_output", "call_id": part.call_id, "output": part.text}
    if part.kind == "reasoning":
        return {"type": "reasoning", "summary": [{"type": "summary_text", "text": part.text}]}
    if part.kind == "retrieval":
        results = [{"file_id": "file_canary", "text": part.text}]
        return {"type": "file_search_call", "id": "fs_canary", "status": "completed", "results": results}
    return {"role": "assistant" if part.kind == "model_text" else "user", "content": part.text}


_WRITERS: Final = {"anthropic": _anthropic, "openai_chat": _chat, "openai_responses": _responses}
