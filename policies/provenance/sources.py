"""Sources: the texts of a trail as provenance sees them, distrusted data on one side and the principals on the other.

A tool result on some wires has no tool name; it is joined to its call by `call_id`.
"""

from typing import Final

import msgspec

from policies.arguments import leaves
from policies.definitions import entries
from policies.provenance.folding import Folded, fold, folded, tight, tightened
from policies.provenance.intent import Intent, intent
from policies.provenance.layers import Layer, layers
from policies.provenance.localiser import Reading, read
from policies.provenance.memo import Memo
from policies.provenance.tools import Toolbox, toolbox
from policies.trail import Trail, answered
from policies.vocabulary.steps import Part, StepKind

PRINCIPALS: Final[frozenset[StepKind]] = frozenset({"user_input", "instructions"})
"""Kinds of steps whose words are the principals' own: the user and the application."""


class Source(msgspec.Struct, frozen=True):
    """One distrusted text of the trail."""

    index: int
    """Its place in the trail."""

    part: Part
    folded: Folded
    reading: Reading
    call: int | None
    """Place in the trail of the tool call that it answers."""


class Surroundings(msgspec.Struct, frozen=True):
    """Everything around a proposed call that provenance compares it with."""

    sources: tuple[Source, ...]
    principals: tuple[Folded, ...]
    turns: tuple[Intent, ...]
    """What each of the user's turns asks for."""

    toolbox: Toolbox
    declared: tuple[Folded, ...]
    """Tool definitions, folded: a value the application declared is no one's injection."""

    calls: tuple[tuple[int, Part], ...]
    """Earlier tool calls with their places in the trail."""


class Analyst:
    """Reads texts for provenance, each once: results are remembered by text, within a budget."""

    def __init__(self) -> None:
        self._fold = Memo(folded)
        self._tight = Memo(tight)
        self._tightened = Memo(tightened)
        self._read = Memo(read)
        self._intent = Memo(intent)
        self._layers = Memo(layers)
        self._values = Memo(_fetched_by)
        self._toolbox = Memo(_toolbox)

    def surroundings(self, trail: Trail, distrust: frozenset[StepKind]) -> Surroundings:
        """Sort a trail's parts by who speaks in them."""
        calls = tuple([(at, part) for at, part in enumerate(trail.parts) if part.kind == "tool_call"])
        by_place = answered(trail.parts)
        sources = [
            Source(at, part, self._fold(part.text), self._read(part.text), by_place.get(at))
            for at, part in enumerate(trail.parts)
            if part.kind in distrust and part.text
        ]
        said = [p for p in trail.parts if p.kind in PRINCIPALS and p.kind not in distrust]
        definitions = [p for p in trail.parts if p.kind == "tool_definitions"]
        return Surroundings(
            tuple(sources),
            tuple([self._fold(part.text) for part in said]),
            tuple([self._intent(part.text) for part in said if part.kind == "user_input"]),
            self._toolbox("\0".join([f"{name}\1{text}" for part in definitions for name, text in entries(part)])),
            tuple([self._fold(part.text) for part in definitions]),
            calls,
        )

    def reading(self, text: str) -> Reading:
        """The localiser's findings on one text."""
        return self._read(text)

    def tight(self, text: str) -> str:
        """A text's letters and digits alone."""
        return self._tight(text)

    def tightened(self, text: str) -> Folded:
        """The same with the way back."""
        return self._tightened(text)

    def layers(self, text: str) -> tuple[Layer, ...]:
        """What a text says once its encodings are undone."""
        return self._layers(text)

    def folded(self, text: str) -> Folded:
        """A text in the form in which values are compared."""
        return self._fold(text)

    def fetched_by(self, part: Part) -> tuple[str, ...]:
        """The folded values of a call's arguments: what a source was fetched by."""
        return self._values(part.text)


def _fetched_by(text: str) -> tuple[str, ...]:
    return tuple([fold(str(leaf.value)) for leaf in leaves(text)[:32] if not isinstance(leaf.value, bool | None)])


def _toolbox(joined: str) -> Toolbox:
    pairs = [entry.partition("\1") for entry in joined.split("\0")] if joined else []
    return toolbox([(name, text) for name, _, text in pairs])
