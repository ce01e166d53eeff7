"""Critiques reach a collector as events: what is registered and nothing else, without a word of content."""

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from gateway.evaluations import Evaluated, events_of
from gateway.otlp import ExportSettings
from gateway.otlp_events import CURSOR, EvaluationExporter
from policies.vocabulary.critiques import Critique, Opinion
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.monitoring import Filed
from policies.vocabulary.registry import EVALUATION, EVENT_ATTRIBUTES
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Step

TYPES: dict[str, type] = {"string": str, "int": int, "double": float}
SECRET = "heliotrope"
NOW = 1_790_000_000_000_000_000
JOIN = Join(
    session_id="S",
    branch_id="B",
    evidence="none",
    relation="opens",
    derived=True,
    trace_id=b"t" * 16,
    branch_span_id=b"b" * 8,
)
EXCHANGE = Exchange(
    exchange_id="E1",
    join=JOIN,
    app="shop",
    provider="p",
    dialect="anthropic",
    operation="chat",
    method="POST",
    path="/v1/messages",
    outcome="complete",
    started_ns=1,
    ended_ns=2,
    response_id="msg_1",
    server_span_id=b"s" * 8,
    client_span_id=b"c" * 8,
)
STEPS = [
    Step(
        step_id=f"E1.{seq:04}",
        exchange_id="E1",
        session_id="S",
        branch_id="B",
        seq=seq,
        kind="model_text",
        fidelity="witnessed",
        side="response",
        started_ns=1,
        ended_ns=2,
        span_id=bytes([seq + 1]) * 8,
    )
    for seq in range(2)
]


def filed(number: int = 1, failure: str | None = None) -> Filed:
    opinions = (
        Opinion(clause="house/mail", label="violation", score=90, first_bad_step="E1.0000", feedback=SECRET),
        Opinion(clause="house/pay", label="ok", score=0),
    )
    critique = Critique(
        critique_id=f"C{number}",
        seat="monitor",
        app="shop",
        session_id="S",
        steps=("E1.0000", "E1.0001"),
        ruleset="r",
        opinions=() if failure else opinions,
        calls=(),
        at_ns=7,
    )
    return Filed(critique=critique, failure=failure, verdict="reject")


def find(step_id: str) -> Evaluated | None:
    step = next(step for step in STEPS if step.step_id == step_id)
    return Evaluated(trace_id=JOIN.trace_id, span_id=step.span_id, response_id="msg_1")


def test_what_is_emitted_is_what_is_registered_both_ways() -> None:
    events = [*events_of(filed(), find), *events_of(filed(failure="shed"), lambda _: None)]
    registered = {entry.name: entry for entry in EVENT_ATTRIBUTES}
    assert {name for event in events for name in event.attributes} == set(registered)
    for event in events:
        assert event.name == EVALUATION
        required = {entry.name for entry in EVENT_ATTRIBUTES if entry.requirement == "required"}
        assert required <= set(event.attributes)
        for name, value in event.attributes.items():
            assert type(value) is TYPES[registered[name].type], name


def test_an_event_is_about_the_first_bad_step_or_the_last_and_holds_no_words() -> None:
    bad, good = events_of(filed(), find)
    assert (bad.span_id, good.span_id) == (STEPS[0].span_id, STEPS[1].span_id)
    assert SECRET not in str([bad, good])


def of_the_gate(exchange_id: str, at_ns: int) -> Filed:
    opinion = Opinion(clause="house/mail", view="intent", label="violation", score=90)
    critique = msgspec.structs.replace(
        filed().critique, seat="gate", steps=(), exchange_id=exchange_id, opinions=(opinion,), at_ns=at_ns
    )
    return msgspec.structs.replace(filed(), critique=critique)


def test_a_critique_of_the_gate_is_about_the_answer_that_proposed_the_call(collector: "Collector") -> None:
    record = Record()
    record.filed = [of_the_gate("E1", NOW), of_the_gate("gone", 0)]
    exporting(record, collector, 2)
    found, gone = collector.records
    assert (found.trace_id, found.span_id) == (JOIN.trace_id, EXCHANGE.client_span_id)
    assert (gone.trace_id, gone.span_id) == (b"", b"")
    told = {each.key: each.value.string_value for each in found.attributes}
    assert (told["stepwarden.critique.view"], told["gen_ai.response.id"]) == ("intent", "msg_1")


