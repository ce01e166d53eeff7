"""Origins: for every value of a proposed call, who said it first. Facts for a judge that is not shown what they said.

Told is the worst of what a value's parts say: that one stands in an order in data outweighs that others are the user's.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from policies.arguments import Leaf
from policies.provenance import delegation, matching
from policies.provenance.atoms import Atom, atoms
from policies.provenance.folding import Folded
from policies.provenance.sources import Analyst, Surroundings
from policies.provenance.trace import Place, lowest, named, said
from policies.trail import Trail
from policies.vocabulary.facts import OriginKind, ValueOrigin
from policies.vocabulary.steps import StepKind

MOST_LEAVES: Final = 32
MOST_ATOMS: Final = 16
"""Values of a call, and parts of a value, whose origin is told; the first ones."""

_ORDERED: Final = 2
"""The grade from which on a value stands in an order, as `policies.provenance.trace` gives them."""

_WORST: Final[tuple[OriginKind, ...]] = ("tool_result", "retrieval", "novel", "agent", "system", "user")


def origins(leaves: Sequence[Leaf], trail: Trail, around: Surroundings, analyst: Analyst) -> tuple[ValueOrigin, ...]:
    """Where the values of a call come from; none is told of a value that could be anybody's (`true`, `5`)."""
    teller = _Teller(trail, around, analyst)
    return tuple(islice(filter(None, map(teller.of, leaves)), MOST_LEAVES))


class _Teller:
    """What is the same for all values of one call."""

    def __init__(self, trail: Trail, around: Surroundings, analyst: Analyst) -> None:
        self._around = around
        self._analyst = analyst
        self._user = self._folded(trail, "user_input")
        self._system = self._folded(trail, "instructions")
        turns = around.turns
        self._names_users = any(turn.names_users for turn in turns)
        self._handed_over = any(delegation.mandate(turn.lower) or delegation.manner(turn.lower) for turn in turns)

    def of(self, leaf: Leaf) -> ValueOrigin | None:
        """The worst of the parts of one value."""
        found = [self._atom(leaf, atom) for atom in islice(atoms(leaf.value), MOST_ATOMS)]
        return min(found, key=lambda each: (not each.in_order, _WORST.index(each.origin)), default=None)

    def _folded(self, trail: Trail, kind: StepKind) -> Sequence[Folded]:
        return [self._analyst.folded(part.text) for part in trail.parts if part.kind == kind]

    def _atom(self, leaf: Leaf, atom: Atom) -> ValueOrigin:
        if said(atom, self._user):
            return ValueOrigin(pointer=leaf.pointer, origin="user")
        if said(atom, self._system):
            return ValueOrigin(pointer=leaf.pointer, origin="system")
        place = lowest(atom, self._around, self._analyst, self._names_users)
        if place is not None:
            return self._placed(leaf, place)
        called = any(self._stands(atom, part.text) for _, part in self._around.calls)
        return ValueOrigin(pointer=leaf.pointer, origin="agent" if called else "novel")

    def _stands(self, atom: Atom, text: str) -> bool:
        return bool(matching.places(atom, self._analyst.folded(text)))

    def _placed(self, leaf: Leaf, place: Place) -> ValueOrigin:
        source = place.source
        tool = source.part.tool or next(self._tools(source.call), None)
        return ValueOrigin(
            pointer=leaf.pointer,
            origin="retrieval" if source.part.kind == "retrieval" else "tool_result",
            tool=tool,
            delegated=self._handed_over or named(source, self._around, self._analyst),
            in_order=place.grade >= _ORDERED,
        )

    def _tools(self, call: int | None) -> Iterator[str]:
        calls: Iterable[str | None] = (part.tool for at, part in self._around.calls if at == call)
        return (tool for tool in calls if tool)
