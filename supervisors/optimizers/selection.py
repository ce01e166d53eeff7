"""Library selection: of clauses that people wrote and nobody put in force here, those that would have helped."""

from typing import Final

import msgspec

from policies.digests import digest
from policies.guards.registry import is_asked
from policies.parameters import clauses
from policies.vocabulary.clauses import Clause
from policies.vocabulary.revisions import AddClause, Proposal
from supervisors.optimizers.effect import effect
from supervisors.optimizers.interface import Ideas, Task, behind, suggest

MOST: Final = 3
"""Clauses suggested at a time."""


class Selection:
    """Picks clauses; it never writes one."""

    name = "selection"

    def propose(self, task: Task) -> Ideas:
        """Clauses that judge more episodes rightly within the budget, the most first."""
        found: list[tuple[int, Proposal]] = []
        present = {digest(clause) for clause in clauses(task.parameters).values()}
        for name, clause in task.library.items():
            if digest(clause) in present or any(is_asked(spec) for spec in clause.guards):
                continue
            if (tried := self._tried(task, name, clause)) is not None:
                found.append(tried)
        return Ideas(proposals=tuple([proposal for _, proposal in sorted(found, key=lambda each: -each[0])[:MOST]]))

    def _tried(self, task: Task, name: str, clause: Clause) -> tuple[int, Proposal] | None:
        edit = AddClause(policy=task.parameters.policies[0].policy.id, clause=clause)
        said = effect(task, [edit])
        if said is None or said.gain <= 0 or not said.within(task.settings.guard_budget):
            return None
        support = msgspec.structs.replace(behind(said.mended), library=name)
        why = f"`{name}` judges {len(said.mended)} more recorded episodes rightly, {len(said.spoilt)} fewer"
        return said.gain, suggest(self, task, [edit], support=support, why=why)
