"""The supervisor at work: calls, budgets, canaries, and how far it agrees with persons' labels. No content."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from gateway.api import answers
from gateway.api.access import requires, scope_of
from gateway.api.ports import Books, GatewayInfo, Records
from gateway.api.sessions import visible
from gateway.config import Supervisor
from gateway.times import moment_ns, rfc3339
from policies.reliability import Compared, compared, expected_error, reliability
from policies.vocabulary.keys import Principal
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.monitoring import Distrust, Filed
from policies.vocabulary.supervisor_calls import Spender
from storage.supervisor_calls import CallSum

_LABELS: Final = 500
"""Newest labels that critiques are held against: each exchange they are about is one look-up."""

_DISAGREEMENTS: Final = 100
_SLOTS: Final = 60
_MICRO: Final = 1_000_000

Since = Annotated[str, QueryParameter(max_length=64, description="RFC 3339, or `2h` back from now.")]


@get("/api/supervision", opt=requires("viewer"), sync_to_thread=True)
def show_supervision(
    books: NamedDependency[SkipValidation[Books]],
    gateway: NamedDependency[SkipValidation[GatewayInfo]],
    principal: NamedDependency[SkipValidation[Principal]],
    since: Since = "24h",
) -> answers.Supervision:
    """What the supervisor did since then, what is left of its budgets today, and what its word is worth."""
    now_ns, app = time.time_ns(), scope_of(principal, None)
    since_ns = min(moment_ns(since, now_ns=now_ns), now_ns - 1)
    sums = books.calls.sums(since_ns, -(-(now_ns - since_ns) // _SLOTS), app=app)
    return answers.Supervision(
        supervisor=gateway.supervisor,
        since=rfc3339(since_ns),
        until=rfc3339(now_ns),
        slots=tuple(_slots(sums)),
        calls=tuple(_counts(sums)),
        budgets=tuple(_budgets(books, gateway.supervisor, app, now_ns)),
        waiting=books.queue.depth(app),
        canaries=tuple([answers.Canaries.of(each) for each in gateway.sights() if app is None and each.read]),
        distrusted=tuple([_distrusted(each) for each in books.critiques.distrusted() if app in (None, each.app)]),
        agreement=_agreement(books, app),
    )


@get("/api/sessions/{session_id:str}/marks", opt=requires("viewer"), sync_to_thread=True)
def show_marks(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    books: NamedDependency[SkipValidation[Books]],
    gateway: NamedDependency[SkipValidation[GatewayInfo]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.SessionMarks:
    """Where in a session supervisors and persons found something."""
    row = visible(records, principal, session_id)
    found = books.critiques.of_session(row.session_id)
    distrust = next((each for each in books.critiques.distrusted() if each.session_id == row.session_id), None)
    return answers.SessionMarks(
        session_id=row.session_id,
        supervised=gateway.supervisor is not None,
        distrusted=None if distrust is None else _distrusted(distrust),
        waiting=books.queue.waiting(row.session_id),
        critiques=len(found),
        unjudged=sum(each.failure is not None for each in found),
        marks=tuple([mark for filed in found for mark in _marks(filed)]),
        labels=tuple([answers.Label.of(each) for each in books.labels.of_session(row.session_id)]),
    )


def status_of(settings: Supervisor) -> answers.SupervisorStatus | None:
    """The supervisor as it is configured; None where no model is named."""
    if settings.model is None:
        return None
    given = {
        "day": (settings.budget_tokens_per_day, settings.budget_usd_per_day),
        "app": (settings.budget_tokens_per_app, settings.budget_usd_per_app),
        "session": (settings.budget_tokens_per_session, settings.budget_usd_per_session),
    }
    limits = [
        answers.BudgetLimit(account=account, tokens=tokens, micro_usd=None if usd is None else round(usd * _MICRO))
        for account, (tokens, usd) in given.items()
    ]
    return answers.SupervisorStatus(
        model=settings.model,
        provider=settings.provider,
        room=settings.monitor_room,
        canary_every=settings.canary_every,
        limits=tuple(limits),
    )


def _slots(sums: Sequence[CallSum]) -> list[int]:
    slots = [0] * _SLOTS
    for each in sums:
        slots[min(each.slot, _SLOTS - 1)] += each.calls
    return slots


def _counts(sums: Sequence[CallSum]) -> Iterator[answers.CallCount]:
    alike: dict[tuple[str, str, str, str | None], list[CallSum]] = defaultdict(list)
    for each in sums:
        alike[each.seat, each.purpose, each.state, each.why].append(each)
    for (seat, purpose, state, why), several in alike.items():
        calls = sum(each.calls for each in several)
        micros = sum(each.micros for each in several)
        yield answers.CallCount(
            seat=seat,
            purpose=purpose,
            state=state,
            why=why,
            calls=calls,
            tokens=sum(each.tokens for each in several),
            micro_usd=sum(each.micro_usd for each in several),
            mean_ms=None if state == "begun" else micros / calls / 1000,
        )


def _budgets(
    books: Books, supervisor: answers.SupervisorStatus | None, app: str | None, now_ns: int
) -> Iterator[answers.BudgetState]:
    """The day's account for who sees every app, its app's for others."""
    if supervisor is None:
        return
    day, of_app, _ = Spender.at(now_ns, app=app or "", session_id="").accounts()
    account, limit = (day, supervisor.limits[0]) if app is None else (of_app, supervisor.limits[1])
    spent = books.calls.spent(account)
    yield answers.BudgetState(
        app=app,
        spent_tokens=spent.tokens,
        spent_micro_usd=spent.micro_usd,
        limit_tokens=limit.tokens,
        limit_micro_usd=limit.micro_usd,
    )


def _distrusted(distrust: Distrust) -> answers.Distrusted:
    return answers.Distrusted(
        session_id=distrust.session_id, app=distrust.app, clauses=distrust.clauses, at=rfc3339(distrust.at_ns)
    )


def _agreement(books: Books, app: str | None) -> answers.Agreed:
    labels = books.labels.list(app=app, limit=_LABELS)
    pairs = _pairs(books, labels)
    bins = reliability([(each.score, each.label == "violation") for each in pairs])
    sessions = {each.step_id: each.session_id for each in labels}
    counts = {kind: sum(each.agreement == kind for each in pairs) for kind in ("agreed", "unsure")}
    apart = [each for each in pairs if each.agreement in ("missed", "false_alarm")]
    newest = sorted(apart, key=lambda each: each.at_ns, reverse=True)[:_DISAGREEMENTS]
    return answers.Agreed(
        labels=len(labels),
        pairs=len(pairs),
        agreed=counts["agreed"],
        unsure=counts["unsure"],
        missed=sum(each.agreement == "missed" for each in apart),
        false_alarms=sum(each.agreement == "false_alarm" for each in apart),
        bins=tuple(bins),
        error=expected_error(bins),
        disagreements=tuple([answers.Disagreement.of(each, sessions.get(each.step_id)) for each in newest]),
    )


def _pairs(books: Books, labels: Sequence[LabelGiven]) -> list[Compared]:
    exchanges = dict.fromkeys([each.step_id.partition(".")[0] for each in labels])
    found = {
        filed.critique.critique_id: filed.critique
        for exchange_id in exchanges
        for filed in books.critiques.of_exchange(exchange_id)
    }
    return compared(labels, found.values())


def _marks(filed: Filed) -> Iterator[answers.Mark]:
    """The first bad step of each opinion that is not `ok`; where none is named, the last step it was asked about."""
    critique = filed.critique
    for opinion in critique.opinions:
        place = opinion.first_bad_step or (critique.steps[-1] if critique.steps else None)
        if opinion.label == "ok" or place is None:
            continue
        exchange_id, _, seq = place.partition(".")
        yield answers.Mark(
            exchange_id=exchange_id,
            seq=int(seq),
            seat=critique.seat,
            clause=opinion.clause,
            label=opinion.label,
            score=opinion.score,
        )
