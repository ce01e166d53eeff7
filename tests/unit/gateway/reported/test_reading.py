"""Both spellings of OTLP say the same, whatever they say, and a body of any bytes has an answer."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.reported import names, otlp_json, otlp_protobuf
from gateway.reported.order import as_tree
from gateway.reported.reading import MOST_DETAIL, read
from gateway.reported.told import MOST_SPANS, Malformed
from policies.vocabulary.reports import ReportedSpan

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SPANS = st.fixed_dictionaries(
    {
        "trace_id": st.binary(min_size=16, max_size=16),
        "span_id": st.binary(min_size=8, max_size=8),
        "parent_span_id": st.just(b"") | st.binary(min_size=8, max_size=8),
        "name": TEXT,
        "kind": st.integers(0, 5),
        "start_time_unix_nano": st.integers(0, (1 << 64) - 1),
        "end_time_unix_nano": st.integers(0, (1 << 64) - 1),
        "attributes": st.dictionaries(TEXT, VALUES, max_size=4),
    }
)


def put(value: Any, into: Any) -> None:
    if isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int):
        into.int_value = value
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, list):
        into.array_value.SetInParent()
        for each in value:
            put(each, into.array_value.values.add())
    else:
        into.kvlist_value.SetInParent()
        for key, each in value.items():
            put(each, into.kvlist_value.values.add(key=key).value)


def request(spans: list[dict[str, Any]]) -> Any:
    made: Any = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    scope.scope.name = "the scope"
    for each in spans:
        plain = {name: value for name, value in each.items() if name != "attributes"}
        span = scope.spans.add(**plain)
        for key, value in each["attributes"].items():
            put(value, span.attributes.add(key=key).value)
    return made


def in_json(made: Any, *, hexadecimal: bool) -> bytes:
    """protobuf's own mapping has ids in base64; OTLP's has them in hexadecimal digits."""
    mapped = MessageToDict(made, use_integers_for_enums=True)
    spans = [
        span for each in mapped["resourceSpans"] for scope in each["scopeSpans"] for span in scope.get("spans", [])
    ]
    told = [span for each in made.resource_spans for scope in each.scope_spans for span in scope.spans]
    for span, plain in zip(spans, told, strict=True) if hexadecimal else ():
        for name, value in (
            ("traceId", plain.trace_id),
            ("spanId", plain.span_id),
            ("parentSpanId", plain.parent_span_id),
        ):
            if name in span:
                span[name] = value.hex()
    return json.dumps(mapped).encode()


@given(st.lists(SPANS, max_size=3), st.booleans())
def test_json_says_what_protobuf_says(spans: list[dict[str, Any]], hexadecimal: bool) -> None:  # noqa: FBT001
    made = request(spans)
    assert list(otlp_json.spans(in_json(made, hexadecimal=hexadecimal))) == list(
        otlp_protobuf.spans(made.SerializeToString())
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_spans_or_malformed(body: bytes) -> None:
    for wire in (otlp_json, otlp_protobuf):
        with suppress(Malformed):
            found = read(wire.spans(body), now_ns=time.time_ns(), retention_days=10)
            assert found.rejected >= 0


@given(st.lists(SPANS, min_size=1, max_size=3), st.data())
def test_a_request_with_bytes_changed_on_its_way_is_spans_or_malformed(
    spans: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Almost right is harder than random: most of it is read before anything is wrong."""
    made = request(spans)
    for wire, body in (
        (otlp_protobuf, made.SerializeToString()),
        (otlp_json, in_json(made, hexadecimal=True)),
    ):
        place = data.draw(st.integers(0, len(body) - 1))
        put_there = data.draw(st.binary(max_size=3))
        cut = data.draw(st.integers(0, 3))
        changed = body[:place] + put_there + body[place + cut :]
        with suppress(Malformed):
            found = read(wire.spans(changed), now_ns=1 << 62, retention_days=36_500)
            for span in found.spans:
                assert (len(span.trace_id), len(span.span_id)) == (16, 8)
                assert span.started_ns <= span.ended_ns
                assert len(span.name) <= names.LONGEST
                assert span.detail is None or len(span.detail) <= MOST_DETAIL


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "arrayValue", "values",
                         "traceId", "spanId", "startTimeUnixNano", "status", "code", "kind", "events", "links"]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON_VALUES)
