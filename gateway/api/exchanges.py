"""Exchanges: their facts, their steps and their exact bytes."""

import re
from collections.abc import Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from gateway.api import answers
from gateway.api.access import SUFFICES, requires, scope_of, sees
from gateway.api.looks import look
from gateway.api.ports import Audit, Erased, NotFound, Records
from gateway.api.problems import SAFE_HEADERS
from gateway.api.reading import Reader
from gateway.api.sessions import Limit, Longest
from gateway.contents import Encoded
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.keys import Principal
from storage.rows import StoredBody

if TYPE_CHECKING:
    from gateway.optimizing.desk import RevisionDesk
else:
    RevisionDesk = Any


_MOST_CHANGES: Final = 50
"""Messages of a history told anew that are shown; how many there are is said."""


class ContentNotKept(StepwardenError):
    """Only the digest of this body was kept, or it was too large."""

    status = 404

    def remedy(self) -> str:
        """What keeps contents."""
        return 'Set `content = "encrypted"` in [capture] to keep the bodies of later exchanges.'


def visible(records: Records, principal: Principal, exchange_id: str) -> Exchange:
    """An exchange this principal may see. Raises `Erased`, or `NotFound`, also where it belongs to another app."""
    exchange = records.exchange(exchange_id, app=scope_of(principal, None))
    if exchange is None or not sees(principal, exchange.app):
        raise missing(records, principal, exchange_id)
    return exchange


def missing(records: Records, principal: Principal, exchange_id: str) -> StepwardenError:
    """Why there is no such exchange to be seen."""
    erased = records.erased_exchange(exchange_id) if principal.role in SUFFICES["viewer"] else None
    if erased is not None and sees(principal, erased.app):
        return Erased("exchange", erased)
    return NotFound("no exchange has this id")


@get("/api/exchanges", opt=requires("viewer"), sync_to_thread=True)
def list_exchanges(
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
    limit: Limit = 50,
) -> answers.ExchangeList:
    """Exchanges, newest first, those without a session too."""
    found = records.recent(limit=limit, app=scope_of(principal, None))
    return answers.ExchangeList(exchanges=tuple(answers.Exchange.of(each) for each in found))


