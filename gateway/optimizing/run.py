"""Run: optimizers over one gateway's own record, each proposal as far up the ladder as it comes.

Those that ask no model come first; those that are named and ask one after them, on a budget whose count is exact. What
is put forward is kept, refusals included; nothing is put in force. A run that was cut short goes on: nothing is asked
twice, and it comes to what it would have come to. Blocks; give it a thread of its own.
"""

import hmac
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.config import Optimizer as Settings
from gateway.optimizing.asked_model import fences_of
from gateway.optimizing.episodes import Record, RecordedEpisodes
from gateway.standing import RUNGS, Standing
from policies.digests import digest
from policies.gate.case import Exposure, Trials
from policies.gate.ladder import case_of, climb
from policies.gate.memory import Memory
from policies.gate.trials import Ground, ReplayTrials
from policies.loader import load
from policies.parameters import EditRefused, apply
from policies.replay import Replay
from policies.shipped import shipped
from policies.splits import Split, divide
from policies.vocabulary.clauses import Clause
from policies.vocabulary.episodes import Episode
from policies.vocabulary.ladder import Climb, GateSettings, RungName
from policies.vocabulary.revisions import Parameters, Proposal
from storage.optimizer_runs import Run, RunBook
from storage.revisions import Filed, RevisionBook
from supervisors.optimizers.ahead import Ahead, AheadTrials, looked_at
from supervisors.optimizers.allowances import Allowances
from supervisors.optimizers.gaps import Gaps
from supervisors.optimizers.interface import Optimizer, Scorer, Task
from supervisors.optimizers.model import Metered, Model, Spending
from supervisors.optimizers.patterns import Patterns
from supervisors.optimizers.selection import Selection
from supervisors.optimizers.thresholds import Thresholds
from supervisors.optimizers.written import ASKING

Progress = Callable[[int, int], None]

OPTIMIZERS: Final[tuple[type[Optimizer], ...]] = (Thresholds, Gaps, Selection, Patterns, Allowances)
"""In the order in which they are heard: the cheapest and mildest changes first."""

_REHEARSED: Final[tuple[RungName, ...]] = ("rollback", "lint", "headroom", "minibatch")
"""What may be asked without cost: each look at the hold-out is counted, so a dry run takes none."""

_EVERY: Final = -1


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal of a run."""

    number: int | None
    """Under which it is kept; None after a dry run."""

    proposal: Proposal
    climb: Climb


class AppRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to for one app."""

    app: str
    episodes: int
    """Sessions of which enough was said."""

    violating: int
    kept_back: int
    """Of the episodes, those that no optimizer saw."""

    tried: tuple[Tried, ...] = ()
    known: int = 0
    """Proposals that were made before and wait, or were refused: they are not made again."""

    spent: Spending = Spending()
    """Calls to a model and tokens that the run took, those of before it was cut short included."""

    resumed: bool = False
    """Whether it went on from one that was cut short."""

    failures: tuple[tuple[str, str], ...] = ()
    """What optimizers that ask a model could not do: which, and why."""


class Asks(msgspec.Struct, frozen=True):
    """How a run asks a model."""

    names: tuple[str, ...]
    """Optimizers that ask one, in order."""

    model: Callable[[str], Model]
    """The model, on the account of an app."""

    runs: RunBook
    instructs: Callable[[str], bool]
    """Whether the instructions of an app are revised at all."""


