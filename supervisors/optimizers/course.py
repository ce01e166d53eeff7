"""A course: proposals through the ladder, round by round, with what came of each. No clock, no I/O, one seed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from policies.digests import digest
from policies.gate.case import Approval, Case, Exposure
from policies.gate.ladder import OFFLINE, case_of, climb
from policies.gate.memory import Memory
from policies.gate.trials import Ground, ReplayTrials
from policies.parameters import EditRefused, apply
from policies.vocabulary.clauses import Clause
from policies.vocabulary.ladder import Climb, GateSettings, RungName
from policies.vocabulary.revisions import Parameters, Proposal, Revision
from supervisors.optimizers.interface import Failure, Optimizer, Scorer, Task

Person = Callable[[Case], Approval | None]
"""Answers for a named person; None: there is none."""

RUNGS: Final[tuple[RungName, ...]] = (*OFFLINE, "approval")
"""Recorded history has no shadow time and no canary: what a course activates is what may go there."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal and how far it came."""

    proposal: Proposal
    climb: Climb


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What a course came to."""

    parameters: Parameters
    revisions: tuple[Revision, ...]
    moves: tuple[Move, ...] = ()
    attempts: int = 0
    """How often the hold-out was asked."""

    memory: Memory = Memory()
    turn: int = 0
    """How many optimizers were heard."""

    changed: int = 0
    """The turn that last put something in force."""

    failures: tuple[Failure, ...] = ()
    """What optimizers could not do, in order."""


def nobody(_: Case) -> Approval | None:
    """No person answers: what needs one waits."""
    return None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Under which terms a course is run."""

    settings: GateSettings = GateSettings(by_itself_per_day=100)
    library: Mapping[str, Clause] = {}
    person: Person = nobody
    rungs: tuple[RungName, ...] = RUNGS
    rounds: int = 4
    """Times each optimizer is asked, at most."""

    seed: int = 0
    score: Scorer | None = None
    """As in `Task`."""


def run(start: Parameters, optimizers: Sequence[Optimizer], ground: Ground, terms: Terms | None = None) -> Course:
    """Let optimizers propose in turn until nobody knows of anything that stands, or the rounds are over."""
    first = begun(start)
    return [first, *steps(first, optimizers, ground, terms)][-1]


def begun(start: Parameters) -> Course:
    """A course of which nothing has been run."""
    first = Revision(app=start.app, parent=None, parameters=start.digest, author="human:start")
    return Course(parameters=start, revisions=(first,))


def steps(
    course: Course, optimizers: Sequence[Optimizer], ground: Ground, terms: Terms | None = None
) -> Iterator[Course]:
    """The course after each optimizer that was heard.

    Each is whole: written down and read again, after a kill say, the rest comes out as if nothing had happened, as far
    as the optimizers answer the same.
    """
    terms = terms or Terms()
    table = _Table(ground, terms)
    while course.turn < terms.rounds * len(optimizers) and course.turn - course.changed < len(optimizers):
        heard = table.hear(optimizers[course.turn % len(optimizers)], course)
        turn = course.turn + 1
        changed = turn if heard.parameters != course.parameters else course.changed
        course = msgspec.structs.replace(heard, turn=turn, changed=changed)
        yield course


class _Table:
    """What stays the same over a course."""

    def __init__(self, ground: Ground, terms: Terms) -> None:
        self._ground = ground
        self._terms = terms
        self._names = {name: digest(clause) for name, clause in terms.library.items()}
        self._evidence, kept_words = ground.words(terms.settings.longest_copy)
        self._exposure = Exposure(
            seen=frozenset(episode.group for episode in ground.dev.episodes),
            kept=frozenset(episode.group for episode in ground.holdout.episodes),
            kept_words=kept_words,
        )

    def hear(self, optimizer: Optimizer, course: Course) -> Course:
        """All that one optimizer proposes now, until one of its proposals is activated."""
        task = Task(
            parameters=course.parameters,
            dev=self._ground.dev,
            score=self._terms.score,
            library=self._terms.library,
            memory=course.memory,
            settings=self._terms.settings,
            seed=self._terms.seed + len(course.moves),
        )
        ideas = optimizer.propose(task)
        course = msgspec.structs.replace(course, failures=(*course.failures, *ideas.failures))
        for proposal in ideas.proposals:
            if proposal.digest in course.memory.refused:
                continue
            course, activated = self._heard(proposal, course)
            if activated:
                break
        return course

    def _heard(self, proposal: Proposal, course: Course) -> tuple[Course, bool]:
        parent = course.parameters
        try:
            child = apply(parent, proposal.edits)
        except EditRefused:
            child = parent  # the ladder says why; no trial is asked for it
        case = case_of(
            proposal, parent, ReplayTrials(self._ground, parent, child),
            settings=self._terms.settings, evidence=self._evidence, library=self._names, exposure=self._exposure,
            attempt=course.attempts + 1, memory=course.memory,
        )  # fmt: skip
        climbed = climb(msgspec.structs.replace(case, approval=self._terms.person(case)), self._terms.rungs)
        course = msgspec.structs.replace(
            course,
            moves=(*course.moves, Move(proposal=proposal, climb=climbed)),
            attempts=course.attempts + climbed.asked_holdout,
        )
        if climbed.reached and case.child is not None:
            return _activated(course, proposal, climbed, case.child), True
        if climbed.last.outcome != "waiting":
            course = msgspec.structs.replace(course, memory=course.memory.with_refused(proposal))
        return course, False


def _activated(course: Course, proposal: Proposal, climbed: Climb, child: Parameters) -> Course:
    revision = Revision(
        app=child.app,
        parent=course.revisions[-1].digest,
        parameters=child.digest,
        author=proposal.author,
        proposal=proposal.digest,
        support=proposal.support,
        scores=tuple([score for decision in climbed.decisions for score in decision.scores]),
    )
    return msgspec.structs.replace(course, parameters=child, revisions=(*course.revisions, revision))
