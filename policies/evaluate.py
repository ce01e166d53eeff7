"""Evaluation: what the clauses in force say of one step.

A `Ruleset` is compiled once from policies, tool tags and one app's settings, and is immutable: every request sees one
snapshot. Findings come from guards and never act; the band table of each clause turns scores into a verdict. Time
is handed in, so the same step under the same clock gives the same judgement.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import msgspec

from policies.asking import Asked
from policies.digests import digest
from policies.guards.interface import Guard
from policies.guards.judge import JudgeGuard, JudgeSpec
from policies.rules import Rule, Settings, may_act, rule_of, shadowed
from policies.sitting import UNJUDGED, Clock, Judgement, Sitting
from policies.trail import Scene
from policies.vocabulary.steps import Side, StepKind

if TYPE_CHECKING:  # the kinds of guards and their libraries weigh 13 MB, which judging nothing needs none of
    from policies.vocabulary.clauses import Policy

__all__ = ["UNJUDGED", "Judgement", "Need", "Ruleset", "Settings", "ruleset_of"]

Builder: TypeAlias = Callable[[Any], Guard | Asked]
"""Makes a guard from its spec."""

NEVER: Final = (1 << 63) - 1
"""A deadline that does not come."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What judging asks of the relay, for one kind of step on one side."""

    hold: Literal["idle", "observe", "window", "whole"]
    """`idle`: nobody looks. `observe`: judged beside the relay, bytes pass untouched. `window`: text streams on with
    the last bytes held back. `whole`: held until it is judged."""

    window: int = 0
    """Bytes to hold back where `hold` is `window`."""


