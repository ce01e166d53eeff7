"""Decided: the examples of the clauses in force, as canaries for each seat of the supervisor."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from policies.asking import Asking
from policies.evaluate import Ruleset, ruleset_of
from policies.examples import scene_of, tags_of, threshold
from policies.guards.judge import divided
from policies.rules import Rule
from policies.vocabulary.clauses import Example
from policies.vocabulary.critiques import SEATS, Seat
from supervisors.canaries import Canary

Rulesets = Callable[[], Mapping[str, Ruleset]]


class Decided:
    """What authors decided of their examples, worked out once for each ruleset; satisfies `Known`."""

    def __init__(self, rulesets: Rulesets) -> None:
        """Works all out for the rulesets in force, since that takes a while. Used from one thread at a time."""
        self._rulesets = rulesets
        self._found: dict[str, tuple[Ruleset, Mapping[Seat, Sequence[Canary]]]] = {}
        for app in rulesets():
            self._of(app)

    def __call__(self, seat: Seat, app: str, clauses: Collection[str]) -> Sequence[Canary]:
        """The canaries there are of these clauses."""
        return [canary for canary in self._of(app).get(seat, ()) if canary.clause in clauses]

    def _of(self, app: str) -> Mapping[Seat, Sequence[Canary]]:
        rulesets = self._rulesets()
        ruleset = ruleset_of(rulesets, app)
        if ruleset is None:
            return {}
        known = self._found.get(app)
        if known is None or known[0] is not ruleset:
            known = self._found[app] = (ruleset, {seat: tuple(_canaries(ruleset, seat)) for seat in SEATS})
        return known[1]


def _canaries(ruleset: Ruleset, seat: Seat) -> Iterator[Canary]:
    for rule in ruleset.rules:
        for example in rule.clause.example:
            canary = _at_the_gate(ruleset, rule, example) if seat == "gate" else _for_the_monitor(rule, example)
            if canary is not None:
                yield canary


def _at_the_gate(ruleset: Ruleset, rule: Rule, example: Example) -> Canary | None:
    """An example as the gate would be asked about it, with the same facts; None where it would not be."""
    tagged = ruleset.tagged({**ruleset.tags, **tags_of(example, rule.clause)})
    sitting = tagged.sit(scene_of(example), clock=lambda: 0)
    case, _, _ = divided(() if sitting is None else sitting.questions(), Asking())
    if case is None or rule.name not in [charge.clause for charge in case.charges]:
        return None
    return Canary(
        clause=rule.name,
        expected=example.expect,
        least=threshold(rule.clause),
        scene=case.scene,
        facts=case.facts,
    )


def _for_the_monitor(rule: Rule, example: Example) -> Canary:
    return Canary(clause=rule.name, expected=example.expect, least=threshold(rule.clause), scene=scene_of(example))
