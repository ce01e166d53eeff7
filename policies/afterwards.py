"""Afterwards: what clauses ask of a supervisor that reads recorded steps, and what they make of what it says. Pure."""

from collections.abc import Collection, Iterable, Iterator

from policies.evaluate import Ruleset
from policies.guards.judge import Charge, JudgeSpec
from policies.rules import Rule, in_force
from policies.vocabulary.bands import outcome
from policies.vocabulary.critiques import Opinion
from policies.vocabulary.verdicts import ALLOW, Verdict, VerdictName, combine

_NO_CHANGE: frozenset[VerdictName] = frozenset({"redact", "rewrite"})


def charges_of(ruleset: Ruleset, clauses: Collection[str]) -> tuple[Charge, ...]:
    """What a supervisor holds steps against: these clauses by their own words, in policy order."""
    return tuple([_charge(rule) for rule in ruleset.rules if rule.name in clauses])


def judged_clauses(ruleset: Ruleset) -> tuple[str, ...]:
    """The clauses that ask a supervisor, in whatever seat; all there are where none does."""
    asking = tuple([rule.name for rule in ruleset.rules if any(_judges(rule))])
    return asking or tuple([rule.name for rule in ruleset.rules])


def sampled(ruleset: Ruleset, clause: str, share: float) -> bool:
    """Whether a step is read for a clause, by where its hash falls between 0 and 1."""
    rule = next((rule for rule in ruleset.rules if rule.name == clause), None)
    return rule is not None and any(spec.seat == "monitor" and share < spec.sample for spec in _judges(rule))


def ruling(ruleset: Ruleset, opinions: Iterable[Opinion]) -> Verdict:
    """What the bands of the clauses make of opinions.

    What is recorded can be changed no more, so a band that redacts or rewrites comes to a flag.
    """
    rules = {rule.name: rule for rule in ruleset.rules}
    return combine([_ruled(rules.get(opinion.clause), ruleset, opinion) for opinion in opinions])


def _ruled(rule: Rule | None, ruleset: Ruleset, opinion: Opinion) -> Verdict:
    band = None if rule is None or opinion.label == "ok" else rule.band(opinion.score)
    if rule is None or band is None:
        return ALLOW
    name = outcome(band)
    return in_force(rule, ruleset.settings, "flag" if name in _NO_CHANGE else name)


def _charge(rule: Rule) -> Charge:
    guidance = dict.fromkeys([text for text in (*[spec.guidance for spec in _judges(rule)], rule.guidance) if text])
    return Charge(
        clause=rule.name,
        text=rule.clause.text,
        guidance=" ".join(guidance),
        severity=rule.clause.severity,
        seat="monitor",
    )


def _judges(rule: Rule) -> Iterator[JudgeSpec]:
    return (spec for spec in rule.clause.guards if isinstance(spec, JudgeSpec))
