"""Run: optimizers over one gateway's own record, each proposal as far up the ladder as it comes.

Those that ask no model come first; those that are named and ask one after them, on a budget whose count is exact. What
is put forward is kept, refusals included; nothing is put in force. A run that was cut short goes on: nothing is asked
twice, and it comes to what it would have come to. Blocks; `gateway/optimizing/process.py` is a process for it.
"""

import hmac
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.optimizing.asked_model import fences_of
from gateway.optimizing.episodes import RecordedEpisodes
from gateway.optimizing.errands import AppErrand, AppRun, Errand, Office, Past, Tried
from gateway.standing import RUNGS
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
from policies.vocabulary.revisions import LineEnds, Parameters, Proposal
from storage.optimizer_runs import Run
from storage.optimizer_steps import Heard
from supervisors.optimizers.ahead import Ahead, AheadTrials, looked_at
from supervisors.optimizers.allowances import Allowances
from supervisors.optimizers.gaps import Gaps
from supervisors.optimizers.interface import Optimizer, Scorer, Task
from supervisors.optimizers.lines import Lines
from supervisors.optimizers.model import Completion, Metered, Spending
from supervisors.optimizers.patterns import Patterns
from supervisors.optimizers.selection import Selection
from supervisors.optimizers.thresholds import Thresholds
from supervisors.optimizers.written import ASKING

Progress = Callable[[int, int], None]

OPTIMIZERS: Final[tuple[type[Optimizer], ...]] = (Thresholds, Gaps, Selection, Patterns, Allowances, Lines)
"""In the order in which they are heard: the cheapest and mildest changes first."""

_REHEARSED: Final[tuple[RungName, ...]] = ("rollback", "lint", "headroom", "minibatch")
"""What may be asked without cost: each look at the hold-out is counted, so a dry run takes none."""


class Workshop:
    """Where changes are proposed: one gateway's record, and the office where what comes of it is kept."""

    def __init__(self, episodes: RecordedEpisodes, office: Office, errand: Errand) -> None:
        self._episodes = episodes
        self._office = office
        self._errand = errand
        self._library = _library()

    def run(self, wanted: AppErrand, *, progress: Progress, rest: Callable[[], None]) -> AppRun:
        """Hear every optimizer for one app. `rest` is called often, and may raise to end the run.

        A dry run asks no model.
        """
        app, errand = wanted.app, self._errand
        episodes = self._episodes.of(app, rest, wanted.lines, most=errand.words)
        if not errand.dry:
            self._office.count(app, _ends(episodes))
        halves = divide(episodes, Split(salt=wanted.salt, share=errand.share))
        ground = Ground(Replay(halves.dev, rest=rest), Replay(halves.holdout, rest=rest), wanted.parameters)
        past = self._office.past(app)
        hearing = _Hearing(self, ground, wanted, past, dry=errand.dry)
        names = () if errand.dry else errand.ask
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
        if names:
            said = [_said(each) for each in episodes]
            subject = digest([wanted.parameters.digest, names, errand.gate, errand.share, said])
            newest = max([past.newest, *[each.number for each in hearing.tried if each.number is not None]])
            run = self._office.begin(app, subject, since=newest)
            until = time.monotonic() + errand.seconds
            metered = Metered(_OfficeModel(self._office, app), errand.spending, late=lambda: time.monotonic() > until)
            hearing.begin(
                run,
                self._office.memory(app, until=run.since),
                Ahead(metered, fences_of(run.secret), instructs=wanted.instructs),
                metered,
            )
            for done, name in enumerate(names, len(OPTIMIZERS)):
                progress(done, of)
                hearing.ask(name)
                rest()
            self._office.end(app)
            made = msgspec.structs.replace(
                made, spent=metered.spent, resumed=run.resumed, failures=tuple(hearing.failures)
            )
        progress(of, of)
        return msgspec.structs.replace(made, tried=tuple(hearing.tried), known=hearing.known)

    @property
    def gate(self) -> GateSettings:
        """What is asked of a proposal."""
        return self._errand.gate

    @property
    def library(self) -> "dict[str, Clause]":
        """Clauses that people wrote."""
        return self._library

    def heard(self, **step: Any) -> None:
        """Keep that an optimizer was heard; `step`: fields of a `Heard`."""
        self._office.heard(Heard(run=self._errand.run, **step))

    def keep(self, proposal: Proposal, climbed: Climb) -> int:
        """Keep a proposal with how far it came; its number."""
        return self._office.keep(proposal, climbed)


class _OfficeModel:
    """The model, asked on the account of one app."""

    def __init__(self, office: Office, app: str) -> None:
        self._office = office
        self._app = app

    def complete(self, prompt: str) -> Completion:
        """See `Model.complete`."""
        return self._office.complete(self._app, prompt)


