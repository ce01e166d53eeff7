"""The clauses in force, and how often each has found something lately."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Final, Self

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import SUFFICES, NotAllowed, requires, scope_of, sees
from gateway.api.ports import Desk, InForce, ModeReader, Records
from policies.errors import StepwardenError
from policies.evaluate import Ruleset, ruleset_of
from policies.mistakes import nearest
from policies.rules import Rule
from policies.vocabulary.bands import outcome
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.keys import Principal
from policies.vocabulary.modes import EVERY, LONGEST_NS, Mode, ModeChange, Modes
from policies.vocabulary.verdicts import STRENGTH, VerdictName

_LOG: Final = logging.getLogger("stepwarden.clauses")

COUNTED = 200
"""Newest exchanges that are looked at: each costs one read of its judgement."""

SLOTS = 20
"""Into how many parts these are cut for a picture of them."""


@get("/api/clauses", opt=requires("viewer"), sync_to_thread=True)
def list_clauses(
    records: NamedDependency[SkipValidation[Records]],
    in_force: NamedDependency[SkipValidation[InForce]],
    modes: NamedDependency[SkipValidation[ModeReader]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.ClauseList:
    """The clauses in force, app by app, with how often each found something in the newest exchanges."""
    rulesets = in_force.rulesets()
    counted = _Counted.over(records, scope_of(principal, None), rulesets)
    changed, now_ns = Modes(modes.changes()), time.time_ns()
    shown = [
        answers.AppClauses(
            app=app,
            enforce=ruleset.settings.enforce,
            unseen=ruleset.settings.unseen,
            ruleset=ruleset.revision,
            clauses=tuple(
                answers.Clause.of(
                    rule,
                    ruleset.settings,
                    counts=counted.of(app, rule.name),
                    change=shadowed.get(rule.name),
                )
                for rule in ruleset.rules
            ),
        )
        for app, ruleset in rulesets.items()
        for shadowed in (changed.shadowed(app, now_ns),)
        if sees(principal, app)
    ]
    return answers.ClauseList(apps=tuple(shown), counted=counted.exchanges)


class NoSuchClause(StepwardenError):
    """No clause of this name is in force for the app."""

    status = 404

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no clause {name[:128]!r} is in force here")
        self._nearest = nearest(name, known)

    def remedy(self) -> str:
        """The nearest name."""
        return f"{self._nearest} `stepwarden clauses list` shows them all."


class ClauseOfSeveral(StepwardenError):
    """A clause's own id was given, which more than one policy has."""

    status = 409

    def __init__(self, name: str, found: Iterable[str]) -> None:
        super().__init__(f"more than one policy here has a clause {name[:128]!r}")
        self._found = sorted(found)

    def remedy(self) -> str:
        """Which there are."""
        return f"Say which: {', '.join(self._found)}."


def clause_of(name: str, known: Collection[str]) -> str:
    """The clause that is meant: `policy/clause`, or its own id where one policy alone has it.

    Raises `NoSuchClause`, `ClauseOfSeveral`.
    """
    found = [name] if name in known else [each for each in known if each.partition("/")[2] == name]
    if not found:
        raise NoSuchClause(name, known)
    if len(found) > 1:
        raise ClauseOfSeveral(name, found)
    return found[0]


class NotOutOfForce(StepwardenError):
    """A clause was to be put back that nobody had taken out of force."""

    status = 409

    def remedy(self) -> str:
        """What to look at."""
        return "`stepwarden clauses list` shows what is out of force, and for which app."


class ForHowLong(StepwardenError):
    """A clause can be out of force for a while only."""

    status = 400

    def remedy(self) -> str:
        """What to say."""
        return "Say for how long, at most 7d (`--for 1h`); to put a clause back, say nothing of that."


class ModeAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A clause to be taken out of force for a while, or put back; on whose word, and why."""

    clause: Annotated[str, Meta(min_length=1, max_length=300)]
    """`policy/clause`, or the clause's own id where one policy alone has it."""

    mode: Mode
    by: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
    reason: Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\S")]
    seconds: Annotated[int, Meta(ge=1)] | None = None
    """For `shadow`: how long."""

    app: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """Only this app's; else every app's that the caller may change."""


