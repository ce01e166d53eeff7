"""Answers about proposals and revisions. They hold learned text, so only those see them who decide on them."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.times import rfc3339

if TYPE_CHECKING:
    from gateway.optimizing import episodes, errands
    from policies.gate.trial import Trial as OnTrial
    from policies.gate.trial import Would as Wanted
    from policies.vocabulary.ladder import Climb
    from policies.vocabulary.revisions import LineEnds, Parameters
    from policies.vocabulary.revisions import Proposal as Suggested
    from storage.revisions import Kept, Whole


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """What one rung of the ladder said."""

    rung: str
    outcome: str
    why: str
    note: str
    scores: dict[str, float]
    """The figures it rests on."""


class Would(msgspec.Struct, frozen=True, kw_only=True):
    """A step with which the candidate does otherwise than what is in force."""

    session_id: str
    step_id: str
    was: str
    would: str
    """`would_reject`, `would_allow`: the candidate's verdict."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal on live traffic."""

    stage: str
    """`shadow`, `canary`, or `watch` once it is in force."""

    figures: dict[str, float]
    """Sessions and requests so far; `worse` and `not_worse`: what bets on either have come to, 20 to 1 decides."""

    woulds: tuple[Would, ...]
    """The newest steps in question."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a proposal: the rung that was asked last, what it said, and where that led."""

    at: str
    state: str
    rung: str
    outcome: str
    why: str
    by_a_person: bool


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One suggested change with its evidence."""

    number: int | None
    """None after a dry run, which keeps nothing."""

    app: str
    state: str
    """`waiting`, `refused`, `rejected`, `canary`, `active`, `rolled_back`; `dry` after a dry run."""

    author: str
    why: str
    direction: str
    """`tightens`, `neutral` or `loosens`."""

    sessions: int
    """Sessions it rests on."""

    principals: int
    """Different persons or keys on whose word it rests."""

    rungs: tuple[Rung, ...]
    edits: tuple[dict[str, Any], ...]
    diff: tuple[str, ...] | None
    """Lines of a unified diff; None where what it changes is not kept here, or it cannot be applied."""

    trial: Trial | None = None
    """How live traffic speaks of it; None where it is in no trial."""

    moves: tuple[Move, ...] = ()
    """Everything that became of it, in order."""

    filed_at: str | None = None
    decided_by: str | None = None
    decided_reason: str | None = None
    decided_at: str | None = None


class ProposalList(msgspec.Struct, frozen=True, kw_only=True):
    """Proposals, newest first."""

    proposals: tuple[Proposal, ...]


class AppRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to for one app."""

    app: str
    episodes: int
    """Sessions of which enough was said."""

    violating: int
    kept_back: int
    """Of these sessions, those that no optimizer saw."""

    known: int
    """Suggestions that were made before, and not again."""

    proposals: tuple[Proposal, ...]
    calls: int = 0
    """Calls to a model that the run took, those of before it was cut short included."""

    tokens: int = 0
    resumed: bool = False
    """Whether it went on from one that was cut short."""

    failures: dict[str, int] = {}
    """What optimizers that ask a model could not do, as `OPTIMIZER: WHY`, and how often."""


class OptimizeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    dry: bool
    apps: tuple[AppRun, ...]


class GuardWrongs(msgspec.Struct, frozen=True, kw_only=True):
    """How often one guard was wrong, of the steps of which enough was said. Counts, never content."""

    clause: str
    guard: str
    caught: int
    false_alarms: int
    missed: int
    silent: int
    """Honest steps that it left alone."""

    contested: int
    voices: int
    """Different persons and keys behind this."""

    false_alarm_rate: tuple[float, float]
    """Of honest steps, those it stopped or flagged: 95 % interval."""

    missed_rate: tuple[float, float]
    """Of violations, those it missed: 95 % interval."""


class LineCount(msgspec.Struct, frozen=True, kw_only=True):
    """How the sessions ended of which enough was said and in whose requests one line of instructions was.

    As of the newest run of optimizers.
    """

    line: str
    helped: int
    """Sessions in which nothing was a violation."""

    hurt: int


class AppWrongs(msgspec.Struct, frozen=True, kw_only=True):
    """The guards of one app, and how many signals of which kind this rests on."""

    app: str
    signals: dict[str, int]
    guards: tuple[GuardWrongs, ...]
    lines: tuple[LineCount, ...] = ()


class Wrongs(msgspec.Struct, frozen=True, kw_only=True):
    """How often guards were wrong, app by app."""

    apps: tuple[AppWrongs, ...]


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One version of what is in force for an app."""

    revision: str
    app: str
    parent: str | None
    parameters: str
    """Digest of all it puts in force."""

    author: str
    proposal: str | None
    in_force: bool
    sessions: int
    principals: int
    scores: dict[str, float]
    at: str


class RevisionList(msgspec.Struct, frozen=True, kw_only=True):
    """Revisions, newest first."""

    revisions: tuple[Revision, ...]


class RevisionDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What one revision has otherwise than another."""

    revision: str
    against: str | None
    """None: it is the first."""

    diff: tuple[str, ...]


