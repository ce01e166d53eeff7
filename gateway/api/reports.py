"""What an application told of its own sessions: spans that nobody here witnessed."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from gateway.api.access import requires
from gateway.api.looks import look
from gateway.api.ports import Audit, Records
from gateway.api.sessions import visible
from gateway.reported.order import as_tree
from gateway.times import rfc3339
from policies.vocabulary.keys import Principal
from policies.vocabulary.reports import ReportedSpan

_NO_DETAIL = msgspec.Raw(b"null")


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """One span as the application told it."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    depth: int
    """How many of the spans here it lies below."""

    fidelity: str = "reported"
    name: str
    kind: str
    status: str
    started_at: str
    ended_at: str
    operation: str | None
    provider: str | None
    model: str | None
    tool: str | None
    agent: str | None
    conversation: str | None
    input_tokens: int | None
    output_tokens: int | None
    exchanges: tuple[str, ...]
    """Exchanges of the session whose request named this span as its parent."""

    shortened: int
    """Values that were cut or left out for their size."""

    detail: msgspec.Raw
    """Attributes, events, links, resource and scope; null where not asked for or not kept."""

    @classmethod
    def of(cls, span: ReportedSpan, depth: int, exchanges: tuple[str, ...]) -> "Reported":
        """The answer for one span."""
        return cls(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_span_id=None if span.parent_span_id is None else span.parent_span_id.hex(),
            depth=depth,
            name=span.name,
            kind=span.kind,
            status=span.status,
            started_at=rfc3339(span.started_ns),
            ended_at=rfc3339(span.ended_ns),
            operation=span.operation,
            provider=span.provider,
            model=span.model,
            tool=span.tool,
            agent=span.agent,
            conversation=span.conversation,
            input_tokens=span.input_tokens,
            output_tokens=span.output_tokens,
            exchanges=exchanges,
            shortened=span.shortened,
            detail=_NO_DETAIL if span.detail is None else msgspec.Raw(span.detail),
        )


class ReportedList(msgspec.Struct, frozen=True, kw_only=True):
    """What an application told of a session, each span behind its parent."""

    session_id: str
    spans: tuple[Reported, ...]
    more: bool
    """Whether there are later ones than were asked for."""


@get("/api/sessions/{session_id:str}/reported", opt=requires("viewer"), sync_to_thread=True)
def list_reported(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    limit: Annotated[int, QueryParameter(ge=1, le=10_000, description="How many at most.")] = 1000,
    detail: Annotated[bool, QueryParameter(description="With what each says.")] = False,  # noqa: FBT002 - a flag in an address
) -> ReportedList:
    """Spans the application reported of one session, by its traces and the name of its conversation."""
    row = visible(records, principal, session_id)
    spans = records.reported(row.session_id, limit + 1, in_full=detail)
    if detail and spans:
        look(audit, principal, "steps", app=row.app, session=row.session_id)
    parents: dict[bytes, tuple[str, ...]] = {}
    for exchange in records.exchanges(row.session_id) if spans else ():
        if (parent := exchange.parent_span_id) is not None:
            parents[parent] = (*parents.get(parent, ()), exchange.exchange_id)
    shown = as_tree(spans[:limit])
    return ReportedList(
        session_id=row.session_id,
        spans=tuple(Reported.of(span, depth, parents.get(span.span_id, ())) for depth, span in shown),
        more=len(spans) > limit,
    )
