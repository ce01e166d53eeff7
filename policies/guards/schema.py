"""`schema`: calls are made of declared tools with arguments their JSON Schema allows, and tools stay what they were.

Schemas are read as JSON Schema 2020-12 or the draft they name (https://json-schema.org/specification): `format` is
an annotation, references stay inside the schema, and patterns run without backtracking.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from policies import definitions
from policies.arguments import Leaf, leaves
from policies.contracts import Breach, Contract, Unusable
from policies.definitions import Definition, Offer, entries, offered
from policies.guards.interface import SCANNED_BYTES, UNSCANNED, BadGuard
from policies.limits import ArgumentLimit, BadLimit, Limit
from policies.tools import tool_matches
from policies.trail import Scene, Trail, arguments, utf8
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import Part

_VIOLATION: Final = 75
_REMEMBERED: Final = 64 << 10
"""Definitions up to so many characters are compiled once and remembered."""

_MOST_HITS: Final = 16
"""Of one sort on one step."""

_TALK: Final = frozenset({"model_text", "reasoning", "tool_call", "tool_result", "retrieval", "handoff"})
"""Once one of these was seen, the session has begun, and tools that appear are new."""


class SchemaSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="schema"):
    """Undeclared tools, arguments that break their schema or a limit of yours, and definitions that change."""

    limits: tuple[ArgumentLimit, ...] = ()
    """Further limits for arguments, beyond what the tools declare of themselves."""


class SchemaGuard:
    """Holds calls against the definitions of the trail, and definitions against earlier ones."""

    def __init__(self, spec: SchemaSpec) -> None:
        """Raises `BadGuard` for a limit that makes no sense."""
        try:
            self._limits = tuple(Limit(limit) for limit in spec.limits)
        except BadLimit as wrong:
            raise BadGuard(f"limits: {wrong}") from None

    @property
    def window(self) -> int | None:
        """None: calls and definitions are judged whole."""
        return None

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """Of `tool_call` and `tool_definitions` steps; nothing of other kinds."""
        if scene.step.kind == "tool_definitions":
            return _definition_hits(scene)
        return self._call_hits(scene) if scene.step.kind == "tool_call" else ()

    def _call_hits(self, scene: Scene) -> Sequence[Hit]:
        step = scene.step
        offer = offered(scene.trail)
        place, text = offer.tools.get(step.tool or "", (None, None))
        hits = _offer_hits(scene, offer) if text is None else []
        if len(step.text) > SCANNED_BYTES or len(utf8(step.text)) > SCANNED_BYTES:
            # Half of a JSON text is none, so none of it is looked at.
            note = "the arguments are longer than what is scanned of one step"
            return [*hits, _hit(50, UNSCANNED, note, end=len(utf8(step.text)))]
        definition = None if text is None else definitions.read(text)
        call = _Call(step)
        if definition is None or definition.form == "function":
            hits += call.form_hits()
        if text is not None and definition is not None and definition.schema is not None:
            hits += call.contract_hits(text, place)
        for limit in self._limits:
            if tool_matches(limit.spec.tool, step.tool or ""):
                hits += call.limit_hits(limit)
        return hits


class _Call:
    """The arguments of one call, and what is wrong with them."""

    def __init__(self, step: Part) -> None:
        self._text = step.text
        self._value: Any = {} if step.text.strip() == "null" else arguments(step)
        self._leaves = leaves(step.text)
        self._data = utf8(step.text)

    def form_hits(self) -> list[Hit]:
        """Whether it is JSON that every reader takes for the same."""
        if self._value is not None:
            if not _repeats_a_key(self._text):
                return []
            note = "an object holds one key twice, and readers differ in which they take"
            return [_hit(75, "duplicate_key", note, end=len(self._data))]
        if self._leaves and not any(leaf.opaque for leaf in self._leaves):
            note = "the arguments are JSON only to forgiving readers"
            return [_hit(50, "arguments_not_strict", note, end=len(self._data))]
        return [_hit(75, "arguments_not_json", "the arguments are not JSON", end=len(self._data))]

    def contract_hits(self, definition: str, source: int | None) -> list[Hit]:
        """How it breaks the tool's own schema."""
        if self._value is None:
            return []
        try:
            contract = _contract(definition)
            breaches = contract.breaches(self._value)
            undeclared = contract.undeclared(self._value)
        except Unusable as why:
            place = Evidence(label=f"schema_{why}", source=source)
            return [Hit(score=50, state="error", evidence=(place,), note="the tool's schema cannot be applied")]
        hits = [self._breach(breach, 75, "the arguments break the tool's schema", source) for breach in breaches]
        note = "an argument the tool does not declare"
        hits += [self._breach(breach, 60, note, source) for breach in undeclared]
        if contract.loose:
            hits.append(_hit(25, "pattern_not_examined", "a pattern of the schema needs backtracking, or is too large"))
        return hits

    def _breach(self, breach: Breach, score: int, note: str, source: int | None) -> Hit:
        pointer = "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in breach.path)
        start, end = self._range(pointer)
        place = Evidence(start=start, end=end, label=breach.keyword, pointer=pointer, source=source)
        return Hit(score=score, state=_state(score), evidence=(place,), note=note)

    def _range(self, pointer: str) -> tuple[int, int]:
        """The bytes of the values at or below a pointer; of the whole text where there are none."""
        below = f"{pointer}/"
        inside = [leaf for leaf in self._leaves if leaf.pointer == pointer or leaf.pointer.startswith(below)]
        return (inside[0].start, inside[-1].end) if inside and pointer else (0, len(self._data))

    def limit_hits(self, limit: Limit) -> list[Hit]:
        """How it breaks a limit of the operator's."""
        hits: list[Hit] = []
        for label, leaf in limit.breaks(self._leaves, self._data):
            if len(hits) == _MOST_HITS:
                break
            if label == "limit_unreadable":
                note = "an argument with a limit stands in text that could not be taken apart"
                hits.append(_leaf_hit(50, label, note, leaf))
            else:
                hits.append(_leaf_hit(90, f"limit_{label}", "an argument is beyond its limit", leaf))
        return hits


