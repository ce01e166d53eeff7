"""Reading: told spans become reported ones, or are rejected with a reason. Pure; bounded in all that is kept."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, cast

import msgspec

from gateway.reported import names
from gateway.reported.told import Told
from gateway.shown import clean
from policies.vocabulary.reports import ReportedSpan, SpanStatus

AHEAD_NS: Final = 600_000_000_000
"""How far the application's clock may be ahead of ours."""

LONGEST_TEXT: Final = 64 << 10
"""Characters of one value; what is beyond is cut."""

MOST_DETAIL: Final = 512 << 10
"""Bytes of all that a span says; beyond, only its facts stay."""

_DAY_NS: Final = 86_400_000_000_000
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final[tuple[SpanStatus, ...]] = ("unset", "ok", "error")

_encode = msgspec.json.Encoder().encode


class Read(NamedTuple):
    """What became of the spans of a request."""

    spans: tuple[ReportedSpan, ...]
    rejected: int
    why: str
    """Of those rejected: how many for which reason."""


def read(told: Iterable[Told], *, now_ns: int, retention_days: int) -> Read:
    """Take what can be kept. Times are wall clock, nanoseconds since the Unix epoch."""
    oldest_ns = (now_ns // _DAY_NS - retention_days) * _DAY_NS
    taken: list[ReportedSpan] = []
    reasons: Counter[str] = Counter()
    for span in told:
        fault = _fault(span, oldest_ns, now_ns + AHEAD_NS)
        if fault is None:
            taken.append(_reported(span))
        else:
            reasons[fault] += 1
    why = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
    return Read(tuple(taken), reasons.total(), why)


def _fault(span: Told, oldest_ns: int, newest_ns: int) -> str | None:
    """Why a span is not taken."""
    if len(span.trace_id) != _TRACE_BYTES or not any(span.trace_id):
        return "without a trace id of 16 bytes"
    if len(span.span_id) != _SPAN_BYTES or not any(span.span_id):
        return "without a span id of 8 bytes"
    if len(span.parent_span_id) not in {0, _SPAN_BYTES}:
        return "with a parent that is no span id"
    if span.ended_ns < span.started_ns:
        return "that end before they begin"
    if span.ended_ns > newest_ns:
        return "from the future"
    return "older than what is kept" if span.started_ns < oldest_ns else None


def _reported(span: Told) -> ReportedSpan:
    shortening = _Shortening()
    detail = _encode(
        {
            "attributes": shortening.value(span.attributes),
            "events": shortening.value(span.events),
            "links": shortening.value(span.links),
            "resource": shortening.value(span.resource),
            "scope": shortening.value(span.scope),
            "status_message": shortening.value(span.status_message),
        }
    )
    kept = len(detail) <= MOST_DETAIL
    attributes = span.attributes
    return ReportedSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id if any(span.parent_span_id) else None,
        name=clean(span.name[: names.LONGEST]) or "unnamed",
        kind=_KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else _KINDS[0],
        status=_STATUSES[span.status] if 0 <= span.status < len(_STATUSES) else "unset",
        started_ns=span.started_ns,
        ended_ns=span.ended_ns,
        operation=names.operation(attributes),
        provider=names.provider(attributes),
        model=names.text(attributes, names.MODEL),
        tool=names.text(attributes, names.TOOL),
        agent=names.text(attributes, names.AGENT),
        conversation=names.text(attributes, names.CONVERSATION),
        input_tokens=names.count(attributes, names.INPUT_TOKENS),
        output_tokens=names.count(attributes, names.OUTPUT_TOKENS),
        shortened=shortening.count if kept else shortening.count + 1,
        detail=detail if kept else None,
    )


class _Shortening:
    """Cuts what is too long, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def value(self, value: Any) -> Any:
        """The value itself, or one of bounded texts."""
        if isinstance(value, str | bytes):
            if len(value) > LONGEST_TEXT:
                self.count += 1
                return value[:LONGEST_TEXT]
            return value
        if isinstance(value, dict):
            named = cast("dict[str, Any]", value)
            return {key[: names.LONGEST]: self.value(each) for key, each in named.items()}
        if isinstance(value, list):
            return [self.value(each) for each in cast("list[Any]", value)]
        return value
