"""Threshold search: where the acting band of each clause should begin, at a fixed budget of honest episodes disturbed.

The cheapest improvement there is, and the one to try before anything that writes text.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policies.guards.registry import is_asked
from policies.parameters import clauses
from policies.vocabulary.bands import Band
from policies.vocabulary.clauses import Clause
from policies.vocabulary.revisions import Edit, Proposal, SetBands
from supervisors.optimizers.effect import Effect, effect
from supervisors.optimizers.interface import Ideas, Task, behind, suggest

GRID: Final = (30, 40, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95)
"""Scores at which the band may begin: those that guards give, and between."""

NEARLY: Final = 0.9
"""Of the best there is, what is good enough: the mildest place that wins so much. The last few are chance."""


class Thresholds:
    """Moves the strongest band of one clause at a time."""

    name = "thresholds"

    def propose(self, task: Task) -> Ideas:
        """The best place of each clause's strongest band, most episodes won first."""
        found = [best for name, clause in tunable(task) if (best := self._best(task, name, clause))]
        return Ideas(proposals=tuple([proposal for _, proposal in sorted(found, key=lambda each: -each[0])]))

    def _best(self, task: Task, name: str, clause: Clause) -> tuple[int, Proposal] | None:
        tried = [(at, edit, effect(task, [edit])) for at, edit in moves(name, clause)]
        kept = [
            (said.gain, at, edit, said)
            for at, edit, said in tried
            if said is not None and said.gain > 0 and said.within(task.settings.guard_budget)
        ]
        if not kept:
            return None
        enough = max(gain for gain, *_ in kept) * NEARLY
        gain, at, edit, said = max((each for each in kept if each[0] >= enough), key=lambda each: each[1])
        return gain, self._suggested(task, edit, at, said)

    def _suggested(self, task: Task, edit: Edit, at: int, said: Effect) -> Proposal:
        why = f"acting from {at} on judges {len(said.mended)} more recorded episodes rightly, {len(said.spoilt)} fewer"
        return suggest(self, task, [edit], support=behind(said.mended), why=why)


def tunable(task: Task) -> Iterator[tuple[str, Clause]]:
    """The clauses in force that an edit may touch, and whose guards a replay can run."""
    for name, clause in clauses(task.parameters).items():
        if not clause.protected and clause.mode == "enforce" and not any(is_asked(spec) for spec in clause.guards):
            yield name, clause


def moves(name: str, clause: Clause) -> Iterator[tuple[int, Edit]]:
    """The clause's strongest band begun elsewhere; milder bands that would stand above it go."""
    strongest = max(clause.action, key=lambda band: band.at)
    if strongest.do == "flag":
        return
    for at in GRID:
        if at != strongest.at:
            yield at, SetBands(clause=name, action=moved(clause, strongest, at))


def moved(clause: Clause, band: Band, at: int) -> tuple[Band, ...]:
    """The bands of a clause with one begun at another score."""
    below = [each for each in clause.action if each != band and each.at < at]
    return (msgspec.structs.replace(band, at=at), *sorted(below, key=lambda each: -each.at))
