"""OTLP in protobuf. The one door to `opentelemetry.proto` and `google.rpc`, loaded with the first request."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from gateway.reported.told import Malformed, Told, refuse_too_many

_DEEPEST: Final = 32
"""Lists and maps within each other."""


def spans(body: bytes) -> Iterator[Told]:
    """The spans of a request. Raises `Malformed`."""
    request: Any = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise Malformed("The body is not an ExportTraceServiceRequest in protobuf.") from error
    refuse_too_many(sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans))
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            name = scope.scope.name
            yield from (_told(span, about, name) for span in scope.spans)


def answer(rejected: int, why: str) -> bytes:
    """What is said to a request that was taken."""
    response: Any = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = why
    return response.SerializeToString()


def refusal(code: int, message: str) -> bytes:
    """What is said to a request that was not; `code` is gRPC's."""
    return Status(code=code, message=message).SerializeToString()


def _told(span: Any, resource: dict[str, Any], scope: str) -> Told:
    return Told(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.kind,
        span.status.code,
        span.status.message,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        [
            {"name": event.name, "at_ns": event.time_unix_nano, "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        [
            {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex(), "attributes": _attributes(link.attributes)}
            for link in span.links
        ],
        resource,
        scope,
    )


def _attributes(pairs: Iterable[Any], depth: int = 0) -> dict[str, Any]:
    return {pair.key: _value(pair.value, depth) for pair in pairs}


def _value(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    plain = getattr(value, kind)
    if kind == "array_value":
        return "…" if depth >= _DEEPEST else [_value(each, depth + 1) for each in plain.values]
    if kind == "kvlist_value":
        return "…" if depth >= _DEEPEST else _attributes(plain.values, depth + 1)
    return plain
