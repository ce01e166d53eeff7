"""Optimizers that were heard reach a collector, each once, over a restart of the exporter and beside moves."""

from collections.abc import Iterator

import pytest

from gateway.otlp import BESIDE_CURSOR, OPTIMIZER_CURSOR, ExportSettings, OtlpExporter
from gateway.proposal_spans import heard_spans, move_spans
from policies.vocabulary.spans import Span
from storage.optimizer_steps import Heard
from storage.trials import Move
from tests.unit.gateway.test_telemetry_otlp import Collector, Recorded

HEARD = [
    Heard(
        run=b"r" * 16, app="shop", optimizer=name, proposals=at, known=0, failures=0, calls=0, tokens=0,
        began_ns=at, ended_ns=at + 5, number=at,
    )
    for at, name in enumerate(("thresholds", "gaps", "lines"), 1)
]  # fmt: skip
MOVE = Move(
    number=1, proposal=1, app="shop", state="waiting", rung="shadow", outcome="waiting", why="watching", person=False,
    at_ns=5, since_ns=3, filed_ns=1,
)  # fmt: skip


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


def heard(after: int, limit: int) -> tuple[list[Span], int]:
    page = [each for each in HEARD if each.number > after][:limit]
    return heard_spans(page), page[-1].number if page else after


def moves(after: int, limit: int) -> tuple[list[Span], int]:
    page = [MOVE][after:][:limit]
    return move_spans(page), after + len(page)


def exporting(collector: Collector, recorded: Recorded) -> OtlpExporter:
    settings = ExportSettings(
        endpoint=f"http://127.0.0.1:{collector.port}", version="1", poll_seconds=0.01, retry_seconds=0.01, batch=2
    )  # fmt: skip
    beside = {BESIDE_CURSOR: moves, OPTIMIZER_CURSOR: heard}
    return OtlpExporter(recorded, settings, save_cursor=recorded.save, beside=beside, clock=lambda: 0)


def test_every_optimizer_that_was_heard_is_a_span_once_and_those_of_a_run_share_a_trace(collector: Collector) -> None:
    recorded = Recorded()
    for _ in range(2):
        running = exporting(collector, recorded)
        running.start()
        collector.wait(lambda: len(collector.spans()) == 4)
        running.stop(5)
    spans = collector.spans()
    told = [span for span in spans if span.name.startswith("optimize ")]
    assert [span.name for span in told] == ["optimize thresholds", "optimize gaps", "optimize lines"]
    assert {span.trace_id for span in told} == {b"r" * 16}
    assert len({span.span_id for span in told}) == 3
    assert [span.name for span in spans if span not in told] == ["revise shadow"]
    assert (recorded.cursors[OPTIMIZER_CURSOR], recorded.cursors[BESIDE_CURSOR]) == ("3", "1")
    assert HEARD[2].proposals == _number(told[2], "stepwarden.optimizer.proposals")


def _number(span: object, name: str) -> int:
    return next(each.value.int_value for each in span.attributes if each.key == name)  # type: ignore[attr-defined]
