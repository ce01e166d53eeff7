"""Exports: evidence for a period, sent while it is made."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Stream

from gateway.api.access import EVERY_APP, OneAppsKey, actor_of, requires, scope_of
from gateway.api.ports import Audit, HoldReader, InForce, ModeReader, Records
from gateway.api.problems import SAFE_HEADERS
from gateway.api.reading import Reader
from gateway.evidence.bundle import bundle
from gateway.evidence.lines import json_lines, ocsf_lines
from gateway.evidence.order import Order, Period
from gateway.evidence.sources import Sources
from gateway.times import moment_ns
from policies.vocabulary.audit import ExportFormat
from policies.vocabulary.keys import Principal
from storage.audit.snapshot import Snapshot

Moment = Annotated[str, QueryParameter(max_length=64, description="RFC 3339, or `30d` back from now.")]
_TYPES: dict[ExportFormat, str] = {
    "bundle": "application/zip",
    "ocsf": "application/x-ndjson",
    "jsonl": "application/x-ndjson",
}


@get(
    "/api/audit/export",
    opt=requires("auditor"),
    responses={200: ResponseSpec(bytes, generate_examples=False, media_type="*/*", description="What `format` says.")},
    sync_to_thread=True,
)
def export(  # noqa: PLR0913, PLR0917 - what is asked for, and the slices of the house it is made from, by name
    since: Moment,
    records: NamedDependency[SkipValidation[Records]],
    audit: NamedDependency[SkipValidation[Audit]],
    holds: NamedDependency[SkipValidation[HoldReader]],
    modes: NamedDependency[SkipValidation[ModeReader]],
    in_force: NamedDependency[SkipValidation[InForce]],
    reader: NamedDependency[SkipValidation[Reader]],
    principal: NamedDependency[SkipValidation[Principal]],
    until: Annotated[str | None, QueryParameter(max_length=64, description="Its end; now without it.")] = None,
    app: Annotated[str | None, QueryParameter(max_length=200, description="Only this app's record.")] = None,
    content: Annotated[bool, QueryParameter(description="With bodies and texts; for a bundle.")] = False,  # noqa: FBT002
    format: Annotated[ExportFormat, QueryParameter(description="What to make.")] = "bundle",  # noqa: A002
) -> Stream:
    """A bundle for an auditor, or lines for other systems. The audit log says so before the first byte leaves."""
    audit.head()  # what still waits for its place in the log happened before now
    now_ns = time.time_ns()
    period = Period(moment_ns(since, now_ns=now_ns), now_ns if until is None else moment_ns(until, now_ns=now_ns))
    scope = scope_of(principal, app)
    if format == "bundle" and principal.app != EVERY_APP:
        raise OneAppsKey("a bundle holds the log whole, and that is of every app; ask for `ocsf` or `jsonl`")
    order = Order(period=period, format=format, app=scope, content=content and format == "bundle", made_ns=now_ns)
    sources = Sources(records=records, holds=holds, modes=modes, in_force=in_force, reader=reader)
    in_force.rulesets()  # what keeps them from being read is said before anything leaves
    audit.note(order.entry(actor_of(principal)))
    pieces = _pieces(order, sources, audit.snapshot(), actor_of(principal))
    return Stream(_threaded(pieces), media_type=_TYPES[format], headers=SAFE_HEADERS)


def _pieces(order: Order, sources: Sources, snapshot: Snapshot, actor: str) -> Iterator[bytes]:
    if order.format == "bundle":
        return bundle(order, sources, snapshot, actor)
    return (ocsf_lines if order.format == "ocsf" else json_lines)(order, sources, snapshot)


async def _threaded(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, each made off the event loop. What goes wrong cuts the answer, so that it cannot pass for whole.

    Litestar's own wrapper takes a `ValueError` for the end.
    """
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
