"""Spans that applications report: from the real OpenTelemetry SDK into a session, across a kill, gone when erased."""

import base64
import gzip
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from tests.gateway.house import ANTHROPIC, PATIENT, House, kept_in, standing
from tests.gateway.rawhttp import Pairs, Response, request

MARK = "heliotrope-4711"
PROTOBUF = (b"content-type", b"application/x-protobuf")
JSON = (b"content-type", b"application/json")


class _Results(OTLPSpanExporter):
    """The real exporter, that remembers what became of each batch."""

    def __init__(self, url: str) -> None:
        super().__init__(endpoint=f"{url}/v1/traces", timeout=20)
        self.results: list[SpanExportResult] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.results.append(super().export(spans))
        return self.results[-1]


class Application:
    """An instrumented application: every span is exported as it ends."""

    def __init__(self, house: House) -> None:
        host, port = house.gateway.address
        self.exporter = _Results(f"http://{host}:{port}")
        self.provider = TracerProvider(resource=Resource({"service.name": "the app"}), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("an-instrumentation")


@pytest.fixture
def application(house: House) -> Iterator[Application]:
    made = Application(house)
    yield made
    made.provider.shutdown()


def ids(span: Any) -> tuple[str, str]:
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def traceparent(span: Any) -> tuple[bytes, bytes]:
    return b"traceparent", "00-{}-{}-01".format(*ids(span)).encode()


def session_of(house: House, answered: Response) -> str:
    exchange = dict(answered.headers)[b"stepwarden-exchange"].decode()
    return house.facts(exchange)["join"]["session_id"]


def reported(house: House, session: str, query: str = "") -> list[dict[str, Any]]:
    status, body = house.control(f"/api/sessions/{session}/reported{query}")
    assert status == 200, body
    return json.loads(body)["spans"]


def ask(headers: Pairs = (), text: str | None = None) -> bytes:
    said = {"messages": [{"role": "user", "content": text or f"What is {secrets.token_hex(8)}?"}]}
    return ANTHROPIC.call(headers=headers, body=ANTHROPIC.request_body(stream=False, **said))


def otlp(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": list(spans)}]}]}).encode()


def span(**changes: Any) -> dict[str, Any]:
    now = time.time_ns()
    made = {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": "work",
        "kind": 1,
        "startTimeUnixNano": str(now - 1_000_000),
        "endTimeUnixNano": str(now),
    }
    return made | changes


def attribute(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value} if isinstance(value, str) else value}


def send(house: House, body: bytes, *headers: tuple[bytes, bytes]) -> Response:
    return house.ask(request(b"/v1/traces", body, headers=headers or (JSON,), host=b"localhost"))


def rejected(answer: Response) -> tuple[str, str]:
    assert answer.status == 200, answer.body
    said = json.loads(answer.body)["partialSuccess"]
    return said["rejectedSpans"], said["errorMessage"]


def joined(house: House, *spans: dict[str, Any]) -> list[dict[str, Any]]:
    """What a session shows of spans that are sent under its trace."""
    trace = secrets.token_hex(16)
    parent = (b"traceparent", f"00-{trace}-{secrets.token_hex(8)}-01".encode())
    session = session_of(house, house.ask(ask([parent])))
    answer = send(house, otlp(*({**each, "traceId": trace} for each in spans)))
    assert answer.status == 200, answer.body
    return reported(house, session, "?detail=true")


def test_spans_of_the_sdk_stand_in_the_session_whose_request_they_enclose(
    house: House, application: Application
) -> None:
    with application.tracer.start_as_current_span("answer a customer") as outer:
        with application.tracer.start_as_current_span("chat the-model") as inner:
            inner.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": "the-model"})
            inner.set_attributes({"gen_ai.usage.input_tokens": 12, "gen_ai.input.messages": MARK})
            answered = house.ask(ask([traceparent(inner)]))
        with application.tracer.start_as_current_span("execute_tool search") as tool:
            tool.set_attributes({"openinference.span.kind": "TOOL", "tool.name": "search"})
    assert application.exporter.results == [SpanExportResult.SUCCESS] * 3
    session = session_of(house, answered)
    found = reported(house, session)
    assert [(each["name"], each["depth"], each["fidelity"]) for each in found] == [
        ("answer a customer", 0, "reported"),
        ("chat the-model", 1, "reported"),
        ("execute_tool search", 1, "reported"),
    ]
    assert (found[0]["trace_id"], found[0]["span_id"]) == ids(outer)
    chat, tool_span = found[1], found[2]
    assert (chat["operation"], chat["model"], chat["input_tokens"]) == ("chat", "the-model", 12)
    assert chat["exchanges"] == [dict(answered.headers)[b"stepwarden-exchange"].decode()]
    assert (tool_span["operation"], tool_span["tool"]) == ("execute_tool", "search")
    assert [each["detail"] for each in found] == [None, None, None]
    detail = reported(house, session, "?detail=true")[1]["detail"]
    assert detail["attributes"]["gen_ai.input.messages"] == MARK
    assert detail["resource"]["service.name"] == "the app"
    assert detail["scope"] == "an-instrumentation"


@pytest.mark.parametrize("name", ["gen_ai.conversation.id", "session.id"])
def test_a_conversations_name_joins_spans_of_a_trace_no_request_was_seen_in(
    house: House, application: Application, name: str
) -> None:
    conversation = f"conversation-{secrets.token_hex(4)}"
    with application.tracer.start_as_current_span("turn") as turn:
        turn.set_attribute(name, conversation)
        with application.tracer.start_as_current_span("look up"):
            pass
        with application.tracer.start_as_current_span("someone else's") as other:
            other.set_attribute(name, "another conversation")
    session = session_of(house, house.ask(ask([(b"stepwarden-session", conversation.encode())])))
    assert [each["name"] for each in reported(house, session)] == ["turn", "look up"]


def test_spans_may_come_before_the_session_and_twice_and_compressed(house: House) -> None:
    one = span()
    body = otlp({**one, "name": "first told"})
    assert send(house, gzip.compress(body), JSON, (b"content-encoding", b"gzip")).body == b"{}"
    assert send(house, otlp({**one, "name": "told otherwise"})).status == 200
    parent = (b"traceparent", f"00-{one['traceId']}-{secrets.token_hex(8)}-01".encode())
    session = session_of(house, house.ask(ask([parent])))
    assert [each["name"] for each in reported(house, session)] == ["first told"]


def test_ids_in_base64_are_the_same_ids(house: House) -> None:
    one = span()
    encoded = {name: base64.b64encode(bytes.fromhex(one[name])).decode() for name in ("traceId", "spanId")}
    assert send(house, otlp({**one, **encoded})).body == b"{}"
    parent = (b"traceparent", f"00-{one['traceId']}-{secrets.token_hex(8)}-01".encode())
    session = session_of(house, house.ask(ask([parent])))
    assert [each["span_id"] for each in reported(house, session)] == [one["spanId"]]


MALFORMED: dict[str, tuple[bytes, tuple[tuple[bytes, bytes], ...], int]] = {
    "no JSON": (b"{", (JSON,), 400),
    "JSON of another shape": (b'{"resourceSpans": 7}', (JSON,), 400),
    "deep JSON": (b"[" * 100_000, (JSON,), 400),
    "no protobuf": (b"\xff\xff\xff", (PROTOBUF,), 400),
    "text": (b"hello", ((b"content-type", b"text/plain"),), 415),
    "no media type": (b"hello", ((b"accept", b"*/*"),), 415),
    "no gzip": (b"hello", (JSON, (b"content-encoding", b"gzip")), 400),
    "a bomb": (gzip.compress(b" " * (40 << 20)), (JSON, (b"content-encoding", b"gzip")), 413),
    "a foreign page": (b"{}", (JSON, (b"origin", b"https://evil.example")), 403),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_cannot_be_read_is_refused_for_good(house: House, what: str) -> None:
    body, headers, status = MALFORMED[what]
    answer = send(house, body, *headers)
    assert answer.status == status, answer.body
    assert b"retry-after" not in dict(answer.headers)
    if PROTOBUF in headers:
        assert "protobuf" in Status.FromString(answer.body).message
    else:
        assert json.loads(answer.body)["message"]


def test_other_methods_and_paths_have_answers_too(house: House) -> None:
    assert house.ask(request(b"/v1/traces", b"", headers=(JSON,), method=b"GET", host=b"localhost")).status == 405
    assert house.ask(request(b"/v1/traces", otlp(span()), headers=(JSON,))).status == 403  # a Host that is not ours
    lost = house.ask(request(b"/v1/chat/completions", b"{}", headers=(JSON,)))
    assert (lost.status, b"Nothing is served under" in lost.body) == (404, True)
    for path in (b"/v1/traces", b"/v1/elsewhere"):
        twice = [JSON, (b"content-length", b"2"), (b"transfer-encoding", b"chunked")]
        assert house.ask(request(path, b"{}", headers=twice, host=b"localhost")).status == 400


NOW = time.time_ns()
BAD_SPANS: dict[str, tuple[dict[str, Any], str]] = {
    "no trace": ({"traceId": ""}, "trace id"),
    "zero trace": ({"traceId": "0" * 32}, "trace id"),
    "odd digits": ({"traceId": "x" * 32}, "trace id"),
    "short span": ({"spanId": "ab"}, "span id"),
    "a parent that is none": ({"parentSpanId": "no"}, "parent"),
    "ends before": ({"endTimeUnixNano": str(NOW - 10**12)}, "end before"),
    "from the future": ({"endTimeUnixNano": str(NOW + 10**15)}, "future"),
    "beyond 64 bits": ({"endTimeUnixNano": "9" * 20}, "future"),
    "no number": ({"endTimeUnixNano": "soon"}, "end before"),
    "from before there were computers": ({"startTimeUnixNano": 0}, "older"),
}


@pytest.mark.parametrize("what", BAD_SPANS)
def test_a_span_that_cannot_be_kept_is_rejected_and_the_others_are_kept(house: House, what: str) -> None:
    changes, why = BAD_SPANS[what]
    count, said = rejected(send(house, otlp(span(**changes), span())))
    assert (count, why in said) == ("1", True), said


def test_a_megabyte_in_an_attribute_is_cut_and_counted(house: House) -> None:
    big = [attribute("big", "x" * (1 << 20)), attribute("gen_ai.tool.name", "fetch")]
    (one,) = joined(house, span(attributes=big))
    assert (one["tool"], one["shortened"], len(one["detail"]["attributes"]["big"])) == ("fetch", 1, 64 << 10)
    many = [attribute(f"big{number}", "x" * (60 << 10)) for number in range(20)]
    (one,) = joined(house, span(attributes=[*many, attribute("gen_ai.tool.name", "fetch")]))
    assert (one["tool"], one["shortened"], one["detail"]) == ("fetch", 1, None)


def test_parents_in_a_circle_are_shown_once(house: House) -> None:
    one, two, own = (secrets.token_hex(8) for _ in range(3))
    found = joined(
        house,
        span(name="a", spanId=one, parentSpanId=two),
        span(name="b", spanId=two, parentSpanId=one),
        span(name="own parent", spanId=own, parentSpanId=own),
        span(name="orphan", parentSpanId=secrets.token_hex(8)),
    )
    assert sorted(each["name"] for each in found) == ["a", "b", "orphan", "own parent"]
    assert {each["name"]: each["depth"] for each in found} == {"a": 0, "b": 1, "orphan": 0, "own parent": 0}


def test_hostile_text_and_odd_values_do_no_harm(house: House) -> None:
    name = "\x1b[31m\u202ered\x00" + "n" * 10_000
    odd = [
        attribute("nan", {"doubleValue": "NaN"}),
        attribute("list", {"arrayValue": {"values": [{"intValue": "7"}, {"boolValue": True}]}}),
        attribute("map", {"kvlistValue": {"values": [attribute("k", "v")]}}),
        attribute("gen_ai.usage.input_tokens", {"intValue": "-5"}),
        {"key": "nothing"},
    ]
    (one,) = joined(house, span(name=name, kind=99, status={"code": 42}, attributes=odd))
    assert "\x1b" not in one["name"]
    assert len(one["name"]) <= 256
    assert (one["kind"], one["status"], one["input_tokens"]) == ("unspecified", "unset", None)
    assert one["detail"]["attributes"]["list"] == [7, True]
    assert one["detail"]["attributes"]["map"] == {"k": "v"}


def everywhere(folder: Path, needle: bytes) -> list[str]:
    return [name for name, content in kept_in(folder) if needle in content]


def test_what_was_acknowledged_survives_a_kill_on_any_worker_and_goes_when_erased(tmp_path: Path) -> None:
    trace, mark = secrets.token_hex(16), f"{MARK}-{secrets.token_hex(4)}"
    told = [span(traceId=trace, name=f"{mark} {number}", attributes=[attribute("said", mark)]) for number in range(9)]
    with standing(tmp_path, workers=2) as house:
        parent = (b"traceparent", f"00-{trace}-{secrets.token_hex(8)}-01".encode())
        session = session_of(house, house.ask(ask([parent])))
        other = send(house, otlp(span(name="stays")))
        assert other.status == 200
        for each in told:
            assert send(house, otlp(each)).status == 200
        house.gateway.process.kill()
    with standing(tmp_path, workers=2) as house:
        data = house.gateway.folder / "data"
        assert len(reported(house, session)) == len(told)
        assert house.status()["counters"]["spans_reported"] == 0
        assert everywhere(data, b"stays") != []
        assert everywhere(data, mark.encode()) != []
        body = {"scope": f"session:{session}", "basis": "GDPR Art. 17", "by": "the officer"}
        status, said = house.control("/api/erasures", method="POST", body=body)
        assert status == 200, said
        assert everywhere(data, mark.encode()) == []
        assert everywhere(data, b"stays") != []


def test_a_key_of_another_app_reaches_no_session_and_a_viewer_sends_nothing(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        ours, theirs, viewer = (
            (b"authorization", f"Bearer {house.key(app=app, role=role)['secret']}".encode())
            for app, role in (("ours", "app"), ("theirs", "app"), ("ours", "viewer"))
        )
        trace = secrets.token_hex(16)
        parent = (b"traceparent", f"00-{trace}-{secrets.token_hex(8)}-01".encode())
        session = session_of(house, house.ask(ask([parent, (b"stepwarden-key", ours[1].removeprefix(b"Bearer "))])))
        assert send(house, otlp(span(traceId=trace, name="forged")), JSON, theirs).status == 200
        assert reported(house, session) == []
        assert send(house, otlp(span(traceId=trace, name="own")), JSON, ours).status == 200
        assert [each["name"] for each in reported(house, session)] == ["own"]
        assert send(house, otlp(span()), JSON).status == 401
        assert send(house, otlp(span()), JSON, viewer).status == 401


def test_sessions_show_prints_what_was_reported_beside_what_was_seen(house: House) -> None:
    trace, outer = secrets.token_hex(16), secrets.token_hex(8)
    parent = (b"traceparent", f"00-{trace}-{outer}-01".encode())
    answered = house.ask(ask([parent]))
    session = session_of(house, answered)
    told = [
        span(traceId=trace, spanId=outer, name="plan a trip"),
        span(traceId=trace, parentSpanId=outer, name="\x1b[2Jfetch", status={"code": 2}),
    ]
    assert send(house, otlp(*told)).status == 200
    shown = house.gateway.command("sessions", "show", session)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("reported by the application itself"))
    exchange = dict(answered.headers)[b"stepwarden-exchange"].decode()
    assert ("plan a trip" in lines[at + 1], exchange[:8] in lines[at + 1]) == (True, True)
    assert ("fetch error" in lines[at + 2], "\x1b[2J" in shown.stdout) == (True, False)
    as_json = json.loads(house.gateway.command("sessions", "show", session, "--json").stdout)
    assert [each["fidelity"] for each in as_json["reported"]] == ["reported", "reported"]


def test_what_is_refused_for_want_of_room_is_not_kept_and_all_else_is(tmp_path: Path) -> None:
    room = PATIENT + "queue_bytes = 100000\n"
    big = [attribute("said", "x" * 4000)]
    with standing(tmp_path, more=room) as house:
        trace = secrets.token_hex(16)
        parent = (b"traceparent", f"00-{trace}-{secrets.token_hex(8)}-01".encode())
        session = session_of(house, house.ask(ask([parent])))

        def sender(number: int) -> Response:
            return send(house, otlp(*(span(traceId=trace, name=f"{number}", attributes=big) for _ in range(50))))

        with ThreadPoolExecutor(16) as senders:
            answers = list(senders.map(sender, range(64)))
        taken = [number for number, answer in enumerate(answers) if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        assert {answer.status for answer in refused} <= {429}
        for answer in refused:
            assert dict(answer.headers)[b"retry-after"] == b"1"
        found = reported(house, session, "?limit=10000")
        assert sorted(each["name"] for each in found) == sorted(f"{number}" for number in taken for _ in range(50))
        assert house.status()["counters"]["spans_refused"] == 50 * len(refused)
