"""Rules: clauses, ready to run, and how strong what they say may be for their app."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from policies.conditions import Condition
from policies.digests import digest
from policies.guards.judge import AT_THE_GATE, Charge, JudgeSpec
from policies.tools import tool_matches
from policies.vocabulary.bands import Band, outcome
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import StepKind
from policies.vocabulary.verdicts import STRENGTH, ReasonCode, Verdict, VerdictName

if TYPE_CHECKING:  # the kinds of guards and their libraries weigh 13 MB, which judging nothing needs none of
    from policies.vocabulary.clauses import Clause


SUPERVISED: Final[frozenset[StepKind]] = frozenset({"tool_call", "tool_result"})
"""Steps that belong to a tool, so that tool selectors narrow them."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an app's configuration says about its policies."""

    app: str = "default"
    enforce: bool = False
    """False: whatever is stronger than a flag becomes a flag, and counts as what would have been."""

    unseen: Literal["flag", "reject"] = "flag"
    """What becomes of steps that a clause should judge and no guard can read."""

    supervised: bool = False
    """Whether there is a supervisor to ask, at the gate and afterwards."""


class Selector:
    """Which tools a clause is about."""

    def __init__(self, clause: "Clause") -> None:
        tools = clause.tools
        self._every = tools is None
        self._tags = frozenset(tools.tags if tools else ())
        self._names = tools.names if tools else ()

    def selects(self, tool: str | None, tags: frozenset[str]) -> bool:
        """Whether it means this tool. A tool nobody can name is meant by every selector."""
        if self._every or not tool:
            return True
        return bool(self._tags & tags) or any(tool_matches(name, tool) for name in self._names)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One clause, ready to run."""

    name: str
    """`policy/clause`."""

    revision: str
    """Digest of the clause."""

    clause: "Clause"
    selector: Selector
    condition: Condition | None
    places: tuple[tuple[str, int], ...]
    """Of each guard: kind and place in the clause, and its number in the ruleset."""

    bands: tuple[Band, ...]
    """Highest first."""

    charge: Charge | None = None
    """What the gate is asked about this clause; None where it never is."""

    guidance: str = ""
    """What whoever judges it is told beside its text and its guards' own guidance."""

    question: int = 0
    """The number of that question; below 0, where no guard's number is."""

    later: bool = False
    """True where the monitor alone judges: nothing follows from this clause while the step waits."""

    def band(self, score: int) -> Band | None:
        """The band a score falls into."""
        return next((band for band in self.bands if score >= band.at), None)


def in_force(
    rule: Rule, settings: Settings, name: VerdictName, *, asked: bool = False, reason: ReasonCode | None = None
) -> Verdict:
    """A verdict as strong as the clause and its app are allowed to be."""
    if name == "allow":
        return Verdict(asked=asked)
    if rule.clause.mode == "shadow":
        return Verdict(shadow=name, asked=asked)
    if name == "flag":
        return Verdict(name="flag", clauses=(rule.name,), asked=asked)
    if not settings.enforce:
        return Verdict(name="flag", clauses=(rule.name,), shadow=name, asked=asked)
    return Verdict(
        name=name,
        reason=reason or rule.clause.reason,
        clauses=(rule.name,),
        recover=rule.clause.recover,
        asked=asked,
    )


def rule_of(name: str, clause: "Clause", places: Sequence[tuple[str, int]], question: int, guidance: str) -> Rule:
    """A clause with the guards that were built for it, and the number of the question that the gate is asked."""
    judges = [spec for spec in clause.guards if isinstance(spec, JudgeSpec)]
    gates = [spec for spec in judges if spec.seat == "gate"]
    asks = gates or any(band.do == "judge" for band in clause.action)
    return Rule(
        name=name,
        revision=_revision(clause, guidance),
        clause=clause,
        selector=Selector(clause),
        condition=None if clause.when is None else Condition(clause.when),
        places=tuple(places),
        bands=tuple(sorted(clause.action, key=lambda band: -band.at)),
        charge=_charge(name, clause, gates, guidance) if asks and AT_THE_GATE & set(clause.steps) else None,
        guidance=guidance,
        question=question,
        later=len(judges) == len(clause.guards) and not gates,
    )


def _revision(clause: "Clause", guidance: str) -> str:
    """The digest of a clause, and of what its judges are told besides."""
    return digest([clause, guidance]) if guidance else digest(clause)


def _charge(name: str, clause: "Clause", gates: Sequence[JudgeSpec], guidance: str) -> Charge:
    told = " ".join([text for text in (gates[0].guidance if gates else "", guidance) if text])
    return Charge(clause=name, text=clause.text, guidance=told, severity=clause.severity, seat="gate")


def band_of_worst(rule: Rule, hits: Iterable[Hit]) -> str | None:
    """What the band of the highest score says is to be done; None where there is none."""
    scores = [hit.score for hit in hits if hit.state in ("unsure", "violation")]
    band = rule.band(max(scores)) if scores else None
    return None if band is None else band.do


def shadowed(rule: Rule) -> Rule:
    """A rule out of force; its revision is another, so that nothing said of it now passes for what it says in force."""
    clause = msgspec.structs.replace(rule.clause, mode="shadow")
    return msgspec.structs.replace(rule, clause=clause, revision=_revision(clause, rule.guidance))


def may_act(clause: "Clause") -> bool:
    """Whether a clause can do more than flag."""
    if clause.mode == "shadow":
        return False
    results: list[VerdictName] = [*[outcome(band) for band in clause.action], clause.on_error]
    return any(STRENGTH[result] > STRENGTH["flag"] for result in results)