@post("/api/clauses/mode", opt=requires("operator"), status_code=200)
async def change_mode(
    data: JSONBody[ModeAsk],
    desk: NamedDependency[SkipValidation[Desk]],
    in_force: NamedDependency[SkipValidation[InForce]],
    modes: NamedDependency[SkipValidation[ModeReader]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.OutOfForce:
    """Take a clause out of force for a while, or put it back: at once, in every worker, kept with who and why.

    A protected clause needs the role `admin`.
    """
    app = scope_of(principal, data.app) or principal.app
    meant = _meant(in_force, data.clause, app)
    if any(rule.clause.protected for rule in meant):
        _require_admin(principal)
    clause, now_ns = meant[0].name, time.time_ns()
    change = ModeChange(
        clause=clause,
        app=app,
        mode=data.mode,
        at_ns=now_ns,
        until_ns=_until_ns(data, now_ns),
        by=data.by,
        key_id=principal.key_id,
        reason=data.reason,
    )
    if data.mode == "enforce" and not Modes(modes.changes()).touches(clause, app, now_ns):
        raise NotOutOfForce("nobody has taken this clause out of force")
    await desk.change_mode(change)
    _LOG.warning("a clause was changed by a person", extra={"clause": change.clause, "mode": change.mode, "app": app})
    return answers.OutOfForce.of(change)


def _meant(in_force: InForce, name: str, app: str) -> list[Rule]:
    """The rules of the clause that is meant, in every app that is. Raises `NoSuchClause`."""
    rulesets = in_force.rulesets()
    meant = rulesets.values() if app == EVERY else [ruleset_of(rulesets, app)]
    rules = [rule for ruleset in meant if ruleset is not None for rule in ruleset.rules]
    meant_name = clause_of(name, {rule.name for rule in rules})
    return [rule for rule in rules if rule.name == meant_name]


def _require_admin(principal: Principal) -> None:
    if principal.role not in SUFFICES["admin"]:
        raise NotAllowed("this clause is protected: it takes the role `admin` to take it out of force")


def _until_ns(ask: ModeAsk, now_ns: int) -> int | None:
    """When it ends by itself. Raises `ForHowLong`."""
    if (ask.seconds is None) != (ask.mode == "enforce"):
        raise ForHowLong("how long is missing, or does not belong here")
    if ask.seconds is None:
        return None
    if ask.seconds * 1_000_000_000 > LONGEST_NS:
        raise ForHowLong("this is longer than a clause may be out of force")
    return now_ns + ask.seconds * 1_000_000_000


class _Counted:
    """What clauses found, did and would have done in the newest exchanges."""

    def __init__(self, newest: Sequence[Exchange], rulesets: Mapping[str, Ruleset]) -> None:
        self.exchanges = len(newest)
        self._rules = {app: {rule.name: rule for rule in ruleset.rules} for app, ruleset in rulesets.items()}
        self._slots: dict[tuple[str, str], list[int]] = {}
        self._stopped: Counter[tuple[str, str]] = Counter()
        self._would: dict[tuple[str, str], Counter[VerdictName]] = {}

    @classmethod
    def over(cls, records: Records, app: str | None, rulesets: Mapping[str, Ruleset]) -> Self:
        """Looks at the newest exchanges of an app, or of all."""
        newest = records.recent(limit=COUNTED, app=app)
        counted = cls(newest, rulesets)
        for back, exchange in enumerate(newest):
            judged = records.judged(exchange.exchange_id)
            if judged is not None:
                counted.add(exchange.app, judged, SLOTS - 1 - back * SLOTS // COUNTED)
        return counted

    def of(self, app: str, clause: str) -> answers.ClauseCounts:
        """The counts of one clause."""
        slots = self._slots.get((app, clause), [0] * SLOTS)
        return answers.ClauseCounts(
            fired=sum(slots),
            stopped=self._stopped[app, clause],
            would=dict(self._would.get((app, clause), Counter[VerdictName]())),
            slots=tuple(slots),
        )

    def add(self, app: str, judged: Judged, slot: int) -> None:
        """One exchange more, in its slot of time."""
        for clause in {finding.clause for said in judged.steps for finding in said.findings}:
            self._slots.setdefault((app, clause), [0] * SLOTS)[slot] += 1
        verdicts = [said.verdict for said in judged.steps if STRENGTH[said.verdict.name] > STRENGTH["flag"]]
        self._stopped.update((app, clause) for clause in {one for each in verdicts for one in each.clauses})
        rules = self._rules.get(app) or self._rules.get("default") or {}
        strongest: dict[str, VerdictName] = {}
        for said in judged.steps:
            for clause, would in _would(said, rules):
                strongest[clause] = max(would, strongest.get(clause, "allow"), key=STRENGTH.__getitem__)
        for clause, would in strongest.items():
            self._would.setdefault((app, clause), Counter())[would] += 1


def _would(said: StepJudgement, rules: Mapping[str, Rule]) -> Iterator[tuple[str, VerdictName]]:
    """Clauses that acted less than they ask for, being out of force or in an app that does not enforce; and for what.

    The record has the strongest of it; what each clause asked for is read by its bands as they are now.
    """
    verdict = said.verdict
    if verdict.shadow == "allow":
        return
    out = {row.clause for row in said.coverage if row.shadow} | set(verdict.clauses if verdict.name == "flag" else ())
    for clause in {finding.clause for finding in said.findings} & out:
        rule = rules.get(clause)
        scores = [each.score for each in said.findings if each.clause == clause and each.state != "error"]
        band = rule.band(max(scores)) if rule is not None and scores else None
        asked = verdict.shadow if rule is None or not scores else "allow" if band is None else outcome(band)
        would = min(asked, verdict.shadow, key=STRENGTH.__getitem__)
        if would != "allow":
            yield clause, would