class Workshop:
    """Where changes are proposed: one gateway's record and what is in force there."""

    def __init__(self, episodes: RecordedEpisodes, book: RevisionBook, standing: Standing, settings: Settings) -> None:
        self._episodes = episodes
        self._book = book
        self._standing = standing
        self._settings = settings
        self._gate = standing.gate
        self._library = _library()

    def apps(self, wanted: str | None) -> tuple[str, ...]:
        """The apps that a run is about."""
        return tuple(app for app in self._standing.apps() if wanted in (None, app))

    def run(
        self, app: str, *, dry: bool, progress: Progress, rest: Callable[[], None], asks: Asks | None = None
    ) -> AppRun:
        """Hear every optimizer for one app. `rest` is called often, and may raise to end the run.

        `asks`: those that ask a model, and how; a dry run asks none.
        """
        episodes = self._episodes.of(app, rest)
        parameters = self._standing.parameters(app)
        halves = divide(episodes, Split(salt=self._book.salt(app), share=self._settings.share))
        ground = Ground(Replay(halves.dev, rest=rest), Replay(halves.holdout, rest=rest), parameters)
        hearing = _Hearing(self, ground, app, parameters, dry=dry)
        names = () if asks is None or dry else asks.names
        of = len(OPTIMIZERS) + len(names)
        for done, optimizer in enumerate(OPTIMIZERS):
            progress(done, of)
            hearing.hear(optimizer())
            rest()
        made = AppRun(
            app=app,
            episodes=len(episodes),
            violating=sum(not episode.honest for episode in episodes),
            kept_back=len(halves.holdout),
        )
        if asks is not None and names:
            subject = digest([parameters.digest, names, self._gate, self._settings.share, [_said(e) for e in episodes]])
            newest = max([each.number for each in self.filed(app)], default=0)
            run = asks.runs.begin(app, subject, since=newest)
            metered = Metered(asks.model(app), self._spending)
            hearing.begin(
                run,
                self.memory(app, until=run.since),
                Ahead(metered, fences_of(run.secret), instructs=asks.instructs(app)),
            )
            for done, name in enumerate(names, len(OPTIMIZERS)):
                progress(done, of)
                hearing.ask(name, metered)
                rest()
            asks.runs.end(app)
            made = msgspec.structs.replace(
                made, spent=metered.spent, resumed=run.resumed, failures=tuple(hearing.failures)
            )
        progress(of, of)
        return msgspec.structs.replace(made, tried=tuple(hearing.tried), known=hearing.known)

    @property
    def _spending(self) -> Spending:
        return Spending(calls=self._settings.calls_per_run, tokens=self._settings.tokens_per_run)

    def record(self, app: str, rest: Callable[[], None]) -> Record:
        """How often each guard of an app was wrong, as far as anybody said."""
        return self._episodes.records(app, rest)

    @property
    def gate(self) -> GateSettings:
        """What is asked of a proposal."""
        return self._gate

    @property
    def library(self) -> "dict[str, Clause]":
        """Clauses that people wrote."""
        return self._library

    def filed(self, app: str) -> list[Filed]:
        """Every proposal that was ever kept for an app."""
        return self._book.list(app=app, limit=_EVERY)

    def memory(self, app: str, *, until: int | None = None) -> Memory:
        """What is not to be tried again; `until`: as far as a proposal of this number."""
        return self._book.memory(app, cooldown_ns=self._gate.cooldown_ns, until=until)

    def keep(self, proposal: Proposal, climbed: Climb) -> Filed:
        """Keep a proposal with how far it came."""
        return self._book.file(proposal, climbed, now_ns=time.time_ns())


