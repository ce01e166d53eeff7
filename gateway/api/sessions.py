"""Sessions and their steps."""

import time
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from gateway.api import answers
from gateway.api.access import actor_of, requires, scope_of, sees
from gateway.api.looks import look
from gateway.api.numbers import LARGEST
from gateway.api.ports import Audit, Desk, Erased, NotFound, Records
from gateway.api.reading import Reader
from gateway.times import moment_ns
from policies.vocabulary.keys import Principal
from policies.vocabulary.verdicts import VerdictName
from storage.rows import SessionRow
from storage.sessions import SessionFilter

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most.")]
Moment = Annotated[str | None, QueryParameter(max_length=64, description="RFC 3339, or `2h` back from now.")]
Longest = Annotated[int, QueryParameter(ge=0, le=10_000_000, description="Characters of each text; 0 for none.")]


def visible(records: Records, principal: Principal, session_id: str) -> SessionRow:
    """A session this principal may see. Raises `Erased`, or `NotFound`, also where it belongs to another app."""
    # Narrowed in the look-up: "more than one id starts so" would tell that another app has such an id.
    row = records.session(session_id, app=scope_of(principal, None))
    if row is None or not sees(principal, row.app):
        erased = records.erased_session(session_id)
        if erased is not None and sees(principal, erased.app):
            raise Erased("session", erased)
        raise NotFound("no session has this id")
    return row


@get("/api/sessions", opt=requires("viewer"), sync_to_thread=True)
def list_sessions(  # noqa: PLR0913, PLR0917 - each filter has its own place in the address
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
    limit: Limit = 50,
    before: Annotated[str | None, QueryParameter(max_length=200, description="`next` of the page before.")] = None,
    app: Annotated[str | None, QueryParameter(max_length=200, description="Only this app's.")] = None,
    since: Moment = None,
    until: Moment = None,
    agent: Annotated[str | None, QueryParameter(max_length=200, description="Only this agent's.")] = None,
    model: Annotated[str | None, QueryParameter(max_length=200, description="Only with this model.")] = None,
    clause: Annotated[str | None, QueryParameter(max_length=300, description="Only where it found something.")] = None,
    verdict: Annotated[VerdictName | None, QueryParameter(description="Only with this one or a stronger.")] = None,
    cost: Annotated[float | None, QueryParameter(ge=0, le=1e9, description="US dollars it cost at least.")] = None,
) -> answers.SessionList:
    """Sessions, newest activity first."""
    now_ns = time.time_ns()
    wanted = SessionFilter(
        app=scope_of(principal, app),
        agent=agent,
        model=model,
        clause=clause,
        verdict=verdict,
        since_ns=None if since is None else moment_ns(since, now_ns=now_ns),
        until_ns=None if until is None else moment_ns(until, now_ns=now_ns),
        cost_micro_usd=None if cost is None else round(cost * 1_000_000),
    )
    rows = records.sessions(wanted, limit=limit + 1, before=before)
    shown = rows[:limit]
    return answers.SessionList(
        sessions=tuple(answers.Session.of(row) for row in shown),
        next=shown[-1].session_id if len(rows) > limit else None,
    )


@get("/api/sessions/{session_id:str}", opt=requires("viewer"), sync_to_thread=True)
def show_session(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.SessionDetail:
    """One session with its branches and exchanges."""
    row = visible(records, principal, session_id)
    return answers.SessionDetail(
        session=answers.Session.of(row),
        branches=tuple(answers.Branch.of(branch) for branch in records.branches(row.session_id)),
        exchanges=tuple(answers.Exchange.of(exchange) for exchange in records.exchanges(row.session_id)),
    )


@get("/api/sessions/{session_id:str}/steps", opt=requires("viewer"), sync_to_thread=True)
def show_steps(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    reader: NamedDependency[SkipValidation[Reader]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    text: Longest = 10_000,
    after: Annotated[
        int, QueryParameter(ge=0, le=LARGEST, description="A turn's `number`: only steps of later ones.")
    ] = 0,
    turns: Annotated[int | None, QueryParameter(ge=1, le=1000, description="Of how many turns at most.")] = None,
) -> answers.StepList:
    """The steps of one session in order, each with its text."""
    row = visible(records, principal, session_id)
    if text:
        look(audit, principal, "steps", app=row.app, session=row.session_id)
    if turns is None and not after:
        exchanges, steps = records.exchanges(row.session_id), records.steps(row.session_id)
    else:
        found = records.turns(row.session_id, after=after, limit=turns or 1000)
        exchanges, steps = [each.exchange for each in found], [step for each in found for step in each.steps]
    shown = reader.steps(exchanges, steps, longest=text)
    return answers.StepList(session_id=row.session_id, steps=tuple(shown))


@post("/api/sessions/{session_id:str}/terminate", opt=requires("operator"), status_code=200)
async def terminate_session(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Session:
    """Refuse every later request of this session."""
    row = visible(records, principal, session_id)
    await desk.terminate(row.session_id, actor=actor_of(principal))
    return answers.Session.of(visible(records, principal, row.session_id))