def _leaf_hit(score: int, label: str, note: str, leaf: Leaf | None) -> Hit:
    if leaf is None:
        return _hit(score, label, note)
    place = Evidence(start=leaf.start, end=leaf.end, label=label, pointer=leaf.pointer)
    return Hit(score=score, state=_state(score), evidence=(place,), note=note)


def _offer_hits(scene: Scene, offer: Offer) -> list[Hit]:
    """Of a call whose tool is not among those offered."""
    step, trail = scene.step, scene.trail
    end = len(utf8(step.text))
    if not offer.tools and not offer.withdrawn:
        note = "no tool definitions were seen in this session"
        return [_hit(25 if trail.partial else 50, "no_definitions", note, end=end)]
    if _by_provider(step, offer):
        return []
    if step.tool in offer.withdrawn:
        return [_hit(50, "withdrawn_tool", "the tool was offered earlier, and is not any more", end=end)]
    if step.server_side:
        return [_hit(50, "undeclared_tool", "the provider ran a tool that was not declared here", end=end)]
    if trail.partial:
        return [_hit(50, "undeclared_tool", "the tool is not among the definitions that were seen", end=end)]
    return [_hit(90, "undeclared_tool", "the tool was never declared", end=end)]


def _by_provider(step: Part, offer: Offer) -> bool:
    """Whether a definition of a provider's own kind stands for this call under another name.

    A call of a server's tool is named `SERVER.TOOL` and its definition `SERVER`, or after its type; a built-in's
    type carries a version or `_preview` after the name its calls have.
    """
    tool = step.tool or ""
    server = tool.partition(".")[0] if "." in tool else None
    for name, (_, text) in offer.tools.items():
        named = name == server or (server is not None and name == "mcp_toolset") or (tool and name.startswith(tool))
        if named and (found := definitions.read(text)) is not None and found.form == "provider":
            return True
    return False


def _definition_hits(scene: Scene) -> Sequence[Hit]:
    """Of one definition, or one server's list of them, against what the session was told before."""
    step, trail = scene.step, scene.trail
    size = len(utf8(step.text))
    if size > SCANNED_BYTES:
        return [_hit(50, UNSCANNED, "the definition is longer than what is scanned of one step", end=size)]
    hits: list[Hit] = []
    for name, text in entries(step):
        found = definitions.read(text)
        if found is None:
            hits.append(_hit(50, "definition_unreadable", "the tool definition is not a JSON object", end=size))
            continue
        hits += _changes(name, found, trail, size)
        if found.schema is not None and found.form == "function":
            hits += _schema_hits(text, size)
    return hits[:_MOST_HITS]


def _changes(name: str, found: Definition, trail: Trail, size: int) -> list[Hit]:
    earlier = _earlier(name, trail)
    if earlier is None:
        told = any(part.kind == "tool_definitions" for part in trail.parts)
        begun = any(part.kind in _TALK for part in trail.parts)
        if not begun or (trail.partial and not told):
            return []
        return [_hit(25, "definition_added", "a tool appeared in the middle of the session", end=size)]
    source, text = earlier
    before = definitions.read(text)
    if before is None or (before.interface == found.interface and before.description == found.description):
        return []
    same = before.interface == found.interface
    label = "description_changed" if same else "definition_changed"
    place = Evidence(end=size, label=label, source=source, source_end=len(utf8(trail.parts[source].text)))
    note = "a tool is not what it was earlier in the session under the same name"
    return [Hit(score=75, state="violation", evidence=(place,), note=note)]


def _earlier(name: str, trail: Trail) -> tuple[int, str] | None:
    """The newest definition of that name in the trail: its place and its JSON text."""
    for at in range(len(trail.parts) - 1, -1, -1):
        part = trail.parts[at]
        if part.kind == "tool_definitions" and (part.tool is None or part.tool == name):
            for known, text in entries(part):
                if known == name:
                    return at, text
    return None


def _schema_hits(text: str, size: int) -> list[Hit]:
    try:
        _contract(text)
    except Unusable as why:
        place = Evidence(end=size, label=f"schema_{why}")
        return [Hit(score=50, state="error", evidence=(place,), note="the tool's schema cannot be applied")]
    return []


def _contract(text: str) -> Contract:
    """The compiled schema of a definition. Raises `Unusable`."""
    made = _remembered(text) if len(text) <= _REMEMBERED else _compile(text)
    if isinstance(made, str):
        raise Unusable(made)
    return made


def _compile(text: str) -> Contract | str:
    """A contract, or why there is none: an outcome that is remembered like the other."""
    definition = definitions.read(text)
    try:
        return Contract(None if definition is None else definition.schema)
    except Unusable as why:
        return str(why)


_remembered = lru_cache(maxsize=128)(_compile)


class _Repeated(Exception):
    """An object holds a key twice."""


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _Repeated


_KEYS: Final = json.JSONDecoder(object_pairs_hook=_distinct, strict=False)


def _repeats_a_key(text: str) -> bool:
    try:
        _KEYS.decode(text)
    except _Repeated:
        return True
    except (ValueError, RecursionError):
        pass
    return False


def _state(score: int) -> Literal["violation", "unsure"]:
    return "violation" if score >= _VIOLATION else "unsure"


def _hit(score: int, label: str, note: str, end: int = 0) -> Hit:
    return Hit(score=score, state=_state(score), evidence=(Evidence(end=end, label=label),), note=note)
