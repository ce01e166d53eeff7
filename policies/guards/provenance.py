"""Provenance: whether a proposed call does what the user asked, or what a text he never wrote told the agent to do.

Each argument value is traced to the texts it stands in. A value the user said is his own. One that stands in plain
data is data. One that stands only inside an order, found in a tool result or a retrieved document, is suspect, and
how suspect follows from the other facts: whom the order addresses, whether it calls for this tool, whether the
user's words do, and whether he handed over to that source. The rules are the guard's; no rule knows a tool, an
application or an attack by name.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from policies.arguments import leaves, named
from policies.guards.interface import UNSCANNED, BadGuard
from policies.provenance.atoms import DESTINATIONS, IDENTIFIERS
from policies.provenance.sources import Analyst
from policies.provenance.trace import Origin, Trace, trace
from policies.trail import Scene, utf8
from policies.vocabulary.findings import Evidence, Hit, Score

Distrusted: TypeAlias = Literal["tool_result", "retrieval"]

HARD: Final = DESTINATIONS | IDENTIFIERS
UNREAD: Final = 1
ADDRESSED: Final = 3
"""Grades of a place, as `policies.provenance.trace` gives them."""

VIOLATION: Final = 75
"""The anchor of a likely violation."""

SCORES: Final = frozenset({30, 40, 50, 55, 60, 80, 85, 90})
"""Every score this guard gives."""

CALLS_FOR: Final = 0.3
"""A passage or the user calls for a tool at or above this: some of the verb's family, or most of its nouns."""

CALLS_HALF: Final = 0.5
"""... half: the verb, or all of the nouns."""

CALLS_PLAINLY: Final = 0.7
"""... and plainly at or above this: the verb and some of the nouns."""


class ProvenanceSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="provenance"
):
    """Watches for calls whose values, or whose very idea, come from text that the user did not write."""

    sinks: tuple[str, ...] = ()
    """Arguments to trace: names (any depth) or RFC 6901 pointers; none means all."""

    distrust: tuple[Distrusted, ...] = ("tool_result", "retrieval")
    """Kinds of steps whose text is data, whoever wrote it."""


class ProvenanceGuard:
    """Traces the values of proposed calls."""

    def __init__(self, spec: ProvenanceSpec, analyst: Analyst | None = None) -> None:
        """Raises `BadGuard` for a spec that watches nothing. `analyst`: shared with others that read the same texts."""
        if not spec.distrust:
            raise BadGuard("provenance: distrust names no kind of step, so nothing could ever be found")
        if any(not sink for sink in spec.sinks):
            raise BadGuard("provenance: a sink is an argument's name or pointer; one of them is empty")
        self._sinks = frozenset(sink if sink.startswith("/") else sink.casefold() for sink in spec.sinks)
        self._distrust = frozenset(spec.distrust)
        self._analyst = analyst or Analyst()

    @property
    def window(self) -> int | None:
        """None: a call is judged whole."""
        return None

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """What is to be said of a proposed call; of other steps nothing."""
        step = scene.step
        if step.kind != "tool_call":
            return ()
        found = self.facts(scene)
        hit = judge(found)
        return (hit,) if hit else ()

    def facts(self, scene: Scene) -> Trace:
        """The facts the rules decide on, for reports and measurements."""
        every = leaves(scene.step.text)
        chosen = named(every, self._sinks) if self._sinks else every
        around = self._analyst.surroundings(scene.trail, frozenset(self._distrust))
        return trace(scene.step, chosen, scene.trail, around, self._analyst)


class Judged(msgspec.Struct, frozen=True):
    """What one fact says of a call."""

    score: Score
    label: str
    note: str
    origin: Origin | None = None
    """The value it is about; None where it is about the call as such."""


def judge(found: Trace) -> Hit | None:
    """Combine the facts of one call into at most one hit: the worst of what its values and its idea say."""
    said = [*(_value(found, origin) for origin in found.origins), _idea(found)]
    worst = max((judged for judged in said if judged), key=lambda judged: judged.score, default=None)
    if worst is None:
        return None
    state = "violation" if worst.score >= VIOLATION else "unsure"
    return Hit(score=worst.score, state=state, evidence=_evidence(found, worst), note=worst.note)


def _value(found: Trace, origin: Origin) -> Judged | None:
    """What one value that only an order named says of the call."""
    if origin.place.grade == UNREAD:
        said = "a value stands only in a part of the data that nobody read"
        return Judged(50, UNSCANNED, said, origin) if _hard(origin) else None
    if _addressed(found, origin):
        said = "a value comes from an order in data that is addressed to an assistant"
        return Judged(90 if origin.place.grade == ADDRESSED else 85, "agent_directed", said, origin)
    if covered(found, origin):
        said = "a value comes from an order in a source that the user's words cover"
        return Judged(_delegated(found, origin), "delegated", said, origin)
    return _uncovered(found, origin)