class Ruleset:
    """The clauses of one app at one moment."""

    def __init__(
        self,
        rules: Sequence[Rule],
        guards: Sequence[Guard | Asked],
        *,
        tags: Mapping[str, frozenset[str]],
        settings: Settings,
    ) -> None:
        """Use `Ruleset.compile`."""
        self.rules: Final = tuple(rules)
        self.settings: Final = settings
        self.tags: Final = tags
        """Tags of tools, by name."""
        self.revision: Final = digest([[rule.name, rule.revision] for rule in rules])
        """Digest of all clauses, in order."""
        self._guards = tuple(guards)
        self.asked: Final = (
            *[guard.spec for guard in _asked(rules, guards).values() if not isinstance(guard, JudgeGuard)],
            *[rule.charge for rule in rules if rule.charge is not None and settings.supervised],
        )
        """Specs of the guards that are asked elsewhere, and what the gate may be asked."""
        kinds = {kind for rule in rules for kind in rule.clause.steps}
        self._by_kind = {kind: tuple([rule for rule in rules if kind in rule.clause.steps]) for kind in kinds}

    @classmethod
    def compile(
        cls,
        policies: "Iterable[Policy]",
        *,
        tags: Mapping[str, frozenset[str]] | None = None,
        settings: Settings | None = None,
        builder: Builder | None = None,
        guidance: Mapping[str, str] | None = None,
    ) -> Self:
        """Build every guard and condition once; `builder` stands in for that of the registry.

        `guidance`: what judges are told besides, by `policy/clause`.
        Raises `BadGuard` or `BadCondition`, which loading rules out.
        """
        build = builder or _registered()
        guards: list[Guard | Asked] = []
        numbers: dict[bytes, int] = {}
        rules: list[Rule] = []
        for policy in policies:
            for clause in policy.clause:
                places: list[tuple[str, int]] = []
                for at, spec in enumerate(clause.guards):
                    key = msgspec.json.encode(spec, order="sorted")
                    if key not in numbers:
                        numbers[key] = len(guards)
                        guards.append(build(spec))
                    places.append((f"{type(spec).__struct_config__.tag}.{at}", numbers[key]))
                name = f"{policy.policy.id}/{clause.id}"
                rules.append(rule_of(name, clause, places, -1 - len(rules), (guidance or {}).get(name, "")))
        settings = settings or Settings()
        if settings.supervised and any(rule.charge for rule in rules):
            guards.append(build(JudgeSpec(seat="gate")))  # the last one: it shows what bands ask about, too
        return cls(rules, guards, tags=tags or {}, settings=settings)

    def here(self) -> Self:
        """The clauses for which nobody has to be asked: all that can judge a text of which more is to come."""
        if not self.asked:
            return self
        rules = [rule for rule in self.rules if not _asked([rule], self._guards)]
        return type(self)(rules, self._guards, tags=self.tags, settings=self.settings)

    def tagged(self, tags: Mapping[str, frozenset[str]]) -> Self:
        """The same clauses and guards for tools with other tags."""
        return type(self)(self.rules, self._guards, tags=tags, settings=self.settings)

    def shadowing(self, clauses: Collection[str]) -> Self:
        """The same clauses and guards with these clauses (`policy/clause`) out of force, whatever their policy says."""
        rules = [shadowed(rule) if rule.name in clauses else rule for rule in self.rules]
        return type(self)(rules, self._guards, tags=self.tags, settings=self.settings)

    def also(self, rule: Rule, guard: Guard) -> Self:
        """The same clauses, and one more with this guard."""
        mine = msgspec.structs.replace(rule, places=((f"{rule.clause.id}.0", len(self._guards)),))
        gate = [each for each in self._guards[-1:] if isinstance(each, JudgeGuard)]  # which has to be the last
        return type(self)((*self.rules, mine), (*self._guards, guard, *gate), tags=self.tags, settings=self.settings)

    @property
    def acts(self) -> bool:
        """Whether any clause may do more than flag."""
        return any(self._may_act(rule) for rule in self.rules)

    def needs(self, kind: StepKind, side: Side) -> Need:
        """What the relay has to do with steps of a kind, so that it can be judged in time."""
        rules = self._by_kind.get(kind, ())
        if not rules:
            return Need(hold="idle")
        acting = [rule for rule in rules if self._may_act(rule)]
        if not acting:
            return Need(hold="observe")
        guards = [self._guards[number] for rule in acting for _, number in rule.places]
        windows = [guard.window for guard in guards if not _is_later(guard)]
        sized = any(rule.condition and "step.size" in rule.condition.facts for rule in acting)
        streams = side == "response" and kind in ("model_text", "reasoning") and not sized
        widest = max([window for window in windows if window is not None], default=0)
        if not streams or None in windows:
            return Need(hold="whole")
        return Need(hold="window", window=widest)

    def _may_act(self, rule: Rule) -> bool:
        """Whether a clause can do more than flag: by its bands, when it fails, or with a step nobody can read."""
        settings = self.settings
        if rule.later:
            return False
        unseen = settings.unseen == "reject" and rule.clause.mode == "enforce"
        return settings.enforce and (unseen or may_act(rule.clause))

    def judge(self, scene: Scene, *, clock: Clock, deadline_ns: int = NEVER, seq: int = 0) -> Judgement:
        """Judge one step with the guards that are here. Never raises.

        `clock` is read before and after each guard; one that would begin at or after `deadline_ns` is not run, and
        its clause's `on_error` decides, as it does for guards that have to be asked. `seq` is the step's place in its
        exchange, for the coverage.
        """
        sitting = self.sit(scene, clock=clock, deadline_ns=deadline_ns, seq=seq)
        return UNJUDGED if sitting is None else sitting.judgement()

    def sit(self, scene: Scene, *, clock: Clock, deadline_ns: int = NEVER, seq: int = 0) -> "Sitting | None":
        """Begin to judge one step, with the arguments of `judge`; None where no clause is about its kind."""
        rules = self._by_kind.get(scene.step.kind, ())
        if not rules:
            return None
        if scene.trail.tags is not self.tags:
            scene = msgspec.structs.replace(scene, trail=msgspec.structs.replace(scene.trail, tags=self.tags))
        return Sitting(self.settings, rules, self._guards, scene, clock=clock, deadline_ns=deadline_ns, seq=seq)


def _registered() -> Builder:
    """What builds every kind of guard there is; loaded with the first clause, not with this module."""
    from policies.guards.registry import Workshop  # noqa: PLC0415 - 13 MB of tables and libraries

    return Workshop().build


def _is_later(guard: Guard | Asked) -> bool:
    return isinstance(guard, JudgeGuard) and guard.seat == "monitor"


def _asked(rules: Iterable[Rule], guards: Sequence[Guard | Asked]) -> dict[int, Asked]:
    """The guards of these clauses that are asked while a step waits, by their number."""
    numbers = [number for rule in rules for _, number in rule.places]
    found = {number: guards[number] for number in numbers}
    return {number: guard for number, guard in found.items() if isinstance(guard, Asked) and not _is_later(guard)}


def ruleset_of(rulesets: Mapping[str, Ruleset], app: str) -> Ruleset | None:
    """The clauses of an app, of those of all; apps without any of their own follow `default`."""
    return rulesets.get(app) or rulesets.get("default")
