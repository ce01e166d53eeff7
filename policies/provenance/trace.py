"""The trace of a proposed call: for each argument value, where it came from and what stands around it there.

Facts only; what follows from them is the guard's business.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from policies.arguments import Leaf
from policies.provenance import delegation, lexicon, matching
from policies.provenance.atoms import WEAK, Atom, AtomKind, atoms
from policies.provenance.folding import Folded
from policies.provenance.intent import entailment, read_only
from policies.provenance.localiser import Passage
from policies.provenance.mood import is_order
from policies.provenance.sources import Analyst, Source, Surroundings
from policies.provenance.tools import Tool, acts
from policies.provenance.utterance import utterance
from policies.trail import Trail
from policies.vocabulary.steps import Part

Grade: TypeAlias = Literal[0, 1, 2, 3]
"""How a value stands in a source: 0 in plain data, 1 beyond what was read, 2 in an order, 3 in an order that is plainly
addressed to an assistant."""

QUOTED_WORDS: Final = 5
"""An argument quotes a passage, and does not obey it, if it is itself an order and holds half of the passage's runs of
so many words."""

LONGEST_QUOTE: Final = 4096
"""Characters of an argument that are compared with a passage."""

MOST_PASSAGES: Final = 256
"""Passages, latest source first, that are compared with a call that carries no value of theirs."""


class Place(msgspec.Struct, frozen=True):
    """One occurrence of a value in a distrusted source."""

    source: Source
    start: int
    end: int
    """Character offsets of the value."""

    passage: Passage | None
    grade: Grade


class Origin(msgspec.Struct, frozen=True):
    """One value of the call that only distrusted text named, at its lowest-graded occurrence."""

    leaf: Leaf
    atom: Atom
    place: Place
    match: float
    """How well the passage calls for this tool, 0 to 1."""

    named: bool
    """The user named the source, by a value that it was fetched by."""


class Heeded(msgspec.Struct, frozen=True):
    """A passage that a call may follow without taking any value from it."""

    source: Source
    passage: Passage
    match: float
    """How well it calls for the tool, 0 to 1."""

    grade: Grade


class Trace(msgspec.Struct, frozen=True):
    """Everything known about one proposed call."""

    tool: Tool
    acts: bool
    read_only: bool
    entailed: float
    """How well the user's words call for this tool, 0 to 1."""

    voiced: bool
    """The user's words hold the tool's verb, in a place where grammar need not show that he asks for it."""

    mandate: bool
    """The user left it to some text what is done."""

    manner: bool
    """The user left it to some text how the thing he named is done."""

    own: int
    """Values of the call that the user or the application said."""

    values: int
    """Values of the call that can be traced at all."""

    origins: tuple[Origin, ...]
    """Values that stand only in distrusted text that gives orders (or in text nobody read)."""

    heeded: Heeded | None
    """The passage, in any source, that calls for this tool best."""

    first_use: int | None
    """Place in the trail of the first call of this tool; None where there was none."""

    def known_before(self, source: Source) -> bool:
        """Whether the agent used this tool before a source came: then using it again shows little."""
        return self.first_use is not None and self.first_use < source.index


def trace(step: Part, leaves: Sequence[Leaf], trail: Trail, around: Surroundings, analyst: Analyst) -> Trace:
    """Trace the given leaves of a proposed call."""
    tool = around.toolbox.tool(step.tool)
    turns = list(around.turns)
    acting = acts(tool, trail.tags_of(step.tool))
    names_users = any(turn.names_users for turn in turns)
    own = values = 0
    origins: list[Origin] = []
    for leaf in leaves:
        for atom in atoms(leaf.value):
            values += 1
            if said(atom, around.principals) or _declared(atom, around.declared):
                own += 1
                continue
            place = lowest(atom, around, analyst, names_users)
            if place is None or place.grade == 0 or _quotes(leaf, place):
                continue
            known = named(place.source, around, analyst)
            concepts = place.passage.concepts if place.passage else frozenset[str]()
            words = _text(place.passage, place.source)
            match = around.toolbox.match(tool, concepts, words)
            origins.append(Origin(leaf, atom, place, match, known))
    return Trace(
        tool,
        acting,
        read_only(turns),
        entailment(turns, around.toolbox, tool, acting=acting),
        any(not tool.verb.isdisjoint(sentence) for turn in turns for sentence in turn.sentences),
        any(delegation.mandate(turn.lower) for turn in turns),
        any(delegation.manner(turn.lower) for turn in turns),
        own,
        values,
        tuple(origins),
        _heeded(tool, around, names_users),
        next((at for at, part in around.calls if part.tool == step.tool), None),
    )


def _text(passage: Passage | None, source: Source) -> str:
    return source.part.text[passage.start : passage.end].lower() if passage else ""