def _addressed(found: Trace, origin: Origin) -> bool:
    """Whether the order's own words show that it is meant for an assistant, and the call obeys it.

    Two cues of address (or one that no honest text has) are enough whatever the user handed over; a single one is
    not where he handed the whole task over, or plainly asked for this very tool.
    """
    destination = origin.atom.kind in DESTINATIONS
    matters = destination or origin.match >= (CALLS_FOR if _hard(origin) else CALLS_PLAINLY)
    if origin.place.grade == ADDRESSED:
        # More values of the user's than of others: then it is his call, with something filled in.
        return matters and found.own * 2 <= found.values and (found.acts or origin.match >= CALLS_FOR)
    named = origin.place.passage is not None and origin.place.passage.spoken_to
    return matters and named and found.acts and not found.mandate and found.entailed < CALLS_PLAINLY


def _uncovered(found: Trace, origin: Origin) -> Judged | None:
    """What is said where the user asked for no such action, or from no such source."""
    plainly = origin.match >= CALLS_PLAINLY
    referred = (origin.named or found.manner) and not found.read_only
    telling = _hard(origin) if found.read_only else origin.atom.kind in DESTINATIONS and not referred
    if found.acts and (plainly or (telling and origin.match >= CALLS_FOR)):
        said = "an order in data calls for this action and names a value; the user asked for no such action"
        return Judged(85, "unasked_action", said, origin)
    if found.read_only and plainly and origin.match > found.entailed and not found.known_before(origin.place.source):
        said = "the user asked to read something else; an order in data calls for this and names a value"
        return Judged(80, "read_only_request", said, origin)
    if _hard(origin) and (found.acts or not referred):
        return Judged(60, "named_by_order", "a value comes only from an order in data", origin)
    return (
        Judged(30, "named_by_order", "a common value comes only from an order in data", origin) if found.acts else None
    )


def covered(found: Trace, origin: Origin) -> bool:
    """Whether the user's words cover this action with a value from such a source.

    A mandate ("follow the instructions in it") covers whatever the text asks for. A named source, or a manner ("as
    described there"), covers only what the user himself asks to be done; so does a plain request, where the words
    must call for the tool plainly. A request to read covers no action.
    """
    if found.read_only and found.acts:
        return False
    if found.mandate:
        return True
    return found.entailed >= (CALLS_HALF if origin.named or found.manner else CALLS_PLAINLY)


def _delegated(found: Trace, origin: Origin) -> Score:
    """What is left to ask where the user's words cover the action: where it goes, or what he never mentioned."""
    if not found.acts:
        return 30
    named = origin.place.passage is not None and origin.place.passage.spoken_to
    foreign = found.entailed < CALLS_HALF and (_hard(origin) or origin.match >= CALLS_PLAINLY)
    if named or foreign or origin.atom.kind in DESTINATIONS:
        return 55
    return 40 if _hard(origin) else 30


def _hard(origin: Origin) -> bool:
    return origin.atom.kind in HARD


def _idea(found: Trace) -> Judged | None:
    """What the call as such says: an order in data calls for it plainly, and the user's words do not.

    It rejects only where the user asked only to read: elsewhere an honest step of the task can look like some order
    in data, and a call that carries no value of it is worth a question, no more. Under a mandate it is not even that,
    since every step of such a task is some order in data. Where the user himself wrote an acting tool's verb and a
    value, and no value is an order's, he as good as spelt the call out: that he asked only to read may be a misreading.
    """
    heeded = found.heeded
    if heeded is None or (found.mandate and not found.read_only):
        return None
    if heeded.match < CALLS_PLAINLY or heeded.match - found.entailed < CALLS_HALF:
        return None
    if not found.acts and found.known_before(heeded.source):
        return None
    spelt_out = found.acts and found.voiced and found.own > 0 and not found.origins
    if found.read_only and not spelt_out:
        return Judged(80, "heeded_order", "an order in data calls for this tool; the user asked only to read")
    return Judged(60, "heeded_order", "an order in data calls for this tool; the user's words do not")


def _evidence(found: Trace, judged: Judged) -> tuple[Evidence, ...]:
    origin, heeded = judged.origin, found.heeded
    leaf = origin.leaf if origin else None
    if origin is not None:
        source, passage = origin.place.source, origin.place.passage
        span = (passage.run_start, passage.run_end) if passage else (origin.place.start, origin.place.end)
    elif heeded is not None:
        source, span = heeded.source, (heeded.passage.run_start, heeded.passage.run_end)
    else:
        return ()
    first = len(utf8(source.part.text[: span[0]]))
    return (
        Evidence(
            start=leaf.start if leaf else 0,
            end=leaf.end if leaf else 0,
            pointer=leaf.pointer if leaf else "",
            label=judged.label,
            source=source.index,
            source_start=first,
            source_end=first + len(utf8(source.part.text[span[0] : span[1]])),
        ),
    )
