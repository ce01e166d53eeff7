"""Sessions and their steps."""

import time
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from gateway.api import answers
from gateway.api.access import actor_of, requires, scope_of, sees
from gateway.api.ports import Audit, Desk, Erased, NotFound, Records
from gateway.api.reading import Reader
from gateway.times import moment_ns
from policies.vocabulary.audit import ContentRead
from policies.vocabulary.keys import Principal
from storage.rows import SessionRow

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most.")]
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
def list_sessions(
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
    limit: Limit = 50,
    before: Annotated[str | None, QueryParameter(max_length=200, description="`next` of the page before.")] = None,
    app: Annotated[str | None, QueryParameter(max_length=200, description="Only this app's.")] = None,
    since: Annotated[str | None, QueryParameter(max_length=64, description="RFC 3339, or `2h` back from now.")] = None,
) -> answers.SessionList:
    """Sessions, newest activity first."""
    since_ns = None if since is None else moment_ns(since, now_ns=time.time_ns())
    rows = records.sessions(limit=limit + 1, before=before, app=scope_of(principal, app), since_ns=since_ns)
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
) -> answers.StepList:
    """The steps of one session in order, each with its text."""
    row = visible(records, principal, session_id)
    if text:
        session = audit.alias(row.session_id)
        audit.note(ContentRead(actor=actor_of(principal), tenant=row.app, what="steps", session=session))
    exchanges, steps = records.exchanges(row.session_id), records.steps(row.session_id)
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
