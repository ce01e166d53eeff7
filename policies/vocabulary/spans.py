"""Spans: OpenTelemetry records derived from exchanges and steps, before any SDK sees them."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

SpanKind: TypeAlias = Literal["server", "client", "internal"]

Value: TypeAlias = str | int | float | bool | tuple[str, ...]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One OpenTelemetry span. Names and attributes are those of `policies.vocabulary.registry`."""

    name: str
    kind: SpanKind

    trace_id: bytes
    """16 bytes."""

    span_id: bytes
    """8 bytes."""

    parent_span_id: bytes | None = None
    """8 bytes; None for the root of its trace."""

    parent_remote: bool = False
    """True where the parent is the caller's own span (`traceparent`)."""

    started_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""

    ended_ns: int
    """Never before `started_ns`."""

    attributes: Mapping[str, Value] = {}

    failed: bool = False
    """Status ERROR; otherwise the status is left unset."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One OpenTelemetry event: a log record with a name. Name and attributes are those of the registry."""

    name: str

    trace_id: bytes | None = None
    """16 bytes, of the span it is about; None where that is not known."""

    span_id: bytes | None = None
    """8 bytes."""

    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""

    attributes: Mapping[str, Value] = {}