def said(atom: Atom, texts: Iterable[Folded]) -> bool:
    """Whether a principal said the value. A bare host covers its paths; a host inside a longer URL does not."""
    for text in texts:
        for start, end in matching.places(atom, text):
            del start
            if atom.kind != "url" or "/" not in atom.text or atom.text in text.text:
                return True
            if end >= len(text.text) or text.text[end : end + 1] != "/":
                return True
    return False


def _declared(atom: Atom, texts: Iterable[Folded]) -> bool:
    """Whether a tool definition holds the value: an option, a default, an example."""
    return atom.kind in {"name", "id"} and any(atom.text in text.text for text in texts)


def lowest(atom: Atom, around: Surroundings, analyst: Analyst, names_users: bool) -> Place | None:  # noqa: FBT001 - a fact
    """The occurrence that speaks least for an order; what the agent itself brought up has no origin here."""
    found: list[Place] = []
    for source in around.sources:
        spans = matching.places(atom, source.folded)
        found += [_place(source, start, end, names_users) for start, end in spans]
    if not found and (core := matching.core(atom)):
        for source in around.sources:
            if core in analyst.tight(source.part.text):
                spans = matching.tight_places(atom, analyst.tightened(source.part.text))
                found += [_place(source, start, end, names_users) for start, end in spans]
    if not found and atom.kind not in WEAK:
        found = [place for source in around.sources for place in _decoded(atom, source, analyst, names_users)]
    if not found:
        return None
    used = next((at for at, part in around.calls if atom.forms[0] in analyst.folded(part.text).text), None)
    if used is not None:
        # A result that repeats what an earlier call sent says nothing about where that came from.
        found = [place for place in found if place.source.index < used]
    return min(found, key=lambda place: place.grade, default=None)


def _decoded(
    atom: Atom,
    source: Source,
    analyst: Analyst,
    names_users: bool,  # noqa: FBT001 - a fact
) -> Iterator[Place]:
    """Occurrences in what a source says once its encodings are undone."""
    text = source.part.text
    for layer in analyst.layers(text):
        for start, end in matching.places(atom, layer.folded):
            passage = layer.passage(text, analyst.reading(layer.view.text).at(start))
            grade: Grade = _grade(passage, names_users) if passage else 0
            yield Place(source, *layer.origin(text, start, end), passage, grade)


def _place(source: Source, start: int, end: int, names_users: bool) -> Place:  # noqa: FBT001 - a fact
    passage = source.reading.at(start)
    if passage is None:
        return Place(source, start, end, None, 0 if start < source.reading.scanned else 1)
    return Place(source, start, end, passage, _grade(passage, names_users))


def _grade(passage: Passage, names_users: bool) -> Grade:  # noqa: FBT001 - a fact
    if not passage.ordering:
        return 0
    return 3 if passage.addressed or (passage.about_user and not names_users) else 2


def _quotes(leaf: Leaf, place: Place) -> bool:
    """Whether the argument repeats the order itself: the name of a thing that is so called, or a report of it."""
    if place.passage is None or not isinstance(leaf.value, str):
        return False
    around = lexicon.words(place.source.part.text[place.passage.start : place.passage.end])[:200]
    said = lexicon.words(leaf.value[:LONGEST_QUOTE])
    if len(said) < QUOTED_WORDS or not is_order(utterance(leaf.value[:LONGEST_QUOTE])):
        return False
    run = " ".join(said)
    windows = [" ".join(around[at : at + QUOTED_WORDS]) for at in range(max(1, len(around) - QUOTED_WORDS + 1))]
    return sum(window in run for window in windows) * 2 >= len(windows)


def named(source: Source, around: Surroundings, analyst: Analyst) -> bool:
    """Whether the user named a source, by a value of the call that fetched it."""
    call = next((part for at, part in around.calls if at == source.call), None)
    return call is not None and delegation.named(list(around.turns), list(analyst.fetched_by(call)))


def _heeded(tool: Tool, around: Surroundings, names_users: bool) -> Heeded | None:  # noqa: FBT001 - a fact
    best: Heeded | None = None
    left = MOST_PASSAGES
    for source in reversed(around.sources):
        for passage in source.reading.passages[:left]:
            left -= 1
            if not passage.ordering or passage.concepts.isdisjoint(tool.verb):
                continue
            match = around.toolbox.match(tool, passage.concepts, _text(passage, source))
            grade = _grade(passage, names_users)
            if best is None or (match, grade) > (best.match, best.grade):
                best = Heeded(source, passage, match, grade)
        if left <= 0:
            break
    return best


def kinds(origins: Iterable[Origin]) -> frozenset[AtomKind]:
    """The kinds of the traced values."""
    return frozenset(origin.atom.kind for origin in origins)