class _Hearing:
    """One run for one app."""

    def __init__(self, shop: Workshop, ground: Ground, wanted: AppErrand, past: Past, *, dry: bool) -> None:
        self._shop = shop
        self._ground = ground
        self._parameters = wanted.parameters
        self._choices = wanted.choices
        self._dry = dry
        self._memory = past.memory
        self._waiting = set(past.waiting)
        self._attempts = past.attempts
        self._first = past.first
        self._evidence, kept_words = ground.words(shop.gate.longest_copy)
        self._exposure = Exposure(
            seen=_groups(ground.dev.episodes), kept=_groups(ground.holdout.episodes), kept_words=kept_words
        )
        self._told = self._memory
        self._spent = Spending()
        self._run: Run | None = None
        self._ahead: Ahead | None = None
        self._metered: Metered | None = None
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
            choices=self._choices,
            memory=self._told,
            settings=self._shop.gate,
            seed=seed,
            now_ns=time.time_ns(),
        )
        tried, known = len(self.tried), self.known
        ideas = optimizer.propose(task)
        self.failures += [(optimizer.name, failure.why) for failure in ideas.failures]
        for proposal in ideas.proposals:
            if proposal.digest in self._memory.refused | self._waiting:
                self.known += 1
                continue
            self._waiting.add(proposal.digest)
            climbed = self._climbed(proposal)
            number = None if self._dry else self._shop.keep(proposal, climbed)
            self.tried.append(Tried(number=number, proposal=proposal, climb=climbed))
        if not self._dry:
            self._note(optimizer.name, task.now_ns, len(self.tried) - tried, self.known - known, len(ideas.failures))

    def _note(self, optimizer: str, began_ns: int, proposals: int, known: int, failures: int) -> None:
        spent = Spending() if self._metered is None else self._metered.spent
        self._shop.heard(
            app=self._parameters.app,
            optimizer=optimizer,
            proposals=proposals,
            known=known,
            failures=failures,
            calls=spent.calls - self._spent.calls,
            tokens=spent.tokens - self._spent.tokens,
            began_ns=began_ns,
            ended_ns=time.time_ns(),
        )
        self._spent = spent

    def begin(self, run: Run, memory: Memory, ahead: Ahead, metered: Metered) -> None:
        """From here on a model is asked. It is told of what was refused before the run, and of nothing newer."""
        self._run, self._told, self._ahead, self._metered = run, memory, ahead, metered

    def ask(self, name: str) -> None:
        """One optimizer that asks. All lots come from the run's secret, so that it goes on as it began."""
        ahead, run, metered, dev = self._ahead, self._run, self._metered, self._ground.dev
        assert ahead is not None
        assert run is not None
        assert metered is not None
        secret, seen = hmac.digest(run.secret, name.encode(), "sha256"), looked_at(dev)
        optimizer = ASKING[name](metered, fences_of(secret))

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
            library=self._written(),
            attempt=self._attempts + 1, first=self._first, now_ns=time.time_ns(),
        )  # fmt: skip
        climbed = climb(case, _REHEARSED if self._dry else RUNGS)
        self._attempts += climbed.asked_holdout
        return climbed

    def _written(self) -> dict[str, str]:
        """What people wrote, by name, as the gate knows it."""
        clauses = {name: digest(clause) for name, clause in self._shop.library.items()}
        return clauses | {f"lines/{each.line.id}": digest(each.line.text) for each in self._choices}

    def _trials(self, proposal: Proposal, child: Parameters) -> Trials:
        """Guards are replayed exactly; what a replay does not show is tried one response ahead."""
        if proposal.exact or self._ahead is None or proposal.aim == "tries":
            return ReplayTrials(self._ground, self._parameters, child)
        return AheadTrials(self._ground, self._ahead, self._parameters, child)


def _said(episode: Episode) -> list[object]:
    """What a run knows of an episode, and would be another run's if it changed."""
    return [episode.episode_id, len(episode.steps), sorted(episode.bad), sorted(episode.undecided), episode.voices]


def _ends(episodes: Sequence[Episode]) -> tuple[LineEnds, ...]:
    """How the sessions ended with each item of instructions that stood in any."""
    bad = Counter([line for episode in episodes if episode.bad for line in episode.lines])
    every = Counter([line for episode in episodes for line in episode.lines])
    return tuple([LineEnds(line=line, helped=of - bad[line], hurt=bad[line]) for line, of in sorted(every.items())])


def _groups(episodes: Sequence[Episode]) -> frozenset[str]:
    return frozenset(episode.group for episode in episodes)


def _library() -> dict[str, Clause]:
    """Every clause that is shipped, by `policy/clause`."""
    policies = [load(text, name).policy for name, text in shipped().items()]
    return {f"{policy.policy.id}/{clause.id}": clause for policy in policies for clause in policy.clause}
