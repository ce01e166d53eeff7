"""The audit log: its head, its entries, and proofs of what is in it."""

import logging
from base64 import b64encode
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import EVERY_APP, actor_of, requires
from gateway.api.exchanges import visible
from gateway.api.numbers import LARGEST, Numbered
from gateway.api.ports import Audit, GatewayInfo, NotFound, Records
from gateway.api.problems import SAFE_HEADERS
from gateway.api.self_check import SelfCheck
from policies.vocabulary.keys import Principal
from storage.step_seals import Sealed

_LOG: Final = logging.getLogger("stepwarden.audit")


_AT_ONCE: Final = 256
_LOOKED: Final = 20_000
"""Entries that one call looks through at most for those that fit."""


class _Of(msgspec.Struct):
    type: str
    tenant: str | None = None


_read_line = msgspec.json.Decoder(_Of).decode


@post("/api/audit/verify", opt=requires("auditor"), status_code=200)
async def verify_log(
    self_check: NamedDependency[SkipValidation[SelfCheck]], principal: NamedDependency[SkipValidation[Principal]]
) -> answers.Verification:
    """Verify the log and the record from their files, as an auditor would; what came of it is an entry."""
    return await self_check.run(actor_of(principal))


@get("/api/audit/witnesses", opt=requires("auditor"), sync_to_thread=False)
def list_witnesses(gateway: NamedDependency[SkipValidation[GatewayInfo]]) -> answers.WitnessList:
    """The witnesses this gateway shows its heads to, and how far each is."""
    return answers.WitnessList(witnesses=tuple(answers.Witness.of(each) for each in gateway.witnesses()))


class RotateAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On whose word the log's key is changed, and why."""

    by: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
    reason: Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\S")]


@post("/api/audit/rotate", opt=requires("admin"), status_code=200, sync_to_thread=True)
def rotate_key(
    data: JSONBody[RotateAsk],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.KeyRotated:
    """Hand the log over to a new signing key; both keys sign the entry that says so, and the next checkpoint."""
    done = audit.rotate(by=data.by, reason=data.reason, actor=actor_of(principal))
    _LOG.warning("the audit log was handed over to a new key", extra={"entry": done.index, "vkey": done.vkey})
    return answers.KeyRotated(index=done.index, retired=done.retired, vkey=done.vkey)


@get("/api/audit/head", opt=requires("auditor"), media_type="text/plain", sync_to_thread=True)
def show_head(audit: NamedDependency[SkipValidation[Audit]]) -> Response[bytes]:
    """The newest checkpoint, signed, over every entry there is by now (C2SP tlog-checkpoint)."""
    return _text(audit.head())


@get("/api/audit/entries", opt=requires("auditor"), sync_to_thread=True)
def list_entries(
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
    limit: Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most.")] = 100,
    before: Annotated[int | None, QueryParameter(ge=0, le=LARGEST, description="`next` of the page before.")] = None,
    kind: Annotated[str | None, QueryParameter(max_length=64, description="Only entries whose type starts so.")] = None,
) -> answers.AuditLines:
    """Entries of the log, newest first, without those of other apps. A page may be short, or empty, before the end."""
    size = audit.size
    found: list[answers.AuditLine] = []
    end = looked = size if before is None else min(before, size)
    while len(found) < limit and end > 0 and looked - end < _LOOKED:
        for index, entry in audit.entries(end, _AT_ONCE):
            end = index
            line = _read_line(entry)
            if principal.app in {EVERY_APP, line.tenant} and line.type.startswith(kind or ""):
                found.append(answers.AuditLine(index=index, entry=entry.decode()))
                if len(found) == limit:
                    break
    return answers.AuditLines(size=size, entries=tuple(found), next=end or None)


@get("/api/audit/keys", opt=requires("auditor"), sync_to_thread=True)
def list_signing_keys(audit: NamedDependency[SkipValidation[Audit]]) -> answers.AuditKeys:
    """The keys that signed the log, as it says itself."""
    return answers.AuditKeys(vkeys=tuple(audit.vkeys()))


@get(
    "/api/audit/entries/{index:int}",
    opt=requires("auditor"),
    responses={200: ResponseSpec(dict[str, Any], generate_examples=False, description="The entry.")},
    sync_to_thread=True,
)
def show_entry(
    index: Numbered,
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Response[bytes]:
    """One entry, exactly the bytes that are hashed into the log."""
    entry = audit.entry(index)
    if principal.app not in {EVERY_APP, _read_line(entry).tenant}:
        raise NotFound("no entry of this app stands there")
    return Response(entry, media_type="application/json", headers=SAFE_HEADERS)


@get("/api/audit/proof/{index:int}", opt=requires("auditor"), media_type="text/plain", sync_to_thread=True)
def show_proof(index: Numbered, audit: NamedDependency[SkipValidation[Audit]]) -> Response[bytes]:
    """That the entry with this index is in the log, with the newest checkpoint (C2SP tlog-proof)."""
    return _text(audit.proof(index))


@get("/api/exchanges/{exchange_id:str}/receipt", opt=requires("auditor"), sync_to_thread=True)
def show_receipt(
    exchange_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.ExchangeReceipt:
    """That an exchange was accepted, and that its record and steps are sealed: entries with their proofs."""
    exchange = visible(records, principal, exchange_id)
    accepted = audit.accepted(exchange.exchange_id, exchange.started_ns)
    sealed = audit.recorded(exchange.exchange_id, exchange.ended_ns)
    return answers.ExchangeReceipt(
        exchange_id=exchange.exchange_id,
        accepted=_logged(audit, accepted, None),
        recorded=_logged(audit, sealed.entry, _inner(sealed)),
    )


def _logged(audit: Audit, index: int, extra: bytes | None) -> answers.LoggedEntry:
    return answers.LoggedEntry(index=index, entry=audit.entry(index).decode(), proof=audit.proof(index, extra).decode())


def _inner(sealed: Sealed) -> bytes | None:
    """What leads from the exchange's records to the root in the entry (`docs/AUDIT-ENTRIES.md`, Steps); or nothing."""
    if not sealed.records:
        return None
    records = [
        {
            "record": record.record.decode(),
            "index": record.index,
            "hashes": [b64encode(each).decode() for each in record.hashes],
        }
        for record in sealed.records
    ]
    return msgspec.json.encode({"count": sealed.count, "records": records})


def _text(text: bytes) -> Response[bytes]:
    return Response(text, media_type="text/plain", headers=SAFE_HEADERS)
