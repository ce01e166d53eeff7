"""The exporter follows the real store."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.otlp import CURSOR, ExportSettings, OtlpExporter
from gateway.telemetry import branch_spans, spans_of
from policies.vocabulary.exchanges import Body, Exchange, Recording
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Step
from storage.store import Store

NOW = 1_795_000_000_000_000_000


def recording(number: int) -> Recording:
    exchange_id = f"01ARZ3NDEKTSV4RRFFQ69G5FA{number}"
    exchange = Exchange(
        exchange_id=exchange_id,
        join=Join(
            session_id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
            branch_id="main",
            evidence="none" if number == 0 else "content_prefix",
            relation="opens" if number == 0 else "continues",
            derived=True,
            trace_id=b"t" * 16,
            branch_span_id=b"branch00",
        ),
        app="default",
        provider="anthropic",
        dialect="anthropic",
        operation="chat",
        method="POST",
        path="/v1/messages",
        outcome="complete",
        status=200,
        upstream_status=200,
        started_ns=NOW + number * 100,
        upstream_started_ns=NOW + number * 100 + 1,
        ended_ns=NOW + number * 100 + 50,
        model_requested="claude-opus-5-5",
        finish_reasons=("end_turn",),
        server_span_id=b"server0%d" % number,
        client_span_id=b"client0%d" % number,
    )
    step = Step(
        step_id=f"{exchange_id}.0000",
        exchange_id=exchange_id,
        session_id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        branch_id="main",
        seq=0,
        kind="model_text",
        fidelity="witnessed",
        side="response",
        size=2,
        started_ns=NOW + number * 100 + 20,
        ended_ns=NOW + number * 100 + 30,
        span_id=b"step000%d" % number,
    )
    return Recording(
        exchange=exchange,
        request=Body(raw=b"{}", length=2),
        response=Body(raw=b"{}", length=2),
        steps=(step,),
        state=bytes([number]) * 16,
        reply_fingerprint=bytes(16),
    )


def test_what_the_store_holds_reaches_the_collector_as_it_was_recorded(tmp_path: Path) -> None:
    requests: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(ExportTraceServiceRequest.FromString(gzip.decompress(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    recorded = [recording(number) for number in range(3)]
    store = Store.open(tmp_path / "data")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        store.append(recorded)
        cursors: dict[str, str] = {}
        settings = ExportSettings(endpoint=f"http://127.0.0.1:{server.server_port}", version="0", batch=2)
        exporter = OtlpExporter(store, settings, save_cursor=cursors.__setitem__)
        exporter.start()
        assert exporter.stop(10)
        store.save_cursor(CURSOR, cursors[CURSOR])
        assert store.after(store.cursor(CURSOR), 10)[0] == []
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        store.close()
    arrived = {
        span.span_id: (
            span.name,
            span.trace_id,
            span.parent_span_id,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
        )
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    derived = branch_spans(found.exchange for found in recorded)
    for found in recorded:
        derived += spans_of(found.exchange, found.steps)
    assert arrived == {
        span.span_id: (span.name, span.trace_id, span.parent_span_id or b"", span.started_ns, span.ended_ns)
        for span in derived
    }
