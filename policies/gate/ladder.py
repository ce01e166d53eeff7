"""The ladder itself: the rungs in order. A proposal stops at the first that does not let it pass."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from policies.directions import direction
from policies.gate.case import Case, Trials
from policies.gate.lint import lint
from policies.gate.live import approval, canary, rollback, shadow
from policies.gate.offline import anchors, fp_budget, headroom, holdout, minibatch, second_opinion
from policies.parameters import EditRefused, apply
from policies.vocabulary.ladder import Climb, Decision, RungName
from policies.vocabulary.revisions import Parameters, Proposal

Rung: TypeAlias = Callable[[Case], Decision]

RUNGS: Final[Mapping[RungName, Rung]] = {
    "rollback": rollback,
    "lint": lint,
    "headroom": headroom,
    "minibatch": minibatch,
    "holdout": holdout,
    "anchors": anchors,
    "fp_budget": fp_budget,
    "second_opinion": second_opinion,
    "shadow": shadow,
    "approval": approval,
    "canary": canary,
}
"""The memory of what was taken back comes first: it is the cheapest to ask."""

OFFLINE: Final[tuple[RungName, ...]] = (
    "rollback", "lint", "headroom", "minibatch", "holdout", "anchors", "fp_budget", "second_opinion",
)  # fmt: skip
"""What can be said without live traffic and without a person."""

LADDER: Final[tuple[RungName, ...]] = tuple(RUNGS)


def case_of(proposal: Proposal, parent: Parameters, trials: Trials, **known: Any) -> Case:
    """A proposal, applied and told in which direction it goes; `known` are the other fields of a case."""
    try:
        child, refusal = apply(parent, proposal.edits), None
        way = direction(parent, proposal.edits)
    except EditRefused as refused:
        child, refusal, way = None, refused.why, "loosens"
    return Case(
        proposal=proposal, parent=parent, child=child, refusal=refusal, direction=way, trials=trials, **known
    )  # fmt: skip


def climb(case: Case, rungs: Iterable[RungName] = LADDER, earlier: Iterable[Decision] = ()) -> Climb:
    """Ask one rung after the other. `earlier`: decisions of a climb that waited; those that let it pass stand."""
    decisions = [decision for decision in earlier if decision.stands]
    decided = {decision.rung for decision in decisions}
    for name in rungs:
        if name not in decided:
            decisions.append(RUNGS[name](case))
            if not decisions[-1].stands:
                break
    return Climb(
        proposal=case.proposal.digest,
        parent=case.parent.digest,
        child=None if case.child is None else case.child.digest,
        direction=case.direction,
        decisions=tuple(decisions),
    )


def without(rung: RungName) -> tuple[RungName, ...]:
    """The ladder with one rung off, to see what it is good for."""
    return tuple([name for name in LADDER if name != rung])
