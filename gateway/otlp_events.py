"""Export of evaluations to an OpenTelemetry collector, as events, off every path.

With `gateway/otlp.py` the only file that knows the OpenTelemetry SDK. One thread follows the critiques by a cursor of
its own: what the collector has not confirmed is sent again, also after a restart.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from gateway.evaluations import Evaluated, events_of
from gateway.otlp import ExportSettings
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.monitoring import Filed
from policies.vocabulary.registry import PROFILE, SCHEMA_URL
from policies.vocabulary.spans import Event
from policies.vocabulary.steps import Step

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord

log = logging.getLogger(__name__)

CURSOR: Final = "otlp-critiques"

_LOGS: Final = "/v1/logs"
_TRACES: Final = "/v1/traces"
_LONGEST_WAIT: Final = 60.0
_PATIENCE_NS: Final = 60_000_000_000
"""How long a critique of the gate waits for its exchange to be recorded; then it is sent without its place."""


class Critiques(Protocol):
    """The slice of the critiques this reads; `storage.critiques.CritiqueBook` fits."""

    def after(self, number: int, limit: int) -> list[tuple[int, Filed]]:
        """Critiques beyond a place, each with its own."""
        ...


class Record(Protocol):
    """The slice of the record this reads; `storage.store.Store` fits."""

    def cursor(self, name: str) -> str | None:
        """A saved cursor."""
        ...

    def exchange(self, exchange_id: str) -> Exchange | None:
        """One exchange."""
        ...

    def exchange_steps(self, exchange_id: str) -> list[Step]:
        """Its steps."""
        ...


class EvaluationExporter:
    """Follows the critiques and sends their events to a collector, on a thread of its own."""

    def __init__(
        self,
        critiques: Critiques,
        record: Record,
        settings: ExportSettings,
        *,
        save_cursor: Callable[[str, str], None],
        now_ns: Callable[[], int],
    ) -> None:
        """`save_cursor` hands a cursor to the store's writer thread; `now_ns` is the wall clock, nanoseconds."""
        self._critiques = critiques
        self._record = record
        self._settings = settings
        self._save = save_cursor
        self._now_ns = now_ns
        self._number = 0
        self._failures = 0
        self._wire: _Wire | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stepwarden-otlp-events", daemon=True)

    def start(self) -> None:
        """Begin to export."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Send what is left and end, within so many seconds; what is not confirmed is sent after the next start."""
        self._stopping.set()
        self._thread.join(seconds)
        if self._wire is not None:
            self._wire.close()

    def counters(self) -> Mapping[str, int]:
        """How the export fares, for people on call."""
        return {"evaluations_failing": int(self._failures > 0)}

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._guarded():
                self._stopping.wait(self._pause())
        while not self._failures and self._guarded():
            pass

    def _guarded(self) -> bool:
        """Send a batch; whether there may be more. Whatever goes wrong is said once, and tried again."""
        try:
            if self._wire is None:
                self._number = int(self._record.cursor(CURSOR) or 0)
                self._wire = _Wire(self._settings)
            return self._follow(self._wire)
        except Exception as error:  # noqa: BLE001 - nobody watches a thread
            self._fail(f"{type(error).__name__} while reading critiques")
            return False

    def _follow(self, wire: "_Wire") -> bool:
        batch = self._settled(self._critiques.after(self._number, self._settings.batch))
        if not batch:
            return False
        events = [event for _, filed in batch for event in events_of(filed, self._find)]
        if events and not wire.send(events):
            self._fail("the collector took no events")
            return False
        self._failures = 0
        self._number = batch[-1][0]
        self._save(CURSOR, str(self._number))
        return True

    def _settled(self, batch: list[tuple[int, Filed]]) -> list[tuple[int, Filed]]:
        """Those before the first whose exchange is still to be recorded: the gate speaks before there is an answer."""
        for at, (_, filed) in enumerate(batch):
            exchange_id, age_ns = filed.critique.exchange_id, self._now_ns() - filed.critique.at_ns
            if exchange_id is not None and age_ns < _PATIENCE_NS and self._record.exchange(exchange_id) is None:
                return batch[:at]
        return batch

    def _find(self, place: str) -> Evaluated | None:
        exchange_id, _, seq = place.partition(".")
        exchange = self._record.exchange(exchange_id)
        if exchange is None or exchange.join is None:
            return None
        if not seq:
            return Evaluated(
                trace_id=exchange.join.trace_id, span_id=exchange.client_span_id, response_id=exchange.response_id
            )
        step = next((step for step in self._record.exchange_steps(exchange_id) if step.step_id == place), None)
        if step is None:
            return None
        return Evaluated(trace_id=exchange.join.trace_id, span_id=step.span_id, response_id=exchange.response_id)

    def _fail(self, problem: str) -> None:
        if not self._failures:
            log.warning("export of evaluations: %s; it is tried again, nothing is lost", problem)
        self._failures += 1

    def _pause(self) -> float:
        if not self._failures:
            return self._settings.poll_seconds
        return min(_LONGEST_WAIT, self._settings.retry_seconds * 2 ** min(self._failures - 1, 16))


class _Wire:
    """The SDK's exporter of log records, and our events as its own."""

    def __init__(self, settings: ExportSettings) -> None:
        """Loads the SDK."""
        import requests  # noqa: PLC0415 - with the SDK below: only where an endpoint is configured
        from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

        session = requests.Session()
        session.max_redirects = 0  # a followed POST becomes a GET, and its 200 would pass for a confirmation
        self._exporter = OTLPLogExporter(
            endpoint=settings.endpoint.rstrip("/").removesuffix(_TRACES) + _LOGS,
            headers=dict(settings.headers),
            timeout=settings.timeout_seconds,
            compression=Compression.Gzip,
            session=session,
            max_request_size=0,
        )
        self._resource = Resource(
            {"service.name": "stepwarden", "service.version": settings.version}, schema_url=SCHEMA_URL
        )
        self._scope = InstrumentationScope(PROFILE, settings.version, SCHEMA_URL)

    def send(self, events: Sequence[Event]) -> bool:
        """One request; True once the collector confirmed it."""
        from opentelemetry.sdk._logs.export import LogRecordExportResult  # noqa: PLC0415 - see the constructor

        found = self._exporter.export([self._readable(event) for event in events])
        return found is LogRecordExportResult.SUCCESS

    def close(self) -> None:
        """Interrupt retries and close the connection."""
        self._exporter.shutdown()

    def _readable(self, event: Event) -> "ReadableLogRecord":
        from opentelemetry._logs import LogRecord, SeverityNumber  # noqa: PLC0415 - see the constructor
        from opentelemetry.context import Context  # noqa: PLC0415
        from opentelemetry.sdk._logs import ReadableLogRecord  # noqa: PLC0415
        from opentelemetry.trace import (  # noqa: PLC0415
            NonRecordingSpan,
            SpanContext,
            TraceFlags,
            set_span_in_context,
        )

        context = Context()
        if event.trace_id is not None and event.span_id is not None:
            place = SpanContext(
                int.from_bytes(event.trace_id), int.from_bytes(event.span_id), False, TraceFlags(TraceFlags.SAMPLED)
            )
            context = set_span_in_context(NonRecordingSpan(place), context)
        record = LogRecord(
            timestamp=event.at_ns,
            observed_timestamp=event.at_ns,
            context=context,
            severity_number=SeverityNumber.INFO,
            attributes=event.attributes,
            event_name=event.name,
        )
        return ReadableLogRecord(record, self._resource, self._scope)