class _Hearing:
    """One run for one app."""

    def __init__(self, shop: Workshop, ground: Ground, app: str, parameters: Parameters, *, dry: bool) -> None:
        self._shop = shop
        self._ground = ground
        self._parameters = parameters
        self._dry = dry
        self._memory = shop.memory(app)
        earlier = shop.filed(app)
        self._waiting = {each.proposal.digest for each in earlier if each.state in ("waiting", "canary")}
        self._attempts = sum(_asked(each.climb) for each in earlier)
        self._first = not any(each.state in ("active", "rolled_back") for each in earlier)
        self._evidence, kept_words = ground.words(shop.gate.longest_copy)
        self._exposure = Exposure(
            seen=_groups(ground.dev.episodes), kept=_groups(ground.holdout.episodes), kept_words=kept_words
        )
        self._told = self._memory
        self._run: Run | None = None
        self._ahead: Ahead | None = None
        self.tried: list[Tried] = []
        self.failures: list[tuple[str, str]] = []
        self.known = 0

    def hear(self, optimizer: Optimizer, *, score: Scorer | None = None, seed: int = 0) -> None:
        """All that one optimizer proposes."""
        task = Task(
            parameters=self._parameters,
            dev=self._ground.dev,
            score=score,
            library=self._shop.library,
            memory=self._told,
            settings=self._shop.gate,
            seed=seed,
            now_ns=time.time_ns(),
        )
        ideas = optimizer.propose(task)
        self.failures += [(optimizer.name, failure.why) for failure in ideas.failures]
        for proposal in ideas.proposals:
            if proposal.digest in self._memory.refused | self._waiting:
                self.known += 1
                continue
            self._waiting.add(proposal.digest)
            climbed = self._climbed(proposal)
            number = None if self._dry else self._shop.keep(proposal, climbed).number
            self.tried.append(Tried(number=number, proposal=proposal, climb=climbed))

    def begin(self, run: Run, memory: Memory, ahead: Ahead) -> None:
        """From here on a model is asked. It is told of what was refused before the run, and of nothing newer."""
        self._run, self._told, self._ahead = run, memory, ahead

    def ask(self, name: str, model: Model) -> None:
        """One optimizer that asks. All lots come from the run's secret, so that it goes on as it began."""
        ahead, run, dev = self._ahead, self._run, self._ground.dev
        assert ahead is not None
        assert run is not None
        secret, seen = hmac.digest(run.secret, name.encode(), "sha256"), looked_at(dev)
        optimizer = ASKING[name](model, fences_of(secret))

        def score(tried: Parameters, places: Sequence[int] | None) -> Sequence[float]:
            scores = ahead.score(dev, tried, seen if places is None else set(seen) & set(places))
            return scores if places is None else [scores[at] for at in places]

        self.hear(optimizer, score=score, seed=int.from_bytes(secret[:8], "big"))

    def _climbed(self, proposal: Proposal) -> Climb:
        before = self._parameters
        try:
            child = apply(before, proposal.edits)
        except EditRefused:
            child = before  # the ladder says why; no trial is asked for it
        case = case_of(
            proposal, before, self._trials(proposal, child),
            settings=self._shop.gate, evidence=self._evidence, exposure=self._exposure, memory=self._memory,
            library={name: digest(clause) for name, clause in self._shop.library.items()},
            attempt=self._attempts + 1, first=self._first, now_ns=time.time_ns(),
        )  # fmt: skip
        climbed = climb(case, _REHEARSED if self._dry else RUNGS)
        self._attempts += _asked(climbed)
        return climbed

    def _trials(self, proposal: Proposal, child: Parameters) -> Trials:
        """Guards are replayed exactly; what a replay does not show is tried one response ahead."""
        if proposal.exact or self._ahead is None:
            return ReplayTrials(self._ground, self._parameters, child)
        return AheadTrials(self._ground, self._ahead, self._parameters, child)


def _said(episode: Episode) -> list[object]:
    """What a run knows of an episode, and would be another run's if it changed."""
    return [episode.episode_id, len(episode.steps), sorted(episode.bad), sorted(episode.undecided), episode.voices]


def _asked(climbed: Climb) -> bool:
    """Whether the hold-out was looked at."""
    return any(decision.rung == "holdout" and decision.why != "holdout_leaked" for decision in climbed.decisions)


def _groups(episodes: Sequence[Episode]) -> frozenset[str]:
    return frozenset(episode.group for episode in episodes)


def _library() -> dict[str, Clause]:
    """Every clause that is shipped, by `policy/clause`."""
    policies = [load(text, name).policy for name, text in shipped().items()]
    return {f"{policy.policy.id}/{clause.id}": clause for policy in policies for clause in policy.clause}
