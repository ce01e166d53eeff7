"""What the audit log says of an exchange: from its facts and judgements to entries. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from policies.vocabulary.audit import (
    CLAUSES,
    OWNER,
    ActionBlocked,
    ActionModified,
    Entry,
    GuardDecision,
    RequestCompleted,
    RequestFailed,
    StreamAborted,
    commitment,
)
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged
from policies.vocabulary.verdicts import VerdictName

_STEPS: Final = 64
_BLOCKS: Final = frozenset[VerdictName]({"reject", "terminate"})
_MODIFIES: Final = frozenset[VerdictName]({"redact", "rewrite"})


def ended(exchange: Exchange, judged: Judged | None, request: bytes, response: bytes) -> list[Entry]:
    """The entries of an exchange that is over; `request` and `response` are SHA-256 digests of its bodies."""
    end = _end(exchange, judged, request, response)
    if judged is not None and (judged.verdict.name != "allow" or judged.verdict.shadow != "allow" or judged.unread):
        return [*_decided(exchange, judged), end]
    return [end]


def _end(exchange: Exchange, judged: Judged | None, request: bytes, response: bytes) -> Entry:
    kind = RequestFailed
    if exchange.outcome == "complete":
        kind = RequestCompleted
    elif exchange.outcome == "client_aborted":
        kind = StreamAborted
    blind = exchange.blind
    return kind(
        **_common(exchange),
        outcome=exchange.outcome,
        status=exchange.status,
        verdict=exchange.verdict,
        policy=None if judged is None else judged.ruleset,
        request=commitment(blind, request),
        response=commitment(blind, response),
        forwarded=None if judged is None else _other(blind, judged.forwarded_sha256),
        delivered=None if judged is None else _other(blind, judged.delivered_sha256),
    )


def _decided(exchange: Exchange, judged: Judged) -> Iterator[Entry]:
    verdict = judged.verdict
    common: dict[str, Any] = {
        **_common(exchange),
        "policy": judged.ruleset,
        "reason": verdict.reason,
        "clauses": verdict.clauses[:CLAUSES],
    }
    steps = _steps(judged, frozenset({verdict.name}))
    yield GuardDecision(**common, verdict=verdict.name, shadow=verdict.shadow, unread=judged.unread, steps=steps)
    if verdict.name in _BLOCKS:
        yield ActionBlocked(**common, steps=steps)
    if modified := _steps(judged, _MODIFIES):
        yield ActionModified(**{**common, **_modifying(judged)}, steps=modified)


def _modifying(judged: Judged) -> dict[str, Any]:
    """Reason and clauses of what was changed, which need not be those of the strongest verdict."""
    said = [step.verdict for step in judged.steps if step.verdict.name in _MODIFIES]
    clauses = tuple(dict.fromkeys(clause for verdict in said for clause in verdict.clauses))
    return {"reason": said[0].reason, "clauses": clauses[:CLAUSES]}


def _steps(judged: Judged, names: frozenset[VerdictName]) -> tuple[int, ...]:
    return tuple([step.seq for step in judged.steps if step.verdict.name in names][:_STEPS])


def _common(exchange: Exchange) -> dict[str, Any]:
    join = exchange.join
    return {
        "actor": exchange.key_id or OWNER,
        "tenant": exchange.app,
        "trace": None if join is None else join.trace_id.hex(),
        "span": exchange.server_span_id.hex(),
        "exchange": exchange.exchange_id,
    }


def _other(blind: bytes, digest: bytes | None) -> str | None:
    return None if digest is None else commitment(blind, digest)
