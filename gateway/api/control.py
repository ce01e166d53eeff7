"""The control plane put together: one router whose every route passes the same door."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.params import SkipValidation

from gateway.api import (
    audit,
    backtests,
    clauses,
    critiques,
    exchanges,
    explanations,
    exports,
    holds,
    keys,
    live,
    mcp,
    optimizing,
    reports,
    retention,
    search,
    sessions,
    sign_in,
    status,
    supervision,
    turns,
    usage,
)
from gateway.api.access import Access, requires
from gateway.api.answers import Problem
from gateway.api.asked import asked_within
from gateway.api.backtests import Backtests
from gateway.api.live import LiveFeed
from gateway.api.ports import (
    Audit,
    Books,
    CallReader,
    CritiqueReader,
    Desk,
    GatewayInfo,
    HoldReader,
    InForce,
    KeyReader,
    LabelReader,
    Logins,
    ModeReader,
    PinReader,
    QueueReader,
    Records,
    SignIns,
)
from gateway.api.problems import EXCEPTION_HANDLERS, SAFE_HEADERS
from gateway.api.reading import Dialects, Reader
from gateway.api.search import Searches
from gateway.api.self_check import SelfCheck
from gateway.application import Application
from gateway.config.limits import Limits
from gateway.contents import Reach
from gateway.optimizing.desk import RevisionDesk
from policies.vocabulary.keys import Principal

BODY_BYTES = 1 << 20
"""Largest request body of the control plane; its largest document is a candidate policy."""

ROUTES = (
    sessions.list_sessions,
    sessions.show_session,
    sessions.show_steps,
    sessions.terminate_session,
    reports.list_reported,
    turns.list_turns,
    turns.list_branches,
    turns.show_facets,
    usage.show_usage,
    sign_in.sign_in,
    sign_in.sign_out,
    sign_in.show_me,
    search.show_searchable,
    search.search,
    exchanges.list_exchanges,
    exchanges.show_exchange,
    exchanges.show_changes,
    exchanges.show_request,
    exchanges.show_response,
    exchanges.show_forwarded,
    explanations.explain_exchange,
    critiques.list_critiques,
    critiques.critique_session,
    critiques.trust_session,
    critiques.label_step,
    critiques.list_labels,
    supervision.show_supervision,
    supervision.show_marks,
    clauses.list_clauses,
    clauses.change_mode,
    backtests.run_backtest,
    backtests.backtest_proposal,
    optimizing.optimize,
    optimizing.list_wrongs,
    optimizing.list_proposals,
    optimizing.show_proposal,
    optimizing.approve_proposal,
    optimizing.reject_proposal,
    optimizing.list_revisions,
    optimizing.show_revision,
    optimizing.diff_revision,
    optimizing.activate_revision,
    optimizing.roll_back,
    keys.list_keys,
    keys.create_key,
    keys.revoke_key,
    retention.erase,
    retention.keep_session,
    retention.release_session,
    audit.show_head,
    audit.rotate_key,
    audit.list_witnesses,
    audit.verify_log,
    audit.list_entries,
    audit.list_signing_keys,
    audit.show_entry,
    audit.show_proof,
    audit.show_receipt,
    exports.export,
    holds.list_holds,
    holds.approve_hold,
    holds.reject_hold,
    mcp.list_tools,
    mcp.approve_tool,
    mcp.begin_login,
    mcp.finish_login,
    mcp.log_out,
    status.healthz,
    status.readyz,
    status.show_status,
    status.show_metrics,
    live.live_feed,
)


class Document:
    """The OpenAPI document of these routes, built when first asked for."""

    def __init__(self) -> None:
        self._encoded: bytes | None = None

    def encoded(self) -> bytes:
        """The document as JSON."""
        if self._encoded is None:
            self._encoded = msgspec.json.encode(_with_problems(_documented().openapi_schema.to_schema()))
        return self._encoded


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """The document with our own form of a failure in the place of the framework's, for whatever is no success."""
    (schema,), named = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    document["components"]["schemas"] |= named
    failure = {
        "description": "No success: what went wrong, and what to do.",
        "content": {"application/json": {"schema": schema}},
    }
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        operation["responses"].pop("400", None)
        operation["responses"]["default"] = failure
    return document


