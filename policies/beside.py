"""Beside: what a candidate makes of the steps of a session that what is in force does not, and the other way round.

Only clauses that differ are run on every step; the others are asked where those say something else, since a step that
they stop anyway is stopped under both. Exact up to the first step at which the two part: what the agent would have done
then, nobody saw.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from policies.evaluate import Ruleset, Settings
from policies.parameters import tags
from policies.trail import Scene, Trail
from policies.vocabulary.clauses import Clause, Policy
from policies.vocabulary.revisions import Parameters
from policies.vocabulary.steps import Part, StepKind
from policies.vocabulary.verdicts import STRENGTH, VerdictName

_ACTS = STRENGTH["redact"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A step that one of the two changes or stops, and the other does not."""

    at: int
    """Its place among the steps."""

    was: VerdictName
    """What is in force makes of it."""

    would: VerdictName
    """The candidate makes of it."""

    @property
    def stricter(self) -> bool:
        """Whether the candidate is the one that acts."""
        return STRENGTH[self.would] > STRENGTH[self.was]


class Beside:
    """Two versions of one app's parameters, ready to be compared on one session after another. For one thread."""

    def __init__(
        self,
        before: Parameters,
        after: Parameters,
        *,
        configured: Mapping[str, frozenset[str]],
        rest: Callable[[], None],
    ) -> None:
        """`configured`: tags of tools by the configuration; `rest` is called after each step that is judged."""
        tagged = [tags(each, dict(configured)) for each in (before, after)]
        shared = _shared(before, after) if tagged[0] == tagged[1] else frozenset[tuple[str, str]]()
        settings = Settings(app=after.app, enforce=True)

        def rules(parameters: Parameters, at: int, *, common: bool) -> Ruleset:
            kept = _only(parameters.policies, lambda name: (name in shared) == common)
            return Ruleset.compile(kept, tags=tagged[at], settings=settings)

        own = [rules(each, at, common=False) for at, each in enumerate((before, after))]
        self.blind = any(len(each.here().rules) < len(each.rules) for each in own)
        """True where a clause that differs has to ask somebody, so that nothing can be said here of what it does."""
        self._before, self._after = own[0].here(), own[1].here()
        self._common = rules(after, 1, common=True).here()
        self._kinds = _kinds(self._before) | _kinds(self._after)
        self._rest = rest

    def differences(self, steps: Sequence[Part]) -> Iterator[Difference]:
        """The steps at which the two part, in order."""
        for at, step in enumerate(steps):
            if step.kind not in self._kinds:
                continue
            scene = Scene(step=step, trail=Trail(parts=tuple(steps[:at])))
            was, would = _verdict(self._before, scene, at), _verdict(self._after, scene, at)
            if (STRENGTH[was] >= _ACTS) != (STRENGTH[would] >= _ACTS):
                anyway = _verdict(self._common, scene, at)
                if STRENGTH[anyway] < _ACTS:
                    yield Difference(at=at, was=was, would=would)
            self._rest()


def _shared(before: Parameters, after: Parameters) -> frozenset[tuple[str, str]]:
    """The clauses that both have to the letter, by policy and id."""
    was = dict(_clauses(before))
    return frozenset(name for name, clause in _clauses(after) if was.get(name) == clause)


def _clauses(parameters: Parameters) -> Iterator[tuple[tuple[str, str], Clause]]:
    for policy in parameters.policies:
        for clause in policy.clause:
            yield (policy.policy.id, clause.id), clause


def _only(policies: Iterable[Policy], wanted: Callable[[tuple[str, str]], bool]) -> list[Policy]:
    found: list[Policy] = []
    for policy in policies:
        mine = tuple([clause for clause in policy.clause if wanted((policy.policy.id, clause.id))])
        found += [msgspec.structs.replace(policy, clause=mine)] if mine else []
    return found


def _kinds(ruleset: Ruleset) -> frozenset[StepKind]:
    return frozenset(kind for rule in ruleset.rules for kind in rule.clause.steps)


def _verdict(ruleset: Ruleset, scene: Scene, at: int) -> VerdictName:
    return ruleset.judge(scene, clock=_no_time, seq=at).verdict.name


def _no_time() -> int:
    """A clock that stands still: nobody waits for this."""
    return 0
