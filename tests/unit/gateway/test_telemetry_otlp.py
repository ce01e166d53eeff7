"""Spans reach a real OTLP/HTTP collector: once it is there, all of them, whatever happened before."""

import gzip
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from gateway.otlp import BRANCH_CURSOR, CURSOR, ExportSettings, HeadersInvalid, OtlpExporter, headers_from
from gateway.telemetry import branch_spans, spans_of
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.registry import SCHEMA_URL
from policies.vocabulary.sessions import Join
from policies.vocabulary.spans import Span
from policies.vocabulary.steps import Step

MINUTE = 60 * 1_000_000_000


class Collector:
    """An OTLP/HTTP collector on loopback: keeps what it is sent, answers what it is told to."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answer: Callable[[ExportTraceServiceRequest], int] = lambda _: 200
        self.partly = ExportTraceServiceResponse()
        """What it says where it takes a request."""
        self.heard = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
                status = collector.answer(request)
                with collector.heard:
                    collector.headers.append(dict(self.headers))
                    collector.paths.append(self.path)
                    if status == 200:
                        collector.requests.append(request)
                    collector.heard.notify_all()
                reply = collector.partly.SerializeToString()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # a caller that left is what some tests are about

        self.server = Server(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def spans(self) -> list[WireSpan]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, until: Callable[[], bool]) -> None:
        with self.heard:
            assert self.heard.wait_for(until, 10)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Recorded:
    """What was recorded, in order; a cursor is a count."""

    def __init__(self) -> None:
        self.items: list[tuple[Exchange, tuple[Step, ...]]] = []
        self.cursors: dict[str, str] = {}
        self.broken = False

    def after(self, cursor: str | None, limit: int) -> tuple[list[tuple[Exchange, tuple[Step, ...]]], str]:
        if self.broken:
            raise OSError("disk")
        start = int(cursor or 0)
        batch = self.items[start : start + limit]
        return batch, str(start + len(batch))

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    def exchanges(self, session_id: str) -> list[Exchange]:
        return [e for e, _ in self.items if e.join is not None and e.join.session_id == session_id]

    def save(self, name: str, value: str) -> None:
        self.cursors[name] = value

    def add(self, number: int, session: int = 0, at_ns: int = 0) -> None:
        exchange = Exchange(
            exchange_id=f"{number:026}",
            join=Join(
                session_id=f"s{session}",
                branch_id="main",
                evidence="none",
                relation="opens",
                derived=True,
                trace_id=b"trace" + session.to_bytes(11, "big"),
                branch_span_id=b"b" + session.to_bytes(7, "big"),
            ),
            app="default",
            provider="openai",
            dialect="openai_chat",
            operation="chat",
            method="POST",
            path="/chat/completions",
            outcome="complete" if number % 2 == 0 else "truncated",
            status=200,
            started_ns=at_ns + 1,
            upstream_started_ns=at_ns + 2,
            ended_ns=at_ns + 9,
            model_requested="gpt-6.2-sol",
            finish_reasons=("stop", "length"),
            temperature=0.5,
            stream=True,
            server_span_id=b"s" + number.to_bytes(7, "big"),
            client_span_id=b"c" + number.to_bytes(7, "big"),
        )
        step = Step(
            step_id=f"{number:026}.0000",
            exchange_id=exchange.exchange_id,
            session_id=f"s{session}",
            branch_id="main",
            seq=0,
            kind="user_input",
            fidelity="witnessed",
            side="request",
            started_ns=at_ns + 3,
            ended_ns=at_ns + 4,
            span_id=b"p" + number.to_bytes(7, "big"),
        )
        self.items.append((exchange, (step,)))


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def trouble() -> Iterator[threading.Event]:
    """Set once the exporter has said that something does not work."""
    said = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - the base class's signature
            said.set()

    listener = Listener(logging.WARNING)
    logging.getLogger("gateway.otlp").addHandler(listener)
    yield said
    logging.getLogger("gateway.otlp").removeHandler(listener)


def exporter(port: int, source: Recorded, *, clock: Callable[[], int] = lambda: 0, **more: Any) -> OtlpExporter:
    settings: dict[str, Any] = {
        "endpoint": f"http://127.0.0.1:{port}",
        "version": "0.1.0",
        "poll_seconds": 0.01,
        "retry_seconds": 0.01,
        "timeout_seconds": 20.0,  # what came late to a busy machine would be sent twice
        **more,
    }
    return OtlpExporter(source, ExportSettings(**settings), save_cursor=source.save, clock=clock)


def ids(spans: list[WireSpan]) -> list[bytes]:
    return [span.span_id for span in spans]


def expected(source: Recorded) -> list[Span]:
    return [span for exchange, steps in source.items for span in spans_of(exchange, steps)]


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(plain(item) for item in value.array_value.values)
    return getattr(value, kind)


def test_ids_parents_kinds_times_status_and_attributes_arrive_as_derived(
    collector: Collector, recorded: Recorded
) -> None:
    recorded.add(0)
    recorded.add(1, session=1)
    running = exporter(collector.port, recorded)
    running.start()
    assert running.stop(10)
    arrived = {span.span_id: span for span in collector.spans()}
    derived = expected(recorded) + branch_spans(e for e, _ in recorded.items)
    assert set(arrived) == {span.span_id for span in derived}
    kinds = {"server": WireSpan.SPAN_KIND_SERVER, "client": WireSpan.SPAN_KIND_CLIENT}
    for span in derived:
        wire = arrived[span.span_id]
        assert (wire.name, wire.trace_id) == (span.name, span.trace_id)
        assert wire.parent_span_id == (span.parent_span_id or b"")
        assert wire.kind == kinds.get(span.kind, WireSpan.SPAN_KIND_INTERNAL)
        assert (wire.start_time_unix_nano, wire.end_time_unix_nano) == (span.started_ns, span.ended_ns)
        assert {pair.key: plain(pair.value) for pair in wire.attributes} == span.attributes
        assert (wire.status.code == wire.status.STATUS_CODE_ERROR) == span.failed


def test_the_resource_says_who_sends_and_the_scope_which_profile(collector: Collector, recorded: Recorded) -> None:
    recorded.add(0)
    running = exporter(collector.port, recorded)
    running.start()
    assert running.stop(10)
    (resource,) = collector.requests[0].resource_spans
    named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert named == {"service.name": "stepwarden", "service.version": "0.1.0"}
    assert (resource.schema_url, resource.scope_spans[0].schema_url) == (SCHEMA_URL, SCHEMA_URL)
    assert resource.scope_spans[0].scope.name == "stepwarden-genai/1"
    assert set(collector.paths) == {"/v1/traces"}


def test_headers_reach_the_collector_and_no_log(
    collector: Collector, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.add(0)
    collector.answer = lambda _: 200 if len(collector.paths) > 2 else 401
    with caplog.at_level(logging.DEBUG):
        headers = headers_from("OTLP_HEADERS", {"OTLP_HEADERS": "authorization=Bearer s3cret, x-team = a=b"})
        running = exporter(collector.port, recorded, headers=headers)
        running.start()
        collector.wait(lambda: bool(collector.requests))
        running.stop(10)
    assert collector.headers[0]["authorization"] == "Bearer s3cret"
    assert collector.headers[0]["x-team"] == "a=b"
    assert "collector answered 401" in caplog.text
    assert "s3cret" not in caplog.text


def test_headers_that_cannot_be_read_are_refused_without_being_shown() -> None:
    for environ in ({"H": "s3cret"}, {"H": "a=1,s3cret"}, {"H": "=s3cret"}, {}):
        with pytest.raises(HeadersInvalid) as caught:
            headers_from("H", environ)
        assert "s3cret" not in f"{caught.value} {caught.value.remedy()}"
    assert headers_from("H", {"H": ""}) == headers_from(None, {}) == {}


def test_a_collector_that_comes_late_gets_everything_in_order_and_once(
    recorded: Recorded, trouble: threading.Event
) -> None:
    placeholder = Collector()
    placeholder.close()
    for number in range(10):
        recorded.add(number)
    running = exporter(placeholder.port, recorded, batch=3, timeout_seconds=2.0)  # after which it says so
    running.start()
    assert trouble.wait(10)
    assert CURSOR not in recorded.cursors
    late = Collector(placeholder.port)
    try:
        assert running.stop(10)
        sent = [span for span in ids(late.spans()) if not span.startswith(b"b")]
        assert sent == [span.span_id for span in expected(recorded)]
        assert recorded.cursors[CURSOR] == "10"
    finally:
        late.close()


def test_what_a_dead_process_did_not_send_the_next_one_sends(collector: Collector, recorded: Recorded) -> None:
    for number in range(4):
        recorded.add(number)
    recorded.cursors = {CURSOR: "2", BRANCH_CURSOR: "2"}
    running = exporter(collector.port, recorded)
    running.start()
    assert running.stop(10)
    sent = [span for span in ids(collector.spans()) if not span.startswith(b"b")]
    assert sent == [span.span_id for span in expected(recorded)[6:]]


def test_a_batch_the_collector_may_have_lost_is_sent_again(collector: Collector, recorded: Recorded) -> None:
    for number in range(4):
        recorded.add(number)
    collector.answer = lambda _: 500 if len(collector.paths) in (0, 2) else 200
    running = exporter(collector.port, recorded, batch=2)
    running.start()
    collector.wait(lambda: len(collector.requests) >= 2)
    running.stop(10)
    sent = [span for span in ids(collector.spans()) if not span.startswith(b"b")]
    assert sent == [span.span_id for span in expected(recorded)]


def test_a_redirect_is_no_confirmation(collector: Collector, recorded: Recorded) -> None:
    recorded.add(0)
    collector.answer = lambda _: 302 if len(collector.paths) < 2 else 200
    running = exporter(collector.port, recorded)
    running.start()
    collector.wait(lambda: bool(collector.requests))
    running.stop(10)
    assert len(collector.paths) >= 3


def test_spans_the_collector_refuses_for_good_do_not_hold_up_the_others(
    collector: Collector, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(8):
        recorded.add(number)
    poison = b"s" + (5).to_bytes(7, "big")

    def answer(request: ExportTraceServiceRequest) -> int:
        found = [s.span_id for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        return 400 if poison in found else 200

    collector.answer = answer
    running = exporter(collector.port, recorded)
    running.start()
    collector.wait(lambda: any(span.span_id == b"s" + (7).to_bytes(7, "big") for span in collector.spans()))
    running.stop(10)
    sent = {span for span in ids(collector.spans()) if span.startswith(b"s")}
    assert sent == {b"s" + n.to_bytes(7, "big") for n in range(8)} - {poison}
    assert running.status.rejected == 1
    assert f"{5:026}" in caplog.text


def test_spans_that_a_request_was_taken_without_are_not_confirmed_and_not_sent_again(
    collector: Collector, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.add(0)
    collector.partly.partial_success.rejected_spans = 2
    collector.partly.partial_success.error_message = "attribute too long"
    running = exporter(collector.port, recorded)
    running.start()
    collector.wait(lambda: bool(collector.requests))
    assert running.stop(10)
    sent = ids(collector.spans())
    assert len(sent) == len(set(sent)) == 4  # the last one, of the branch, in a request of its own
    assert (running.status.spans, running.status.rejected, running.status.failures) == (1, 2, 0)
    assert "attribute too long" in caplog.text


def test_a_branch_that_is_refused_for_good_is_left_out_and_the_export_works(
    collector: Collector, recorded: Recorded
) -> None:
    recorded.add(0, at_ns=0)
    collector.answer = lambda request: 400 if "invoke_agent" in str(request) else 200
    running = exporter(collector.port, recorded, clock=lambda: 10 * MINUTE, idle_seconds=60)
    running.start()
    collector.wait(lambda: len(collector.paths) == 2)
    assert running.stop(10)
    assert (running.status.rejected, running.status.failures, running.status.problem) == (1, 0, None)
    assert len(collector.paths) == 2


def test_a_branch_gets_its_span_once_it_is_idle_and_not_before(collector: Collector, recorded: Recorded) -> None:
    now = [10 * MINUTE]
    recorded.add(0, session=0, at_ns=0)
    recorded.add(1, session=1, at_ns=10 * MINUTE - 1)
    running = exporter(collector.port, recorded, clock=lambda: now[0], idle_seconds=300)
    running.start()
    idle, busy = b"b" + (0).to_bytes(7, "big"), b"b" + (1).to_bytes(7, "big")
    collector.wait(lambda: idle in ids(collector.spans()))
    assert busy not in ids(collector.spans())
    now[0] = 20 * MINUTE
    collector.wait(lambda: busy in ids(collector.spans()))
    assert running.stop(10)
    assert recorded.cursors[BRANCH_CURSOR] == recorded.cursors[CURSOR] == "2"


def test_a_branch_that_goes_on_gets_its_span_again_with_the_later_end(collector: Collector, recorded: Recorded) -> None:
    branch = b"b" + (0).to_bytes(7, "big")
    recorded.add(0)
    running = exporter(collector.port, recorded, clock=lambda: 10 * MINUTE)
    running.start()
    collector.wait(lambda: branch in ids(collector.spans()))
    recorded.add(1, at_ns=MINUTE)
    running.wake()
    collector.wait(lambda: ids(collector.spans()).count(branch) == 2)
    assert running.stop(10)
    ends = [span.end_time_unix_nano for span in collector.spans() if span.span_id == branch]
    assert ends == [9, MINUTE + 9]


def test_a_branch_that_waited_when_the_process_died_gets_its_span_from_the_next(
    collector: Collector, recorded: Recorded
) -> None:
    recorded.add(0)
    recorded.add(1)
    recorded.cursors = {CURSOR: "2", BRANCH_CURSOR: "0"}
    running = exporter(collector.port, recorded, clock=lambda: 10 * MINUTE)
    running.start()
    collector.wait(lambda: bool(collector.requests))
    assert running.stop(10)
    assert ids(collector.spans()) == [b"b" + bytes(7)]


def test_a_store_that_cannot_be_read_for_a_while_stops_nothing(
    collector: Collector, recorded: Recorded, trouble: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.add(0)
    recorded.broken = True
    running = exporter(collector.port, recorded)
    running.start()
    assert trouble.wait(10)
    recorded.broken = False
    collector.wait(lambda: bool(collector.requests))
    assert running.stop(10)
    assert "OSError" in caplog.text


def test_stopping_keeps_to_its_deadline_while_the_collector_is_silent(recorded: Recorded) -> None:
    silent = threading.Event()
    deaf = Collector()
    deaf.answer = lambda _: 200 + 300 * (not silent.wait(5))
    recorded.add(0)
    running = exporter(deaf.port, recorded, timeout_seconds=0.3)
    try:
        running.start()
        assert not running.stop(0.1)
        assert CURSOR not in recorded.cursors
    finally:
        silent.set()
        deaf.close()


def test_stopping_what_never_started_is_done_at_once(recorded: Recorded) -> None:
    assert exporter(1, recorded).stop(10)


def test_content_is_exported_only_where_texts_are_provided(collector: Collector, recorded: Recorded) -> None:
    recorded.add(0)
    settings = ExportSettings(endpoint=f"http://127.0.0.1:{collector.port}/v1/traces", version="0", poll_seconds=0.01)
    running = OtlpExporter(
        recorded,
        settings,
        save_cursor=recorded.save,
        texts=lambda _, steps: {step.step_id: "what I asked" for step in steps},
    )
    running.start()
    assert running.stop(10)
    assert set(collector.paths) == {"/v1/traces"}
    assert "what I asked" in str(collector.requests)


def test_no_global_provider_is_set_and_the_sdk_is_loaded_only_by_an_exporter_that_runs() -> None:
    code = (
        "import sys, gateway.otlp as o\n"
        "assert not [m for m in sys.modules if m.startswith(('opentelemetry', 'requests', 'google.protobuf'))]\n"
        "o._Wire(o.ExportSettings(endpoint='http://127.0.0.1:1', version='0'))\n"
        "from opentelemetry import trace\n"
        "assert type(trace.get_tracer_provider()).__name__ == 'ProxyTracerProvider'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_status_says_how_it_fares(collector: Collector, recorded: Recorded) -> None:
    recorded.add(0)
    running = exporter(collector.port, recorded)
    running.start()
    assert running.stop(10)
    assert msgspec.structs.asdict(running.status) == {"spans": 4, "rejected": 0, "failures": 0, "problem": None}