def test_a_critique_waits_for_its_exchange_to_be_recorded(collector: "Collector") -> None:
    record = Record()
    record.filed = [filed(1), of_the_gate("E1", NOW)]
    record.recorded = False
    exporting(record, collector, 2)
    assert (len(collector.records), record.cursors) == (2, {CURSOR: "1"})
    record.recorded = True
    exporting(record, collector, 3)
    assert collector.records[-1].span_id == EXCHANGE.client_span_id


def test_what_was_not_judged_has_no_score() -> None:
    [event] = events_of(filed(failure="budget_day"), find)
    assert event.attributes["error.type"] == "budget_day"
    assert not any(name.startswith("gen_ai.evaluation.score") for name in event.attributes)


class Collector:
    """An OTLP/HTTP collector on loopback that keeps log records."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.paths: list[str] = []
        self.refusals = 1
        self.at_each: Callable[[], None] = lambda: None
        self.said: list[int] = []
        """What the exporter told of itself while each request was here."""
        self.heard = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                with collector.heard:
                    refused = collector.refusals > 0
                    collector.refusals -= 1
                    collector.paths.append(self.path)
                    collector.at_each()
                    if not refused:
                        collector.take(ExportLogsServiceRequest.FromString(body))
                    collector.heard.notify_all()
                reply = ExportLogsServiceResponse().SerializeToString()
                self.send_response(400 if refused else 200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def take(self, request: ExportLogsServiceRequest) -> None:
        self.records += [
            record for logs in request.resource_logs for scope in logs.scope_logs for record in scope.log_records
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Record:
    """Critiques and what they are about; cursors that outlive an exporter."""

    def __init__(self) -> None:
        self.filed: list[Filed] = []
        self.cursors: dict[str, str] = {}
        self.recorded = True

    def after(self, number: int, limit: int) -> list[tuple[int, Filed]]:
        return [*enumerate(self.filed, 1)][number : number + limit]

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    def exchange(self, exchange_id: str) -> Exchange | None:
        return EXCHANGE if exchange_id == "E1" and self.recorded else None

    def exchange_steps(self, exchange_id: str) -> list[Step]:
        return STEPS if exchange_id == "E1" else []

    def save(self, name: str, value: str) -> None:
        self.cursors[name] = value


@pytest.fixture
def collector() -> Iterator[Collector]:
    opened = Collector()
    yield opened
    opened.close()


def exporting(record: Record, collector: Collector, wanted: int) -> EvaluationExporter:
    """Export until the collector has so many records; the exporter, which has ended."""
    settings = ExportSettings(endpoint=collector.url, version="0", poll_seconds=0.01, retry_seconds=0.01)
    exporter = EvaluationExporter(record, record, settings, save_cursor=record.save, now_ns=lambda: NOW)
    collector.at_each = lambda: collector.said.append(exporter.counters()["evaluations_failing"])
    exporter.start()
    with collector.heard:
        assert collector.heard.wait_for(lambda: len(collector.records) >= wanted, 20)
    exporter.stop(5)
    return exporter


def test_every_critique_reaches_the_collector_once_it_is_there_and_none_twice_after_a_restart(
    collector: Collector,
) -> None:
    record = Record()
    record.filed = [filed(1), filed(2)]
    exporting(record, collector, 4)
    assert (len(collector.records), record.cursors) == (4, {CURSOR: "2"})
    assert set(collector.paths) == {"/v1/logs"}
    first = collector.records[0]
    assert (first.event_name, first.trace_id, first.span_id) == (EVALUATION, JOIN.trace_id, STEPS[0].span_id)
    record.filed.append(filed(3, failure="shed"))
    exporting(record, collector, 5)
    assert len(collector.records) == 5


def test_people_on_call_see_that_the_collector_takes_no_evaluations_until_it_does(collector: Collector) -> None:
    record = Record()
    record.filed = [filed()]
    collector.refusals = 2
    exporter = exporting(record, collector, 2)
    assert collector.said == [0, 1, 1]
    assert exporter.counters() == {"evaluations_failing": 0}
