"""What is kept and what is not: erasing for good, and keeping a session beyond its time."""

from typing import Annotated

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import actor_of, requires
from gateway.api.ports import Desk, Records
from gateway.api.sessions import visible
from policies.vocabulary.erasures import BASIS, Order
from policies.vocabulary.keys import Principal
from storage.legal_holds import HoldChange
from storage.rows import SessionRow

Who = Annotated[str, Meta(min_length=1, max_length=100)]


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be erased, on whose word."""

    scope: Annotated[str, Meta(min_length=3, max_length=2000)]
    """`session:ID`, `user:ID` as the client names its end user, or `app:NAME`."""

    basis: Annotated[str, Meta(pattern=BASIS)]
    """Stands in the audit log for good, word for word: name the law or contract, and nobody."""

    by: Who
    """Who decided."""


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who decided, and why."""

    by: Who
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


@post("/api/erasures", opt=requires("admin"), status_code=200)
async def erase(
    data: JSONBody[Wanted],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Erasure:
    """Destroy what is recorded of a session, an end user or an app, and the keys it lies under."""
    order = Order(scope=data.scope, basis=data.basis, by=data.by, actor=actor_of(principal))
    return answers.Erasure.of(await desk.erase(order))


@post("/api/sessions/{session_id:str}/hold", opt=requires("admin"), status_code=200)
async def keep_session(
    session_id: FromPath[str],
    data: JSONBody[Change],
    records: NamedDependency[SkipValidation[Records]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Retention:
    """Keep a session beyond its time: retention and erasing pass it by."""
    row = visible(records, principal, session_id)
    await desk.keep(row.session_id, _change(data, row, principal))
    return answers.Retention(session_id=row.session_id, held=True)


@post("/api/sessions/{session_id:str}/release", opt=requires("admin"), status_code=200)
async def release_session(
    session_id: FromPath[str],
    data: JSONBody[Change],
    records: NamedDependency[SkipValidation[Records]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Retention:
    """Keep a session no longer than others."""
    row = visible(records, principal, session_id)
    await desk.release(row.session_id, _change(data, row, principal))
    return answers.Retention(session_id=row.session_id, held=False)


def _change(data: Change, row: SessionRow, principal: Principal) -> HoldChange:
    return HoldChange(app=row.app, by=data.by, reason=data.reason, actor=actor_of(principal))
