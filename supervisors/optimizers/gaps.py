"""Static analysis: what a set of policies leaves open, seen from itself and the tools there are, without a run.

A clause that says on whose word calls are made, but looks at some tools or some arguments alone, leaves the others
open: the proposal is to let it look at all. Everything else that `policies/analysis.py` says goes to people as it is.
"""

from collections.abc import Iterator

from policies.analysis import SINK_GUARDS, analyse
from policies.definitions import entries
from policies.guards.egress import EgressSpec
from policies.guards.provenance import ProvenanceSpec
from policies.guards.registry import kind_of
from policies.loader import reload
from policies.mistakes import Mistake
from policies.parameters import tags
from policies.rules import Selector
from policies.trail import UNTAGGED
from policies.vocabulary.clauses import Clause
from policies.vocabulary.revisions import AddGuard, Edit, Proposal, SetTools
from supervisors.optimizers.interface import Ideas, Task, behind, suggest
from supervisors.optimizers.thresholds import tunable


class Gaps:
    """Lets clauses look at what they leave open."""

    name = "gaps"

    def propose(self, task: Task) -> Ideas:
        """Clauses made wider: over every tool, then over every argument; both at once first."""
        offered = tools_of(task)
        found: list[Proposal] = []
        for name, clause in tunable(task):
            edits, why = self._wider(task, name, clause, offered)
            groups = [edits, *([edit] for edit in edits)] if len(edits) > 1 else [edits] if edits else []
            found += [suggest(self, task, group, support=behind(task.dev.episodes), why=why) for group in groups]
        return Ideas(proposals=tuple(found))

    def advice(self, task: Task) -> tuple[Mistake, ...]:
        """What is wrong with the set as a whole: for people, who alone can decide what was meant."""
        loaded = [reload(policy, policy.policy.id) for policy in task.parameters.policies]
        return analyse(loaded, {**dict.fromkeys(tools_of(task), ()), **tags(task.parameters)})

    def _wider(self, task: Task, name: str, clause: Clause, offered: frozenset[str]) -> tuple[list[Edit], str]:
        if "tool_call" not in clause.steps or not any(kind_of(spec).name in SINK_GUARDS for spec in clause.guards):
            return [], ""
        selector, tagged = Selector(clause), tags(task.parameters)
        unwatched = [tool for tool in offered if not selector.selects(tool, tagged.get(tool, UNTAGGED))]
        narrow = list(_narrow(clause))
        edits: list[Edit] = [AddGuard(clause=name, guard=spec) for spec in narrow]
        if unwatched:
            edits.append(SetTools(clause=name, tools=None))
        why = f"{len(unwatched)} of {len(offered)} tools are not watched; {len(narrow)} guards see some arguments only"
        return edits, why


def _narrow(clause: Clause) -> Iterator[ProvenanceSpec | EgressSpec]:
    """The whole guard beside each that sees a part, unless it stands there."""
    for spec in clause.guards:
        if isinstance(spec, ProvenanceSpec) and spec.sinks and ProvenanceSpec() not in clause.guards:
            yield ProvenanceSpec(distrust=spec.distrust)
            return


def tools_of(task: Task) -> frozenset[str]:
    """Every tool that a session was offered."""
    return frozenset(
        name
        for episode in task.dev.episodes
        for step in episode.steps
        if step.kind == "tool_definitions"
        for name, _ in entries(step)
    )
