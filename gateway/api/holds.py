"""Holds: steps that wait for a person, and the person's answer."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import actor_of, requires, scope_of, sees
from gateway.api.looks import look
from gateway.api.ports import Audit, Desk, HoldReader, NotFound
from policies.vocabulary.holds import Hold, HoldState, Review
from policies.vocabulary.keys import Principal


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's answer; the reason is kept."""

    by: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """Who decided, where the key does not say it."""

    reason: Annotated[str, Meta(max_length=1000)] | None = None


def _visible(holds: HoldReader, principal: Principal, hold_id: str) -> Hold:
    hold = holds.get(hold_id)
    if not sees(principal, hold.ask.app):
        raise NotFound("no hold has this id")
    return hold


@get("/api/holds", opt=requires("overseer"), sync_to_thread=True)
def list_holds(
    holds: NamedDependency[SkipValidation[HoldReader]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    only: Annotated[HoldState | None, QueryParameter(description="Only holds in this state.")] = None,
) -> answers.HoldList:
    """Holds, newest first."""
    app = scope_of(principal, None)
    look(audit, principal, "holds", app=app)
    found = holds.list(state=only, app=app)
    return answers.HoldList(holds=tuple(answers.Hold.of(each) for each in found))


@post("/api/holds/{hold_id:str}/approve", opt=requires("operator"), status_code=200)
async def approve_hold(
    hold_id: FromPath[str],
    data: JSONBody[Answer],
    holds: NamedDependency[SkipValidation[HoldReader]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Hold:
    """Let exactly this step pass, once."""
    hold = _visible(holds, principal, hold_id)
    return answers.Hold.of(await desk.decide_hold(hold.hold_id, approve=True, review=_review(data, principal)))


@post("/api/holds/{hold_id:str}/reject", opt=requires("operator"), status_code=200)
async def reject_hold(
    hold_id: FromPath[str],
    data: JSONBody[Answer],
    holds: NamedDependency[SkipValidation[HoldReader]],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Hold:
    """Refuse this step; a retry of it is refused too."""
    hold = _visible(holds, principal, hold_id)
    return answers.Hold.of(await desk.decide_hold(hold.hold_id, approve=False, review=_review(data, principal)))


def _review(data: Answer, principal: Principal) -> Review:
    return Review(actor=actor_of(principal), by=data.by, reason=data.reason)
