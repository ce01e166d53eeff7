"""Baselines: what an optimizer has to be better than. To do nothing, to do anything, to do the same everywhere."""

import random

from policies.vocabulary.revisions import DeleteClause, Edit, SetMode, SetTools
from supervisors.optimizers.interface import Ideas, Task, behind, suggest
from supervisors.optimizers.thresholds import moves, tunable

SWEEP = 75
"""The anchor of a likely violation: where the sweep lets every clause act."""


class NoOp:
    """Proposes nothing."""

    name = "no-op"

    def propose(self, task: Task) -> Ideas:
        """Nothing."""
        del task
        return Ideas()


class RandomEdit:
    """Proposes some edit of some clause."""

    name = "random-edit"

    def propose(self, task: Task) -> Ideas:
        """One edit, drawn by the task's seed."""
        edits = [edit for name, clause in tunable(task) for _, edit in moves(name, clause)]
        for name, _ in tunable(task):
            others: list[Edit] = [SetTools(clause=name, tools=None), SetMode(clause=name, mode="shadow")]
            edits += [*others, DeleteClause(clause=name)]
        if not edits:
            return Ideas()
        edit = random.Random(task.seed).choice(edits)  # noqa: S311 - a baseline, not a secret
        return Ideas(proposals=(suggest(self, task, [edit], support=behind(task.dev.episodes), why="drawn by lot"),))


class Sweep:
    """Lets every clause act from the same score on."""

    name = "sweep"

    def propose(self, task: Task) -> Ideas:
        """One proposal for all clauses."""
        edits = [edit for name, clause in tunable(task) for at, edit in moves(name, clause) if at == SWEEP]
        edits = edits[: task.settings.most_edits]
        if not edits:
            return Ideas()
        why = f"every clause from {SWEEP} on"
        return Ideas(proposals=(suggest(self, task, edits, support=behind(task.dev.episodes), why=why),))
