"""Places: the clause that a learned guard is put beside."""

from policies.parameters import tags
from policies.rules import Selector
from policies.trail import UNTAGGED
from policies.vocabulary.bands import outcome
from policies.vocabulary.clauses import Clause
from policies.vocabulary.findings import Score
from policies.vocabulary.verdicts import STRENGTH
from supervisors.optimizers.interface import Task
from supervisors.optimizers.thresholds import tunable


def place_for_calls(task: Task, tools: frozenset[str]) -> tuple[str, Score] | None:
    """The clause that stops calls and selects most of these tools, and the lowest score at which it stops them."""
    tagged = tags(task.parameters)
    found: list[tuple[int, str, Score]] = []
    for name, clause in tunable(task):
        at = _stops_from(clause)
        if at is not None and clause.steps == ("tool_call",):
            selector = Selector(clause)
            covered = sum(selector.selects(tool, tagged.get(tool, UNTAGGED)) for tool in tools)
            found.append((covered, name, at))
    if not found:
        return None
    covered, name, at = max(found, key=lambda each: each[0])
    return (name, at) if covered else None


def _stops_from(clause: Clause) -> Score | None:
    """The lowest score at which the clause stops a step, whoever could be asked besides."""
    return min((band.at for band in clause.action if STRENGTH[outcome(band)] >= STRENGTH["hold"]), default=None)
