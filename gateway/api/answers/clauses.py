"""Answers about the clauses in force."""

from collections.abc import Mapping

import msgspec

from gateway.api.answers.values import sound, time
from gateway.times import rfc3339
from policies.evaluate import Settings
from policies.rules import Rule
from policies.tools import ToolSelector
from policies.vocabulary.bands import Band, outcome
from policies.vocabulary.modes import ModeChange
from policies.vocabulary.verdicts import VerdictName


class OutOfForce(msgspec.Struct, frozen=True, kw_only=True):
    """Whose word took a clause out of force, and until when."""

    clause: str
    app: str
    """`*`: every app's."""

    mode: str
    """`shadow`; in the answer to a change also `enforce`, which ends it."""

    since: str
    until: str | None
    by: str
    reason: str

    @classmethod
    def of(cls, change: ModeChange) -> "OutOfForce":
        """The answer for one change."""
        return cls(
            clause=change.clause,
            app=change.app,
            mode=change.mode,
            since=rfc3339(change.at_ns),
            until=time(change.until_ns),
            by=sound(change.by),
            reason=sound(change.reason),
        )


class ClauseCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How often one clause did something in the newest exchanges; see `Clause`."""

    fired: int
    stopped: int
    would: Mapping[VerdictName, int]
    slots: tuple[int, ...]


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of an app, as it stands in force."""

    name: str
    """`policy/clause`."""

    text: str
    severity: str
    mode: str
    """`shadow`: recorded, never acted on."""

    acts: bool
    """Whether it may do more than flag now: its mode, its bands and the app's `enforce` together."""

    steps: tuple[str, ...]
    tools: ToolSelector | None
    guards: tuple[str, ...]
    """Kinds, in order."""

    action: tuple[Band, ...]
    reason: str
    on_error: str
    recover: str
    protected: bool
    taxonomy: tuple[str, ...]
    fired: int | None = None
    """In how many of the newest exchanges it found something; null where nobody counted."""

    stopped: int | None = None
    """In how many of them it asked for what was done: for more than a flag."""

    would: Mapping[VerdictName, int] = {}
    """In how many of them it asked for more than was done, it or its app being out of force; by what it asked for."""

    slots: tuple[int, ...] = ()
    """`fired` over time, oldest first: the newest exchanges cut into as many parts."""

    out_of_force: OutOfForce | None = None
    """Where a person took it out of force for a while."""

    @classmethod
    def of(
        cls,
        rule: Rule,
        settings: Settings,
        *,
        counts: ClauseCounts | None = None,
        change: ModeChange | None = None,
    ) -> "Clause":
        """The answer for one clause of a ruleset."""
        clause = rule.clause
        return cls(
            name=rule.name,
            text=" ".join(clause.text.split()),
            severity=clause.severity,
            mode=clause.mode,
            acts=settings.enforce and clause.mode == "enforce" and any(outcome(band) != "flag" for band in rule.bands),
            steps=clause.steps,
            tools=clause.tools,
            guards=tuple(place for place, _ in rule.places),
            action=rule.bands,
            reason=clause.reason,
            on_error=clause.on_error,
            recover=clause.recover,
            protected=clause.protected,
            taxonomy=clause.taxonomy,
            fired=None if counts is None else counts.fired,
            stopped=None if counts is None else counts.stopped,
            would={} if counts is None else counts.would,
            slots=() if counts is None else counts.slots,
            out_of_force=None if change is None else OutOfForce.of(change),
        )


class AppClauses(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for one app."""

    app: str
    enforce: bool
    unseen: str
    ruleset: str
    """Digest of its clauses, as in a recorded judgement."""

    clauses: tuple[Clause, ...]


class ClauseList(msgspec.Struct, frozen=True, kw_only=True):
    """The clauses in force, app by app; apps nobody configured follow `default`."""

    apps: tuple[AppClauses, ...]
    counted: int
    """How many of the newest exchanges were looked at for `fired`."""
