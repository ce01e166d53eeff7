"""Critiques of recorded sessions, and what persons say of their steps."""

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import actor_of, requires, scope_of
from gateway.api.clauses import clause_of
from gateway.api.exchanges import visible as visible_exchange
from gateway.api.looks import look
from gateway.api.ports import Audit, Books, Desk, InForce, NotFound, Records
from gateway.api.reading import Reader
from gateway.api.retention import Who
from gateway.api.sessions import visible
from policies.afterwards import judged_clauses
from policies.errors import StepwardenError
from policies.evaluate import Ruleset, ruleset_of
from policies.trail import utf8
from policies.vocabulary.critiques import Opinion, Quote
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.keys import Principal
from policies.vocabulary.labels import LabelGiven, StepLabel
from policies.vocabulary.monitoring import Awaiting, Filed
from policies.vocabulary.steps import Step

_DEMANDED: Final = 1000
"""Riskier than anything: a person waits for it."""

_STEP: Final = re.compile(r"(.+)\.([0-9]{1,4})")


class NothingToAsk(StepwardenError):
    """No clause of the app is about any step of the session."""

    status = 409

    def remedy(self) -> str:
        """What a supervisor holds steps against."""
        return "Name a policy for the app in [app.NAME]: its clauses are what a supervisor holds steps against."


class NotAStep(StepwardenError):
    """What was named is no step."""

    status = 400

    def remedy(self) -> str:
        """How a step is named."""
        return "A step is EXCHANGE.NUMBER, as `stepwarden sessions show` lists them: 01JD....3 for its fourth."


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's label."""

    label: StepLabel
    by: Who
    clause: Annotated[str, Meta(min_length=3, max_length=200)] | None = None
    """`policy/clause`; without it the step as a whole is meant."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\S")] | None = None
    """Why; kept with it, and in the log as a commitment."""


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On whose word."""

    by: Who


