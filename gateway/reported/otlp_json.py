"""OTLP in JSON: lowerCamelCase names, 64-bit numbers as text or numbers, ids in hexadecimal digits.

Ids in base64, as protobuf's own JSON mapping writes them, are read too: their lengths differ from those of
hexadecimal digits, so neither can be taken for the other. Unknown names are passed over.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from gateway.reported.told import Malformed, Told, refuse_too_many

_DEEPEST: Final = 32
"""Lists and maps within each other."""

_HEX: Final = frozenset({16, 32})
_BASE64: Final = frozenset({12, 24})
"""Characters of ids of 8 and 16 bytes, padding included."""

_LONGEST_NUMBER: Final = 20
"""Digits of a 64-bit number, with its sign."""

_Number = int | str


class _Message(msgspec.Struct, rename="camel", gc=False):
    """What all of them have in common."""


class _Array(_Message):
    values: "list[_Any]" = []


class _Map(_Message):
    values: "list[_Pair]" = []


class _Any(_Message):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Number | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Map | None = None
    bytes_value: str | None = None


class _Pair(_Message):
    key: str = ""
    value: _Any | None = None


class _Event(_Message):
    name: str = ""
    time_unix_nano: _Number = 0
    attributes: list[_Pair] = []


class _Link(_Message):
    trace_id: str = ""
    span_id: str = ""
    attributes: list[_Pair] = []


class _Status(_Message):
    code: _Number = 0
    message: str = ""


class _Span(_Message):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: _Number = 0
    start_time_unix_nano: _Number = 0
    end_time_unix_nano: _Number = 0
    attributes: list[_Pair] = []
    events: list[_Event] = []
    links: list[_Link] = []
    status: _Status | None = None


class _Scope(_Message):
    name: str = ""


class _ScopeSpans(_Message):
    scope: _Scope | None = None
    spans: list[_Span] = []


class _Resource(_Message):
    attributes: list[_Pair] = []


class _ResourceSpans(_Message):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Request(_Message):
    resource_spans: list[_ResourceSpans] = []


_decode = msgspec.json.Decoder(_Request).decode


def spans(body: bytes) -> Iterator[Told]:
    """The spans of a request. Raises `Malformed`."""
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("The body is not an ExportTraceServiceRequest in JSON.") from error
    refuse_too_many(sum(len(scope.spans) for each in request.resource_spans for scope in each.scope_spans))
    for each in request.resource_spans:
        about = _attributes(each.resource.attributes) if each.resource else {}
        for scope in each.scope_spans:
            name = scope.scope.name if scope.scope else ""
            yield from (_told(span, about, name) for span in scope.spans)


def answer(rejected: int, why: str) -> bytes:
    """What is said to a request that was taken."""
    said = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}} if rejected else {}
    return msgspec.json.encode(said)


def refusal(code: int, message: str) -> bytes:
    """What is said to a request that was not; `code` is gRPC's."""
    return msgspec.json.encode({"code": code, "message": message})


def id_bytes(text: str) -> bytes:
    """An id of hexadecimal digits or in base64; empty for anything else."""
    try:
        if len(text) in _HEX:
            return bytes.fromhex(text) if text.isalnum() else b""
        return base64.b64decode(text, validate=True) if len(text) in _BASE64 else b""
    except (ValueError, binascii.Error):
        return b""


def _told(span: _Span, resource: dict[str, Any], scope: str) -> Told:
    status = span.status or _Status()
    return Told(
        id_bytes(span.trace_id),
        id_bytes(span.span_id),
        # What is there and is no id is not as if it were not there.
        (id_bytes(span.parent_span_id) or b"?") if span.parent_span_id else b"",
        span.name,
        _number(span.kind),
        _number(status.code),
        status.message,
        _number(span.start_time_unix_nano),
        _number(span.end_time_unix_nano),
        _attributes(span.attributes),
        [
            {"name": event.name, "at_ns": _number(event.time_unix_nano), "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        [
            {
                "trace_id": id_bytes(link.trace_id).hex(),
                "span_id": id_bytes(link.span_id).hex(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
        resource,
        scope,
    )


def _attributes(pairs: Iterable[_Pair], depth: int = 0) -> dict[str, Any]:
    return {pair.key: None if pair.value is None else _value(pair.value, depth) for pair in pairs}


def _value(value: _Any, depth: int) -> Any:
    if value.array_value is not None:
        return "…" if depth >= _DEEPEST else [_value(each, depth + 1) for each in value.array_value.values]
    if value.kvlist_value is not None:
        return "…" if depth >= _DEEPEST else _attributes(value.kvlist_value.values, depth + 1)
    if value.int_value is not None:
        return _number(value.int_value)
    plain = (value.string_value, value.bool_value, value.double_value, value.bytes_value)
    return next((each for each in plain if each is not None), None)


def _number(value: _Number) -> int:
    """A 64-bit number in either spelling; -1 for text that is none, which no field of ours may hold."""
    if isinstance(value, int):
        return value
    digits = value.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and len(value) <= _LONGEST_NUMBER
    return int(value) if plain else -1