def test_json_of_the_right_words_in_any_shape_is_spans_or_malformed(value: Any) -> None:
    with suppress(Malformed):
        read(otlp_json.spans(json.dumps({"resourceSpans": value}).encode()), now_ns=1 << 62, retention_days=10)


@given(st.lists(SPANS, max_size=3))
def test_every_span_is_kept_or_rejected_and_what_is_kept_is_bounded(spans: list[dict[str, Any]]) -> None:
    told = list(otlp_protobuf.spans(request(spans).SerializeToString()))
    found = read(told, now_ns=1 << 62, retention_days=36_500)
    assert len(found.spans) + found.rejected == len(spans)
    assert bool(found.why) is bool(found.rejected)
    for span in found.spans:
        assert len(span.name) <= names.LONGEST
        assert span.detail is not None
        assert len(span.detail) <= MOST_DETAIL


def test_more_spans_than_a_request_may_hold_are_refused() -> None:
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{}] * (MOST_SPANS + 1)}]}]}).encode()
    with pytest.raises(Malformed, match="at most"):
        list(otlp_json.spans(body))


def test_values_within_each_other_without_end_are_cut_off() -> None:
    value: dict[str, Any] = {"stringValue": "deep"}
    for _ in range(60):
        value = {"arrayValue": {"values": [value]}}
    body = json.dumps(
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": "a", "value": value}]}]}]}]}
    )
    (span,) = otlp_json.spans(body.encode())
    found, depth = span.attributes["a"], 0
    while isinstance(found, list):
        found, depth = found[0], depth + 1
    assert (found, depth) == ("…", 32)


@pytest.mark.parametrize(
    ("attributes", "facts"),
    [
        ({"gen_ai.operation.name": "chat", "gen_ai.system": "openai"}, ("chat", "openai", None, None)),
        ({"openinference.span.kind": "LLM", "llm.model_name": "m"}, ("chat", None, "m", None)),
        (
            {"llm.request.type": "completion", "gen_ai.system": "Anthropic"},
            ("text_completion", "anthropic", None, None),
        ),
        ({"openinference.span.kind": "GUARDRAIL"}, ("guardrail", None, None, None)),
        ({"gen_ai.request.model": "asked", "gen_ai.response.model": "given"}, (None, None, "given", None)),
        ({"gen_ai.usage.prompt_tokens": 3}, (None, None, None, 3)),
        ({"gen_ai.usage.input_tokens": 4, "gen_ai.usage.prompt_tokens": 3}, (None, None, None, 4)),
        ({"llm.token_count.prompt": 5}, (None, None, None, 5)),
        ({"gen_ai.usage.input_tokens": True, "llm.token_count.prompt": "6"}, (None, None, None, None)),
        ({"gen_ai.request.model": 7, "llm.model_name": "m"}, (None, None, "m", None)),
    ],
)
def test_old_and_new_names_and_openinferences_say_the_same(attributes: dict[str, Any], facts: tuple[Any, ...]) -> None:
    assert (
        names.operation(attributes),
        names.provider(attributes),
        names.text(attributes, names.MODEL),
        names.count(attributes, names.INPUT_TOKENS),
    ) == facts


IDS = st.integers(1, 6).map(lambda number: bytes([number]) * 8)


@given(st.lists(st.tuples(IDS, st.none() | IDS), unique_by=lambda pair: pair[0]))
def test_whatever_parents_are_said_every_span_is_shown_once_behind_its_parent(pairs: list[tuple[bytes, Any]]) -> None:
    spans = [
        ReportedSpan(
            trace_id=b"t" * 16, span_id=own, parent_span_id=parent, name="n", kind="internal", started_ns=1, ended_ns=2
        )
        for own, parent in pairs
    ]
    shown = list(as_tree(spans))
    assert sorted(span.span_id for _, span in shown) == sorted(own for own, _ in pairs)
    places = {span.span_id: (place, depth) for place, (depth, span) in enumerate(shown)}
    for own, parent in pairs:
        place, depth = places[own]
        if depth:
            assert places[parent][0] < place
            assert places[parent][1] == depth - 1
