"""Told: a span as OTLP has it, whichever way it was written, before anything in it is believed."""

from typing import Any, Final, NamedTuple

from policies.errors import StepwardenError

MOST_SPANS: Final = 20_000
"""Of one request: each costs memory beyond its bytes."""


class Malformed(StepwardenError):
    """A body is not an OTLP request for traces; sending it again changes nothing."""

    status = 400

    def remedy(self) -> str:
        """What to send."""
        return "Send an ExportTraceServiceRequest as the OTLP specification has it, in protobuf or JSON."


class Told(NamedTuple):
    """One span. Ids are bytes of any length, times nanoseconds since the Unix epoch, attributes plain Python values."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: int
    status: int
    status_message: str
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]
    resource: dict[str, Any]
    scope: str


def refuse_too_many(count: int) -> None:
    """Raise `Malformed` for more spans than one request may hold."""
    if count > MOST_SPANS:
        raise Malformed(f"The request holds {count} spans; at most {MOST_SPANS} are read at once.")
