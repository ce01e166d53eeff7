"""Proposals and revisions: what optimizers suggest, and what persons put in force and take back."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from litestar.response import Stream
from msgspec import Meta

from gateway.api import optimizing_answers as answers
from gateway.api.access import actor_of, requires, scope_of, sees
from gateway.api.events import EVENTS, streamed
from gateway.api.looks import look
from gateway.api.numbers import Numbered
from gateway.api.ports import Audit
from policies.vocabulary.holds import Review
from policies.vocabulary.keys import Principal
from storage.errors import ProposalNotFound, RevisionNotFound

if TYPE_CHECKING:
    from gateway.optimizing.desk import RevisionDesk
else:
    RevisionDesk = Any

Asking: TypeAlias = Literal["analysis", "reflective", "back-propagation", "trace-propagation"]

State: TypeAlias = Literal["waiting", "refused", "rejected", "canary", "active", "rolled_back"]

Who: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
Why: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\S")]


class OptimizeAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which apps to propose for."""

    app: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """None: every app that the caller may see."""

    dry_run: bool = False
    """True: nothing is kept, no look is taken at the sessions kept back, and no model is asked."""

    ask: Annotated[tuple[Asking, ...], Meta(max_length=8)] = ()
    """Optimizers that ask the supervisor's model, beside those that the configuration names."""


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named person's word, and why; both are kept."""

    by: Who
    reason: Why


class Approval(Word, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's yes."""

    at_once: bool = False
    """True: in force for every session that begins from then on, without waiting for shadow and canary."""


class RollbackAsk(Word, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To which revision to go back."""

    app: Annotated[str, Meta(min_length=1, max_length=200)] = "default"
    to: Annotated[str, Meta(min_length=8, max_length=128)] | None = None
    """A revision's digest, or its beginning; None: the one before."""


@post("/api/optimize", opt=requires("operator"), media_type=EVENTS, status_code=200)
async def optimize(
    data: JSONBody[OptimizeAsk],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Stream:
    """Let optimizers propose: `progress` events, then one `report`, or one `error`. Nothing is put in force."""
    events = revision_desk.optimize(scope_of(principal, data.app), dry=data.dry_run, ask=data.ask)
    return streamed(events)


@get("/api/clauses/wrongs", opt=requires("viewer"))
async def list_wrongs(
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    principal: NamedDependency[SkipValidation[Principal]],
    app: Annotated[str | None, QueryParameter(description="Only this app's.")] = None,
) -> answers.Wrongs:
    """False alarms and misses of each guard, with intervals, as far as anybody said what a step was."""
    return await revision_desk.wrongs(scope_of(principal, app))


@get("/api/proposals", opt=requires("overseer"))
async def list_proposals(
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    app: Annotated[str | None, QueryParameter(description="Only this app's.")] = None,
    only: Annotated[State | None, QueryParameter(description="Only proposals in this state.")] = None,
) -> answers.ProposalList:
    """Proposals, newest first, with what they change and how far each came."""
    wanted = scope_of(principal, app)
    look(audit, principal, "proposals", app=wanted)
    return await revision_desk.proposals(wanted, only)


@get("/api/proposals/{number:int}", opt=requires("overseer"))
async def show_proposal(
    number: Numbered,
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Proposal:
    """One proposal: its diff, its evidence, and what each rung said."""
    found = await _proposal(revision_desk, principal, number)
    look(audit, principal, "proposals", app=found.app)
    return found


@post("/api/proposals/{number:int}/approve", opt=requires("operator"), status_code=200)
async def approve_proposal(
    number: Numbered,
    data: JSONBody[Approval],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Proposal:
    """Let a proposal go on that waits for a person: to a canary on a share of the sessions that begin, or at once."""
    found = await _proposal(revision_desk, principal, number)
    look(audit, principal, "proposals", app=found.app)
    return await revision_desk.approve(number, _review(data, principal), at_once=data.at_once)


@post("/api/proposals/{number:int}/reject", opt=requires("operator"), status_code=200)
async def reject_proposal(
    number: Numbered,
    data: JSONBody[Word],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Proposal:
    """Refuse a proposal; the same is not made again."""
    found = await _proposal(revision_desk, principal, number)
    look(audit, principal, "proposals", app=found.app)
    return await revision_desk.reject(number, _review(data, principal))


@get("/api/revisions", opt=requires("viewer"))
async def list_revisions(
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    principal: NamedDependency[SkipValidation[Principal]],
    app: Annotated[str | None, QueryParameter(description="Only this app's.")] = None,
) -> answers.RevisionList:
    """Everything that was put in force in place of policy files, newest first."""
    return await revision_desk.revisions(scope_of(principal, app))


@get("/api/revisions/{name:str}", opt=requires("viewer"))
async def show_revision(
    name: FromPath[str],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Revision:
    """One revision: who made it, and on what it rests."""
    return await _revision(revision_desk, principal, name)


@get("/api/revisions/{name:str}/diff", opt=requires("overseer"))
async def diff_revision(
    name: FromPath[str],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    against: Annotated[str | None, QueryParameter(description="Another revision; else its parent.")] = None,
) -> answers.RevisionDiff:
    """What a revision changed."""
    found = await _revision(revision_desk, principal, name)
    if against is not None:
        await _revision(revision_desk, principal, against)
    look(audit, principal, "proposals", app=found.app)
    return await revision_desk.diff(name, against)


@post("/api/revisions/{name:str}/activate", opt=requires("operator"), status_code=200)
async def activate_revision(
    name: FromPath[str],
    data: JSONBody[Word],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Revision:
    """Put what was in force once in force again."""
    await _revision(revision_desk, principal, name)
    return await revision_desk.activate(name, _review(data, principal))


@post("/api/rollback", opt=requires("operator"), status_code=200)
async def roll_back(
    data: JSONBody[RollbackAsk],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Revision:
    """Go back to an earlier revision of an app: at once, in every worker."""
    app = scope_of(principal, data.app) or data.app
    return await revision_desk.roll_back(app, data.to, _review(data, principal))


async def _proposal(desk: RevisionDesk, principal: Principal, number: int) -> answers.Proposal:
    found = await desk.proposal(number)
    if not sees(principal, found.app):
        raise ProposalNotFound(str(number))
    return found


async def _revision(desk: RevisionDesk, principal: Principal, name: str) -> answers.Revision:
    found = await desk.revision(name)
    if not sees(principal, found.app):
        raise RevisionNotFound(name, "it was never in force")
    return found


def _review(data: Word, principal: Principal) -> Review:
    return Review(actor=actor_of(principal), by=data.by, reason=data.reason)