@get("/api/sessions/{session_id:str}/critiques", opt=requires("viewer"), sync_to_thread=True)
def list_critiques(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    reader: NamedDependency[SkipValidation[Reader]],
    books: NamedDependency[SkipValidation[Books]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Critiques:
    """What supervisors and persons said of a session, with the words they stand on."""
    row = visible(records, principal, session_id)
    look(audit, principal, "critiques", app=row.app, session=row.session_id)
    found = books.critiques.of_session(row.session_id)
    return answers.Critiques(
        session_id=row.session_id,
        critiques=shown(found, records, reader),
        labels=tuple([answers.Label.of(each) for each in books.labels.of_session(row.session_id)]),
        waiting=books.queue.waiting(row.session_id),
        distrusted=any(each.session_id == row.session_id for each in books.critiques.distrusted()),
    )


@post("/api/sessions/{session_id:str}/critique", opt=requires("operator"), status_code=202)
async def critique_session(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    in_force: NamedDependency[SkipValidation[InForce]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Asked:
    """Put a recorded session before the supervisor now, ahead of whatever else waits."""
    row = visible(records, principal, session_id)
    ruleset = ruleset_of(in_force.rulesets(), row.app)
    if ruleset is None:
        raise NothingToAsk("no clause is in force for the app of this session")
    recorded = await asyncio.to_thread(records.steps, row.session_id)
    steps = demanded(recorded, row.app, ruleset)
    if not steps:
        raise NothingToAsk("no clause of this app is about any step of this session")
    await desk.demand(steps)
    return answers.Asked(session_id=row.session_id, steps=len(steps), clauses=steps[0].clauses)


@post("/api/sessions/{session_id:str}/trust", opt=requires("operator"), status_code=200)
async def trust_session(
    session_id: FromPath[str],
    data: JSONBody[Word],
    records: NamedDependency[SkipValidation[Records]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Trusted:
    """End the distrust of a session: its calls wait for nobody any more."""
    row = visible(records, principal, session_id)
    ended = await desk.trust(row.session_id, by=data.by, actor=actor_of(principal))
    return answers.Trusted(session_id=row.session_id, ended=ended)


@post("/api/steps/{step_id:str}/label", opt=requires("operator"), status_code=200)
async def label_step(
    step_id: FromPath[str],
    data: JSONBody[Given],
    records: NamedDependency[SkipValidation[Records]],
    books: NamedDependency[SkipValidation[Books]],
    in_force: NamedDependency[SkipValidation[InForce]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Label:
    """Say of a step whether it was in order; the clause is one that is in force for its app, or was held against it."""
    named = _STEP.fullmatch(step_id)
    if named is None:
        raise NotAStep(f"{step_id[:80]!r} is no step")
    exchange = visible_exchange(records, principal, named[1])
    seq = int(named[2])
    step = next((step for step in records.exchange_steps(exchange.exchange_id) if step.seq == seq), None)
    if step is None:
        raise NotFound("this exchange has no such step")
    clause = data.clause
    if clause is not None:
        clause = clause_of(clause, await asyncio.to_thread(_clauses, exchange, records, books, in_force))
    given = LabelGiven(
        step_id=step.step_id,
        session_id=step.session_id,
        app=exchange.app,
        clause=clause,
        label=data.label,
        by=data.by,
        reason=data.reason,
        actor=actor_of(principal),
        at_ns=time.time_ns(),
    )
    await desk.label(given)
    return answers.Label.of(given)


def _clauses(exchange: Exchange, records: Records, books: Books, in_force: InForce) -> set[str]:
    """What a label of one of its steps can be about."""
    ruleset = ruleset_of(in_force.rulesets(), exchange.app)
    known = set[str]() if ruleset is None else {rule.name for rule in ruleset.rules}
    judged = records.judged(exchange.exchange_id)
    if judged is not None:
        known |= {row.clause for said in judged.steps for row in (*said.coverage, *said.findings)}
    critiques = books.critiques.of_exchange(exchange.exchange_id)
    return known | {opinion.clause for filed in critiques for opinion in filed.critique.opinions}


@get("/api/labels", opt=requires("viewer"), sync_to_thread=True)
def list_labels(
    books: NamedDependency[SkipValidation[Books]],
    principal: NamedDependency[SkipValidation[Principal]],
    limit: Annotated[int, QueryParameter(ge=1, le=10_000, description="How many at most.")] = 1000,
) -> answers.LabelList:
    """What persons said of steps, newest first."""
    found = books.labels.list(app=scope_of(principal, None), limit=limit)
    return answers.LabelList(labels=tuple([answers.Label.of(each) for each in found]))


def demanded(steps: Sequence[Step], app: str, ruleset: Ruleset) -> tuple[Awaiting, ...]:
    """The steps of a session that any of the clauses a supervisor is asked about is about."""
    clauses = judged_clauses(ruleset)
    kinds = {kind for rule in ruleset.rules if rule.name in clauses for kind in rule.clause.steps}
    return tuple(
        [
            Awaiting(
                step_id=step.step_id,
                session_id=step.session_id,
                app=app,
                ruleset=ruleset.revision,
                clauses=clauses,
                risk=_DEMANDED,
                size=step.size,
                since_ns=time.time_ns(),
            )
            for step in steps
            if step.kind in kinds and (step.size or step.unread is None)
        ]
    )


def shown(found: Sequence[Filed], records: Records, reader: Reader) -> tuple[answers.Critique, ...]:
    """Critiques with the words that they quote, as far as these were kept."""
    quoting = _Quoting(records, reader)
    return tuple(
        [
            answers.Critique.of(
                filed, tuple([answers.Opined.of(each, quoting.quotes(each)) for each in filed.critique.opinions])
            )
            for filed in found
        ]
    )


class _Quoting:
    """Finds quoted words in recorded steps; reads each step once."""

    def __init__(self, records: Records, reader: Reader) -> None:
        self._records = records
        self._reader = reader
        self._texts: dict[str, str | None] = {}

    def quotes(self, opinion: Opinion) -> tuple[answers.Quote, ...]:
        """The quotes of one opinion."""
        return tuple(
            [
                answers.Quote(step_id=each.step_id, start=each.start, end=each.end, text=self._words(each))
                for each in opinion.quotes
            ]
        )

    def _words(self, quote: Quote) -> str | None:
        text = self._text(quote.step_id)
        return None if text is None else utf8(text)[quote.start : quote.end].decode("utf-8", "replace")

    def _text(self, step_id: str) -> str | None:
        if step_id not in self._texts:
            self._texts[step_id] = self._read(step_id)
        return self._texts[step_id]

    def _read(self, step_id: str) -> str | None:
        exchange = self._records.exchange(step_id.partition(".")[0])
        if exchange is None:
            return None
        steps = [step for step in self._records.exchange_steps(exchange.exchange_id) if step.step_id == step_id]
        return self._reader.texts(exchange, steps)[0] if steps else None
