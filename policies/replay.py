"""Replay: what a set of policies makes of recorded episodes, step by step. Exact: guards are functions of the steps.

It holds as far as an episode goes on as it was recorded, so it ends at the first step that is stopped. What guards
said is remembered by definition, so that trying other thresholds of the same guards costs nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from policies.asking import Asked
from policies.digests import digest
from policies.evaluate import Ruleset, Settings
from policies.guards.interface import Guard
from policies.guards.judge import JudgeSpec
from policies.guards.registry import Workshop
from policies.parameters import tags
from policies.trail import Scene, Trail
from policies.vocabulary.clauses import Policy
from policies.vocabulary.episodes import Episode
from policies.vocabulary.findings import Hit
from policies.vocabulary.revisions import Parameters
from policies.vocabulary.verdicts import STRENGTH, Verdict, combine

_DISTURBS: Final = STRENGTH["redact"]
_STOPS: Final = STRENGTH["hold"]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one episode."""

    stopped: int | None = None
    """The first step that was held, rejected, or ended the session."""

    disturbed: int | None = None
    """The first step that was changed or stopped."""

    clauses: tuple[str, ...] = ()
    """`policy/clause` of those that stopped it."""

    flagged: int = 0
    """Steps that were flagged before that."""

    def right(self, episode: Episode) -> bool:
        """Whether a violation was stopped in time, or an honest run left alone."""
        if episode.bad:
            return self.stopped is not None and self.stopped <= min(episode.bad)
        return self.disturbed is None or self.disturbed in episode.undecided


class Replay:
    """Some episodes, ready to be judged again and again. For one thread at a time."""

    def __init__(
        self, episodes: Iterable[Episode], memory: "_Memory | None" = None, *, rest: Callable[[], None] | None = None
    ) -> None:
        """`memory`: shared with other replays of the same episodes; `rest`: called after each that is judged anew."""
        self.episodes: Final = tuple(episodes)
        self._memory = memory or _Memory(rest)
        self._known: dict[str, tuple[Replayed, ...]] = {}

    def judge(self, parameters: Parameters) -> tuple[Replayed, ...]:
        """What parameters make of every episode, in their order. Clauses whose guards have to be asked are left out."""
        name = parameters.digest
        if name not in self._known:
            clauses = self._clauses(parameters)
            self._known[name] = tuple(
                [_together(clause.of(episode) for clause in clauses) for episode in self.episodes]
            )
        return self._known[name]

    def rights(self, parameters: Parameters) -> tuple[bool, ...]:
        """For each episode whether it was judged rightly."""
        pairs = zip(self.judge(parameters), self.episodes, strict=True)
        return tuple([replayed.right(episode) for replayed, episode in pairs])

    def part(self, wanted: Callable[[Episode], bool]) -> "Replay":
        """The same for some of the episodes; what guards said is shared."""
        return Replay([episode for episode in self.episodes if wanted(episode)], self._memory)

    def of(self, episodes: Iterable[Episode]) -> "Replay":
        """Other episodes, with what guards said shared; no two that share it may have one id and other steps."""
        return Replay(episodes, self._memory)

    def _clauses(self, parameters: Parameters) -> "list[_Clause]":
        tagged = tags(parameters)
        about = digest([parameters.app, sorted((name, sorted(each)) for name, each in tagged.items())])
        found: list[_Clause] = []
        for policy in parameters.policies:
            for clause in policy.clause:
                # Only where there is a supervisor is a judge somebody who has to be asked, and its clause left out.
                judged = any(isinstance(spec, JudgeSpec) for spec in clause.guards)
                settings = Settings(app=parameters.app, enforce=True, supervised=judged)
                name = digest([policy.policy.id, clause, about])
                alone = msgspec.structs.replace(policy, clause=(clause,))
                found.append(self._memory.clause(name, alone, about, tagged, settings))
        return found


def _together(said: Iterable[Mapping[int, Verdict]]) -> Replayed:
    """What several clauses come to: the strongest verdict on each step, up to the first that stops the run."""
    steps: dict[int, list[Verdict]] = defaultdict(list)
    for each in said:
        for at, verdict in each.items():
            steps[at].append(verdict)
    flagged = 0
    disturbed: int | None = None
    for at in sorted(steps):
        verdict = combine(steps[at])
        strength = STRENGTH[verdict.name]
        flagged += strength == STRENGTH["flag"]
        if strength >= _DISTURBS and disturbed is None:
            disturbed = at
        if strength >= _STOPS:
            return Replayed(stopped=at, disturbed=disturbed, clauses=verdict.clauses, flagged=flagged)
    return Replayed(disturbed=disturbed, flagged=flagged)


class _Clause:
    """One clause by itself: no clause changes what another says of a step."""

    def __init__(self, ruleset: Ruleset, memory: "_Memory") -> None:
        self._ruleset = ruleset
        self._memory = memory
        self._kinds = frozenset(kind for rule in ruleset.rules for kind in rule.clause.steps)
        self._said: dict[str, Mapping[int, Verdict]] = {}

    def of(self, episode: Episode) -> Mapping[int, Verdict]:
        """Its verdict on every step of an episode of which it says more than nothing."""
        found = self._said.get(episode.episode_id)
        if found is None:
            found = self._said[episode.episode_id] = dict(self._verdicts(episode))
            self._memory.rest()
        return found

    def _verdicts(self, episode: Episode) -> Iterator[tuple[int, Verdict]]:
        for at, step in enumerate(episode.steps):
            if step.kind in self._kinds:
                self._memory.place = (episode.episode_id, at)
                scene = Scene(step=step, trail=Trail(parts=episode.steps[:at], tags=self._ruleset.tags))
                verdict = self._ruleset.judge(scene, clock=_no_time, seq=at).verdict
                if verdict.name != "allow":
                    yield at, verdict


def _no_time() -> int:
    """A clock that stands still: no guard of a replay runs out of time."""
    return 0


def _no_rest() -> None:
    """Nobody waits beside this."""


class _Memory:
    """What each guard said of each step, and which step is judged now."""

    def __init__(self, rest: Callable[[], None] | None = None) -> None:
        self.place: tuple[str, int] = ("", 0)
        self.rest = rest or _no_rest
        self._workshop = Workshop()
        self._said: dict[str, dict[tuple[str, int], tuple[Hit, ...]]] = {}
        self._clauses: dict[str, _Clause] = {}

    def clause(
        self, name: str, alone: Policy, about: str, tagged: Mapping[str, frozenset[str]], settings: Settings
    ) -> "_Clause":
        """The clause of this name, which is run once for each episode, whatever stands around it."""
        if name not in self._clauses:

            def build(spec: Any) -> Guard | Asked:
                guard = self._workshop.build(spec)
                if isinstance(guard, Asked):
                    return guard
                return _Remembered(guard, self, self._said.setdefault(digest([spec, about]), {}))

            ruleset = Ruleset.compile([alone], tags=tagged, settings=settings, builder=build)
            self._clauses[name] = _Clause(ruleset.here(), self)
        return self._clauses[name]


class _Remembered:
    """A guard that says of a step what it said before."""

    def __init__(self, guard: Guard, memory: _Memory, said: dict[tuple[str, int], tuple[Hit, ...]]) -> None:
        self._guard = guard
        self._memory = memory
        self._said = said

    @property
    def window(self) -> int | None:
        return self._guard.window

    def examine(self, scene: Scene) -> Sequence[Hit]:
        place = self._memory.place
        found = self._said.get(place)
        if found is None:
            found = self._said[place] = tuple(self._guard.examine(scene))
        return found