def _documented() -> Application:
    """The routes in an application of their own, which only describes them."""
    names = (
        "records",
        "keys",
        "holds",
        "pins",
        "in_force",
        "live",
        "gateway",
        "desk",
        "logins",
        "reader",
        "backtests",
        "searches",
        "revision_desk",
        "modes",
        "books",
        "audit",
        "self_check",
        "principal",
        "access",
        "sign_ins",
    )
    nothing = {name: _given(name) for name in names}
    config = OpenAPIConfig(
        title="Stepwarden control plane", version="1", use_handler_docstrings=True, path="/api", render_plugins=()
    )
    return Application([*ROUTES], dependencies=nothing, openapi_config=config, logging_config=None)


@get("/api/openapi.json", opt=requires("viewer"), include_in_schema=False, sync_to_thread=True)
def openapi(document: NamedDependency[SkipValidation[Document]]) -> Response[bytes]:
    """What these routes take and answer."""
    return Response(document.encoded(), media_type="application/json", headers=SAFE_HEADERS)


def _principal(request: Request[Any, Any, Any]) -> Principal:
    """Who calls, as the door found out."""
    return request.scope["user"]


def control_routes(  # noqa: PLR0913 - the composition root hands over what routes need, by name
    *,
    records: Records,
    key_ring: KeyReader,
    hold_book: HoldReader,
    mode_book: ModeReader,
    critique_book: CritiqueReader,
    label_book: LabelReader,
    monitor_queue: QueueReader,
    call_book: CallReader,
    pin_book: PinReader,
    in_force: InForce,
    live_feed: LiveFeed,
    gateway: GatewayInfo,
    desk: Desk,
    logins: Logins,
    backtest_desk: Backtests,
    search_desk: Searches,
    revision_desk: RevisionDesk,
    audit_log: Audit,
    dialects: Dialects,
    access: Access,
    sign_ins: SignIns,
    unverified: Callable[[], None] | None = None,
    reach: Reach | None = None,
    body_seconds: float = Limits().body_seconds,
) -> list[Router]:
    """The control plane's routes for any Litestar application, with their own door, headers and failures."""
    things: dict[str, Any] = {
        "records": records,
        "keys": key_ring,
        "holds": hold_book,
        "modes": mode_book,
        "books": Books(hold_book, mode_book, critique_book, label_book, monitor_queue, call_book),
        "pins": pin_book,
        "in_force": in_force,
        "live": live_feed,
        "gateway": gateway,
        "desk": desk,
        "logins": logins,
        "backtests": backtest_desk,
        "searches": search_desk,
        "revision_desk": revision_desk,
        "audit": audit_log,
        "self_check": SelfCheck(audit_log, unverified),
        "access": access,
        "sign_ins": sign_ins,
        "document": Document(),
        "reader": Reader(records, dialects, reach or Reach()),
    }

    def door(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        # A function of its own: Litestar copies routers deeply, and a bound method would drag its key ring along.
        access.admit(connection, handler)

    router = Router(
        path="/",
        route_handlers=[*ROUTES, openapi],
        guards=[door],
        dependencies={name: _given(thing) for name, thing in things.items()}
        | {"principal": Provide(_principal, sync_to_thread=False)},
        exception_handlers=EXCEPTION_HANDLERS,
        response_headers=[ResponseHeader(name=name, value=value) for name, value in SAFE_HEADERS.items()],
        request_class=asked_within(body_seconds),
        request_max_body_size=BODY_BYTES,
    )
    return [router]


def _given(thing: object) -> Provide:
    return Provide(lambda: thing, sync_to_thread=False)


def control_app(routes: Iterable[Router]) -> Application:
    """An application of nothing but the control plane: for the keeper's socket, and for commands in-process."""
    return Application(
        [*routes],
        openapi_config=None,
        exception_handlers=EXCEPTION_HANDLERS,
        logging_config=None,
        request_max_body_size=BODY_BYTES,
    )