def proposal(whole: "Whole", before: "Parameters | None") -> Proposal:
    """A proposal as it is kept; `before`: what it changes."""
    filed, trial = whole.filed, whole.trial
    made = suggested(filed.proposal, filed.climb, before)
    return msgspec.structs.replace(
        made,
        trial=None if trial is None else _trial(trial, whole.woulds),
        moves=tuple(
            [
                Move(
                    at=rfc3339(each.at_ns),
                    state=each.state,
                    rung=each.rung,
                    outcome=each.outcome,
                    why=each.why,
                    by_a_person=each.person,
                )
                for each in whole.moves
            ]
        ),
        number=filed.number,
        state=filed.state,
        filed_at=rfc3339(filed.filed_ns),
        decided_by=filed.decided_by,
        decided_reason=filed.decided_reason,
        decided_at=None if filed.decided_ns is None else rfc3339(filed.decided_ns),
    )


def suggested(what: "Suggested", climbed: "Climb", before: "Parameters | None") -> Proposal:
    """A proposal that nobody kept."""
    return Proposal(
        number=None,
        app=what.app,
        state="dry",
        author=what.author,
        why=what.why,
        direction=climbed.direction,
        sessions=len(what.support.sessions),
        principals=len(what.support.principals),
        rungs=tuple([
            Rung(
                rung=each.rung, outcome=each.outcome, why=each.why, note=each.note,
                scores={score.name: score.value for score in each.scores},
            )
            for each in climbed.decisions
        ]),
        edits=tuple([msgspec.to_builtins(edit) for edit in what.edits]),
        diff=_changes(what, before),
    )  # fmt: skip


def app_run(found: "errands.AppRun", before: "Callable[[str, str], Parameters | None]") -> AppRun:
    """A run for one app; `before` finds parameters by app and digest."""
    shown: list[Proposal] = []
    for tried in found.tried:
        made = suggested(tried.proposal, tried.climb, before(found.app, tried.proposal.parent))
        state = "dry" if tried.number is None else "waiting" if tried.climb.last.outcome == "waiting" else "refused"
        shown.append(msgspec.structs.replace(made, number=tried.number, state=state))
    return AppRun(
        app=found.app,
        episodes=found.episodes,
        violating=found.violating,
        kept_back=found.kept_back,
        known=found.known,
        proposals=tuple(shown),
        calls=found.spent.calls,
        tokens=found.spent.tokens,
        resumed=found.resumed,
        failures=dict(Counter([f"{name}: {why}" for name, why in found.failures])),
    )


def app_wrongs(app: str, record: "episodes.Record", lines: "Sequence[LineEnds]") -> AppWrongs:
    """How often the guards of one app were wrong, and how sessions ended with each line of instructions."""
    guards = tuple([GuardWrongs(**msgspec.structs.asdict(each)) for each in record.guards])
    ends = tuple([LineCount(**msgspec.structs.asdict(each)) for each in lines])
    return AppWrongs(app=app, signals=dict(record.signals), guards=guards, lines=ends)


def revision(kept: "Kept", *, in_force: bool) -> Revision:
    """A revision as it is kept."""
    what = kept.revision
    return Revision(
        revision=what.digest,
        app=what.app,
        parent=what.parent,
        parameters=what.parameters,
        author=what.author,
        proposal=what.proposal,
        in_force=in_force,
        sessions=len(what.support.sessions),
        principals=len(what.support.principals),
        scores={score.name: score.value for score in what.scores},
        at=rfc3339(what.at_ns),
    )


def revision_diff(kept: "Kept", before: "Kept | None") -> RevisionDiff:
    """What it has otherwise than another."""
    from policies.differences import difference  # noqa: PLC0415 - with every kind of guard

    lines = () if before is None else difference(before.parameters, kept.parameters)
    against = None if before is None else before.revision.digest
    return RevisionDiff(revision=kept.revision.digest, against=against, diff=lines)


def _trial(trial: "OnTrial", woulds: "Sequence[Wanted]") -> Trial:
    canary, shadow = trial.canary, trial.shadow
    figures: dict[str, float] = {"requests": shadow.requests, "extra": shadow.extra}
    if trial.stage != "shadow":
        figures = {
            "sessions": canary.candidate.sessions, "harmed": canary.candidate.harmed,
            "sessions_before": canary.in_force.sessions, "harmed_before": canary.in_force.harmed,
            "worse": canary.worse.won, "not_worse": canary.not_worse.won,
        }  # fmt: skip
    shown = tuple(
        [
            Would(session_id=each.session_id, step_id=each.step_id, was=each.was, would=f"would_{each.would}")
            for each in woulds
        ]
    )
    return Trial(stage=trial.stage, figures=figures | {"unread": trial.unread, "skipped": trial.skipped}, woulds=shown)


def _changes(what: "Suggested", before: "Parameters | None") -> tuple[str, ...] | None:
    from policies.differences import difference  # noqa: PLC0415 - with every kind of guard
    from policies.parameters import EditRefused, apply  # noqa: PLC0415

    if before is None:
        return None
    try:
        return difference(before, apply(before, what.edits))
    except EditRefused:
        return None
