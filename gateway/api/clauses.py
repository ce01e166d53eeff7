"""The clauses in force, and how often each has found something lately."""

import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import SUFFICES, NotAllowed, requires, scope_of, sees
from gateway.api.ports import Desk, InForce, ModeReader, Records
from policies.errors import StepwardenError
from policies.evaluate import Rule
from policies.mistakes import nearest
from policies.vocabulary.keys import Principal
from policies.vocabulary.modes import EVERY, LONGEST_NS, Mode, ModeChange, Modes
from policies.vocabulary.verdicts import STRENGTH

_LOG: Final = logging.getLogger("stepwarden.clauses")

COUNTED = 200
"""Newest exchanges that are looked at: each costs one read of its judgement."""


@get("/api/clauses", opt=requires("viewer"), sync_to_thread=True)
def list_clauses(
    records: NamedDependency[SkipValidation[Records]],
    in_force: NamedDependency[SkipValidation[InForce]],
    modes: NamedDependency[SkipValidation[ModeReader]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.ClauseList:
    """The clauses in force, app by app, with how often each found something in the newest exchanges."""
    counted, fired, stopped = _fired(records, scope_of(principal, None))
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
                    fired=fired[app, rule.name],
                    stopped=stopped[app, rule.name],
                    change=shadowed.get(rule.name),
                )
                for rule in ruleset.rules
            ),
        )
        for app, ruleset in in_force.rulesets().items()
        for shadowed in (changed.shadowed(app, now_ns),)
        if sees(principal, app)
    ]
    return answers.ClauseList(apps=tuple(shown), counted=counted)


class NoSuchClause(StepwardenError):
    """No clause of this name is in force for the app."""

    status = 404

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no clause {name[:128]!r} is in force here")
        self._nearest = nearest(name, known)

    def remedy(self) -> str:
        """The nearest name."""
        return f"{self._nearest} `stepwarden clauses list` shows them all."


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
    """`policy/clause`."""

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
    if any(rule.clause.protected for rule in _meant(in_force, data.clause, app)):
        _require_admin(principal)
    now_ns = time.time_ns()
    change = ModeChange(
        clause=data.clause,
        app=app,
        mode=data.mode,
        at_ns=now_ns,
        until_ns=_until_ns(data, now_ns),
        by=data.by,
        key_id=principal.key_id,
        reason=data.reason,
    )
    if data.mode == "enforce" and not Modes(modes.changes()).touches(data.clause, app, now_ns):
        raise NotOutOfForce("nobody has taken this clause out of force")
    await desk.change_mode(change)
    _LOG.warning("a clause was changed by a person", extra={"clause": change.clause, "mode": change.mode, "app": app})
    return answers.OutOfForce.of(change)


def _meant(in_force: InForce, name: str, app: str) -> list[Rule]:
    """The rules of this name, in every app that is meant. Raises `NoSuchClause`."""
    rulesets = in_force.rulesets()
    meant = rulesets.values() if app == EVERY else [rulesets.get(app) or rulesets.get("default")]
    rules = [rule for ruleset in meant if ruleset is not None for rule in ruleset.rules]
    found = [rule for rule in rules if rule.name == name]
    if not found:
        raise NoSuchClause(name, {rule.name for rule in rules})
    return found


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


_Counted: TypeAlias = Counter[tuple[str, str]]
"""By app and clause."""


def _fired(records: Records, app: str | None) -> tuple[int, _Counted, _Counted]:
    """How many exchanges were looked at, in how many each clause found something, and had its way beyond a flag."""
    fired, stopped = _Counted(), _Counted()
    recent = records.recent(limit=COUNTED, app=app)
    for exchange in recent:
        judged = records.judged(exchange.exchange_id)
        if judged is not None:
            found = {finding.clause for said in judged.steps for finding in said.findings}
            fired.update((exchange.app, clause) for clause in found)
            verdicts = [said.verdict for said in judged.steps if STRENGTH[said.verdict.name] > STRENGTH["flag"]]
            stopped.update((exchange.app, clause) for clause in {one for each in verdicts for one in each.clauses})
    return len(recent), fired, stopped
