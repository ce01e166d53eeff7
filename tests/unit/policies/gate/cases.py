"""Cases before the gate whose trials are given, not run."""

from collections.abc import Sequence
from typing import Any

import msgspec

from policies.gate.case import Approval, Case, Opinion, Pair, ShadowTally
from policies.gate.ladder import case_of
from policies.vocabulary.bands import Band
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.revisions import AddLine, Edit, Line, Parameters, Proposal, SetBands, Support
from tests.unit.policies.revised import parameters

STRICTER = SetBands(clause="p/rule", action=(Band(at=60, do="reject"),))
SUPPORT = Support(sessions=("s1", "s2", "s3"), principals=("anna", "ben"))
AGREED = Approval(by="anna", agreed=True, reason="seen")


def pairs(wins: int = 0, losses: int = 0, same: int = 0) -> list[Pair]:
    values = [(0.0, 1.0)] * wins + [(1.0, 0.0)] * losses + [(1.0, 1.0)] * same
    return [Pair(f"i{at}", before, after) for at, (before, after) in enumerate(values)]


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """Trials that came out so."""

    wrong: tuple[int, int] = (40, 200)
    mini: Sequence[Pair] = tuple(pairs(5, 1, 20))
    kept: Sequence[Pair] = tuple(pairs(30, 2, 168))
    marked: Sequence[Pair] = tuple(pairs(same=10))
    clean: Sequence[Pair] = tuple(pairs(same=400))
    opinions: Sequence[Opinion] | None = None

    def headroom(self) -> tuple[int, int]:
        return self.wrong

    def minibatch(self) -> Sequence[Pair]:
        return self.mini

    def holdout(self) -> Sequence[Pair]:
        return self.kept

    def anchors(self) -> Sequence[Pair]:
        return self.marked

    def honest(self) -> Sequence[Pair]:
        return self.clean

    def second(self) -> Sequence[Opinion] | None:
        return self.opinions


def proposal(*edits: Edit, start: Parameters | None = None, **fields: Any) -> Proposal:
    base = start or parameters()
    given = {"author": "optimizer:test", "support": SUPPORT} | fields
    return Proposal(app=base.app, parent=base.digest, edits=edits or (STRICTER,), **given)


def case(
    *edits: Edit,
    start: Parameters | None = None,
    trials: Given | None = None,
    of: dict[str, Any] | None = None,
    **fields: Any,
) -> Case:
    """A case that every rung lets pass, but for what is given: `of` of its proposal, `fields` of the case."""
    base = start or parameters()
    known: dict[str, Any] = {
        "shadow": ShadowTally(requests=500, since_ns=0, extra=1),
        "now_ns": GateSettings().shadow_ns,
        "settings": GateSettings(),
    }
    return case_of(proposal(*edits, start=base, **(of or {})), base, trials or Given(), **(known | fields))


def line(text: str) -> AddLine:
    return AddLine(line=Line(id="learned", text=text))
