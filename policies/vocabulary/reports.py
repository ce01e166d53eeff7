"""Reports: spans that an application tells of itself, beside what was witnessed of it."""

from typing import Literal, TypeAlias

import msgspec

SpanStatus: TypeAlias = Literal["unset", "ok", "error"]


class ReportedSpan(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One span as the application tells it. Nothing of it was seen by us, and no clause is held against it."""

    trace_id: bytes
    """16 bytes, not all zero."""

    span_id: bytes
    """8 bytes, not all zero."""

    parent_span_id: bytes | None = None
    """8 bytes; None for the first of a trace."""

    name: str
    kind: str
    """`unspecified internal server client producer consumer`."""

    status: SpanStatus = "unset"
    started_ns: int
    """Wall clock of the application, nanoseconds since the Unix epoch; so is `ended_ns`, which is never before it."""

    ended_ns: int
    operation: str | None = None
    """`gen_ai.operation.name`, or what older names and OpenInference have in its place."""

    provider: str | None = None
    model: str | None = None
    tool: str | None = None
    agent: str | None = None
    conversation: str | None = None
    """The id the application gives its conversation."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    shortened: int = 0
    """How many values were cut or left out for their size."""

    detail: bytes | None = None
    """Attributes, events, links, resource and scope as JSON; None where they were too much to keep."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of one request."""

    app: str
    received_ns: int
    weight: int
    """Bytes of the request it was read from, decoded: what it counts in a queue."""

    spans: tuple[ReportedSpan, ...]


class Ties(msgspec.Struct, frozen=True, kw_only=True):
    """What ties spans to a session: the traces its requests were seen in, and the names of its conversation."""

    app: str
    traces: tuple[bytes, ...] = ()
    conversations: tuple[str, ...] = ()