@get("/api/exchanges/{exchange_id:str}", opt=requires("viewer"), sync_to_thread=True)
def show_exchange(
    exchange_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    reader: NamedDependency[SkipValidation[Reader]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    text: Longest = 10_000,
) -> answers.ExchangeDetail:
    """One exchange with its steps and what clauses said of them."""
    exchange = visible(records, principal, exchange_id)
    if text:
        look(audit, principal, "steps", app=exchange.app, exchange=exchange.exchange_id)
    steps = reader.steps([exchange], records.exchange_steps(exchange.exchange_id), longest=text)
    judged = records.judged(exchange.exchange_id)
    return answers.ExchangeDetail(
        exchange=answers.Exchange.of(exchange),
        steps=tuple(steps),
        judged=None if judged is None else answers.Judgement.of(judged),
    )


class NotComparable(StepwardenError):
    """Two requests of different wires, or of no wire that is read here."""

    status = 400

    def remedy(self) -> str:
        """What can be compared."""
        return "Compare two exchanges of one dialect that carry steps."


@get("/api/exchanges/{exchange_id:str}/changes", opt=requires("viewer"), sync_to_thread=True)
def show_changes(
    exchange_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    reader: NamedDependency[SkipValidation[Reader]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    since: Annotated[str | None, QueryParameter(description="An earlier exchange; else the one before.")] = None,
    text: Longest = 10_000,
) -> answers.RequestChanges:
    """What a request asks otherwise than an earlier one: settings, instructions, tools, and history told anew."""
    exchange = visible(records, principal, exchange_id)
    earlier = _before(records, exchange) if since is None else visible(records, principal, since)
    if earlier is None:
        return answers.RequestChanges(exchange_id=exchange.exchange_id, since=None)
    if earlier.dialect != exchange.dialect or exchange.operation != "chat" or earlier.operation != "chat":
        raise NotComparable("these two exchanges carry no two requests of one kind")
    for each in (earlier, exchange):
        _kept(records, each, "request")
        look(audit, principal, "request", app=each.app, exchange=each.exchange_id)
    found = reader.changes(earlier, exchange)
    if found is None:
        raise NotComparable("one of these two requests cannot be read")
    return answers.RequestChanges.of(exchange.exchange_id, earlier.exchange_id, found, longest=text, most=_MOST_CHANGES)


def _before(records: Records, exchange: Exchange) -> Exchange | None:
    """The exchange whose history this one carries on: the last before it on its branch, or on the one it left."""
    join = exchange.join
    if join is None:
        return None
    until = takewhile(lambda each: each.exchange_id != exchange.exchange_id, records.exchanges(join.session_id))
    earlier = [each for each in until if (each.dialect, each.operation) == (exchange.dialect, "chat")]
    for branch in (join.branch_id, None if join.relation == "spawns" else join.parent_branch_id):
        found = [each for each in earlier if each.join is not None and each.join.branch_id == branch]
        if found:
            return found[-1]
    return None


@get(
    "/api/exchanges/{exchange_id:str}/request",
    opt=requires("auditor"),
    media_type="application/octet-stream",
    sync_to_thread=True,
)
def show_request(
    exchange_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Response[bytes]:
    """The request body exactly as it crossed the wire."""
    return _body(records, audit, principal, exchange_id, "request")


@get(
    "/api/exchanges/{exchange_id:str}/response",
    opt=requires("auditor"),
    media_type="application/octet-stream",
    sync_to_thread=True,
)
def show_response(
    exchange_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Response[bytes]:
    """The response body exactly as it crossed the wire."""
    return _body(records, audit, principal, exchange_id, "response")


@get(
    "/api/exchanges/{exchange_id:str}/forwarded",
    opt=requires("auditor"),
    media_type="application/octet-stream",
    sync_to_thread=True,
)
def show_forwarded(
    exchange_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Response[bytes]:
    """The decoded request body as the provider got it: the app's own with the instructions that were added to it."""
    exchange = visible(records, principal, exchange_id)
    body, raw = _kept(records, exchange, "request")
    judged = records.judged(exchange.exchange_id)
    forwarded = revision_desk.forwarded(exchange, judged, Encoded(raw=raw, encoding=body.content_encoding))
    look(audit, principal, "request", app=exchange.app, exchange=exchange.exchange_id)
    return _attached(forwarded, exchange, "forwarded", {})


def _body(
    records: Records, audit: Audit, principal: Principal, exchange_id: str, side: Literal["request", "response"]
) -> Response[bytes]:
    exchange = visible(records, principal, exchange_id)
    body, raw = _kept(records, exchange, side)
    look(audit, principal, side, app=exchange.app, exchange=exchange.exchange_id)
    said = {
        "stepwarden-body-sha256": body.sha256.hex(),
        "stepwarden-body-type": _header_safe(body.media_type),
        "stepwarden-body-encoding": _header_safe(body.content_encoding),
    }
    return _attached(raw, exchange, side, said)


def _kept(records: Records, exchange: Exchange, side: Literal["request", "response"]) -> tuple[StoredBody, bytes]:
    """A recorded body and its bytes. Raises `ContentNotKept`."""
    body = records.body(exchange.exchange_id, side)
    if body is None or body.raw is None:
        raise ContentNotKept(f"the {side} body was not kept")
    return body, body.raw


def _attached(data: bytes, exchange: Exchange, what: str, said: Mapping[str, str]) -> Response[bytes]:
    """Bytes to be saved, which no browser shows; `said`: headers that tell of them."""
    headers = {**SAFE_HEADERS, "content-disposition": f'attachment; filename="{exchange.exchange_id}-{what}.bin"'}
    return Response(data, media_type="application/octet-stream", headers={**headers, **said})


def _header_safe(value: str | None) -> str:
    """A value a peer chose, without what could end a header."""
    return re.sub(r"[^\x20-\x7e]", "?", value or "")[:200]
