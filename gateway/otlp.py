"""Export of spans to an OpenTelemetry collector, off the hot path.

The only file that knows the OpenTelemetry SDK, and it loads it only where an endpoint is configured (about 0.2 s).
One thread follows the store by its cursor: what a collector has not confirmed is sent again, also after a restart,
so a span may arrive twice and never not at all. No global tracer provider is set and no environment is read for
the resource.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from gateway.telemetry import Address, Texts, branch_spans, spans_of
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.registry import PROFILE, SCHEMA_URL
from policies.vocabulary.spans import Span
from policies.vocabulary.steps import Step

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_log = logging.getLogger(__name__)

CURSOR = "otlp"
"""Name of the cursor behind which everything reached the collector."""

BRANCH_CURSOR = "otlp-branches"
"""Name of the cursor behind which no branch still waits for its `invoke_agent` span."""

BESIDE_CURSOR = "otlp-beside"
"""Name of the cursor behind which every span of what became of proposals reached the collector."""

OPTIMIZER_CURSOR = "otlp-optimizers"
"""Name of the cursor behind which every span of an optimizer that was heard reached the collector."""

Beside: TypeAlias = Callable[[int, int], tuple[list[Span], int]]
"""Gives spans behind a place, at most so many, with the place behind them."""

_TRACES = "/v1/traces"
_LONGEST_WAIT = 60.0
_LAST_BREATH = 1.0
"""Seconds for a request that was interrupted to return."""

_MOST_BRANCHES = 10_000
"""Branches that may wait at once; beyond it the oldest get their span early, and again later."""

_CLIENT_ERRORS = range(400, 500)
_WORTH_RETRYING = frozenset({401, 403, 404, 407, 408, 425, 429})
"""4xx that say something about the connection, not about these spans: they go away once somebody mends it."""

_HEADER_PARTS = 2
_TAKEN = 200
_SAID = 200
"""Characters of a collector's reason that are logged."""

_Recorded: TypeAlias = tuple[Exchange, tuple[Step, ...]]
_Branch: TypeAlias = tuple[str, bytes]
"""Session id and branch span id."""


class HeadersInvalid(StepwardenError):
    """The collector's headers cannot be read from their environment variable."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"the environment variable {variable} is not set or does not hold name=value pairs")
        self.variable = variable

    def remedy(self) -> str:
        """What to put there."""
        return f"Set {self.variable} to the collector's headers, `name=value,name=value`."


class ExportSource(Protocol):
    """The slice of storage the exporter reads; `storage.store.Store` satisfies it."""

    def after(self, cursor: str | None, limit: int) -> tuple[list[_Recorded], str]:
        """Recordings after a cursor, in insertion order, and the cursor behind the last of them."""
        ...

    def cursor(self, name: str) -> str | None:
        """A saved cursor."""
        ...

    def exchanges(self, session_id: str) -> list[Exchange]:
        """A session's exchanges, in order."""
        ...


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where spans go, and how patiently."""

    endpoint: str
    """OTLP/HTTP base URL; `/v1/traces` is added unless it ends so."""

    headers: Mapping[str, str] = {}
    """Sent with each export; values are secrets."""

    servers: Mapping[str, Address] = {}
    """Host and port by provider name."""

    version: str
    """Of Stepwarden, as `service.version`."""

    batch: int = 64
    """Exchanges in one request."""

    idle_seconds: float = 60.0
    """A branch silent this long gets its `invoke_agent` span."""

    poll_seconds: float = 1.0
    timeout_seconds: float = 10.0
    """For one request, its retries included."""

    retry_seconds: float = 1.0
    """First pause after a failure; doubles, with jitter, up to a minute."""


class ExportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the export fares."""

    spans: int = 0
    """Confirmed by the collector since the start."""

    rejected: int = 0
    """What the collector refused for good (4xx, or in part): logged and left out."""

    failures: int = 0
    """Requests in a row that failed; 0 once one succeeds."""

    problem: str | None = None
    """What the last failure was; None while all is well."""


def headers_from(variable: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The collector's headers from the environment variable that holds them, `name=value,name=value`.

    Without a variable there are none. Raises `HeadersInvalid`, which never shows what it held.
    """
    if variable is None:
        return {}
    if variable not in environ:
        raise HeadersInvalid(variable)
    pairs = [part.split("=", 1) for part in environ[variable].split(",") if part.strip()]
    if any(len(pair) != _HEADER_PARTS or not pair[0].strip() for pair in pairs):
        raise HeadersInvalid(variable)
    return {name.strip(): value.strip() for name, value in pairs}


class OtlpExporter:
    """Follows the store and sends its spans to a collector, on a thread of its own."""

    def __init__(
        self,
        source: ExportSource,
        settings: ExportSettings,
        *,
        save_cursor: Callable[[str, str], None],
        texts: Callable[[Exchange, Sequence[Step]], Texts | None] = lambda _, __: None,
        beside: Mapping[str, Beside] = MappingProxyType({}),
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`save_cursor` hands a cursor to the store's writer thread; `texts` gives the content that goes along.

        `beside`: where spans of no exchange come from, by the name of the cursor.
        """
        self._source = source
        self._settings = settings
        self._save = save_cursor
        self._texts = texts
        self._beside = beside
        self._places: dict[str, int] = {}
        self._clock = clock
        self._branches: dict[_Branch, tuple[int, str | None]] = {}
        self._size = settings.batch
        self._cursor: str | None = None
        self._saved_branches: str | None = None
        self._flushed = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._wire: _Wire | None = None
        self._thread = threading.Thread(target=self._run, name="stepwarden-otlp", daemon=True)
        self.status = ExportStatus()
        """Replaced whole after each request; safe to read from any thread."""

    def start(self) -> None:
        """Begin to export."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something was recorded; without it the store is asked every `poll_seconds`."""
        self._wake.set()

    def stop(self, seconds: float) -> bool:
        """Send what is left, open branches included, for at most so long; True where all of it was confirmed.

        What was not confirmed is sent after the next start.
        """
        if self._thread.ident is None:
            return True
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        if self._wire is not None:
            self._wire.close()
        self._thread.join(_LAST_BREATH)
        return self._flushed and not self._thread.is_alive()

    def counters(self) -> Mapping[str, int]:
        """How the export fares, for people on call."""
        now = self.status
        return {
            "spans_exported": now.spans,
            "exports_refused": now.rejected,
            "export_failing": int(now.failures > 0),
        }

    def _run(self) -> None:
        """The thread: follow the store, and flush at the end."""
        while not self._stopping.is_set():
            self._wake.clear()
            moved = self._guarded(self._follow)
            if self.status.failures:
                self._stopping.wait(self._pause())
            elif not moved:
                self._wake.wait(self._settings.poll_seconds)
        while self._time_left() and self._guarded(self._follow):
            pass
        self._flushed = self._time_left() and not self.status.failures and self._guarded(self._send_branches)

    def _guarded(self, move: Callable[[], bool]) -> bool:
        """One move; whatever goes wrong is counted, said and tried again, because nobody watches a thread."""
        try:
            if self._wire is None:
                self._begin()
            return move()
        except Exception as error:  # noqa: BLE001 - a span that cannot be derived must not end the export
            self._fail(f"{type(error).__name__} while reading the store or deriving spans")
            _log.debug("span export", exc_info=error)
            return False

    def _begin(self) -> None:
        """Load the SDK, and take up where the last process ended."""
        self._cursor = self._source.cursor(CURSOR)
        self._places = {name: int(self._source.cursor(name) or 0) for name in self._beside}
        self._saved_branches = cursor = self._source.cursor(BRANCH_CURSOR)
        while self._cursor is not None and cursor != self._cursor:
            before = cursor
            batch, cursor = self._source.after(cursor, self._settings.batch)
            if not batch:
                break
            self._note_branches(batch, before)
        self._wire = _Wire(self._settings)

    def _follow(self) -> bool:
        """Send the next batch, or the branches that fell silent; False where there was no batch or it did not go."""
        batch, cursor = self._source.after(self._cursor, self._size)
        if batch:
            if not self._send_batch(batch):
                return False
            self._note_branches(batch, self._cursor)
            self._cursor = cursor
            self._save(CURSOR, cursor)
        if len(batch) < self._size:
            # Caught up: before that, a branch that looks silent may go on in what is still to be read.
            self._send_branches(self._clock() - int(self._settings.idle_seconds * 1e9))
            self._send_beside()
        self._save_branches()
        return bool(batch)

    def _send_beside(self) -> None:
        """Send what happened beside exchanges; what the collector refuses for good is left out."""
        for name, read in self._beside.items():
            spans, place = read(self._places[name], self._settings.batch)
            if spans and self._settled(spans, f"{len(spans)} spans beside exchanges"):
                self._places[name] = place
                self._save(name, str(place))

    def _note_branches(self, batch: Sequence[_Recorded], before: str | None) -> None:
        """Remember when each branch was last heard of, and the cursor before it was first."""
        for exchange, _ in batch:
            if exchange.join is not None:
                key = (exchange.join.session_id, exchange.join.branch_span_id)
                last_ns, first = self._branches.get(key, (0, before))
                self._branches[key] = (max(exchange.ended_ns, last_ns), first)

    def _save_branches(self) -> None:
        """Move the branches' cursor up to the oldest branch that still waits."""
        oldest = next((first for _, first in self._branches.values()), self._cursor)
        if oldest is not None and oldest != self._saved_branches:
            self._save(BRANCH_CURSOR, oldest)
            self._saved_branches = oldest

    def _send_batch(self, batch: Sequence[_Recorded]) -> bool:
        """Send a batch's spans; True where the cursor may move past it.

        A collector that refuses the spans themselves gets smaller and smaller batches, until the exchange it
        refuses is alone; that one is given up.
        """
        spans = [span for exchange, steps in batch for span in self._spans_of(exchange, steps)]
        if self._export(spans):
            self._size = min(self._size * 2, self._settings.batch)
            return True
        if not self._refused():
            return False
        if len(batch) > 1:
            self._size = max(1, len(batch) // 2)
            return False
        self._leave_out(f"the spans of exchange {batch[0][0].exchange_id}")
        return True

    def _spans_of(self, exchange: Exchange, steps: tuple[Step, ...]) -> list[Span]:
        return spans_of(exchange, steps, servers=self._settings.servers, texts=self._texts(exchange, steps))

    def _send_branches(self, before_ns: int | None = None) -> bool:
        """Send the spans of branches silent since then (None: of all); False where the collector did not take them."""
        due = [key for key, (last_ns, _) in self._branches.items() if before_ns is None or last_ns <= before_ns]
        due += list(self._branches)[:-_MOST_BRANCHES]
        for session_id in dict.fromkeys(session_id for session_id, _ in due):
            wanted = {span_id for session, span_id in due if session == session_id}
            spans = [span for span in branch_spans(self._source.exchanges(session_id)) if span.span_id in wanted]
            if not self._settled(spans, f"the spans of branches of session {session_id}"):
                return False
            for span_id in wanted:
                self._branches.pop((session_id, span_id), None)
        self._save_branches()
        return True

    def _settled(self, spans: Sequence[Span], what: str) -> bool:
        """Send spans that go together; True where nothing more is to be done, though they be refused for good."""
        if self._export(spans):
            return True
        if not self._refused():
            return False
        self._leave_out(what)
        return True

    def _leave_out(self, what: str) -> None:
        """Say and count what the collector refused for good; the export itself works."""
        _log.error("the collector refused %s: left out", what)
        rejected = self.status.rejected + 1
        self.status = msgspec.structs.replace(self.status, rejected=rejected, failures=0, problem=None)

    def _export(self, spans: Sequence[Span]) -> bool:
        """One request; its outcome goes into the status."""
        if not spans:
            return True
        assert self._wire is not None
        if self._wire.send(spans):
            if self.status.failures:
                _log.info("span export works again")
            refused = min(self._wire.refused, len(spans))
            if refused:
                self._leave_out(f"{refused} of {len(spans)} spans ({self._wire.reason!r})")
            sent = self.status.spans + len(spans) - refused
            self.status = msgspec.structs.replace(self.status, spans=sent, failures=0, problem=None)
            return True
        code = self._wire.last_status
        self._fail("the collector cannot be reached" if code is None else f"the collector answered {code}")
        return False

    def _refused(self) -> bool:
        """Whether the last request failed because of what it held."""
        code = None if self._wire is None else self._wire.last_status
        return code in _CLIENT_ERRORS and code not in _WORTH_RETRYING

    def _fail(self, problem: str) -> None:
        """Count a failure; say so once for each kind of problem, not for each try."""
        if problem != self.status.problem:
            _log.warning("span export: %s; it is tried again, nothing is lost", problem)
        failures = self.status.failures + 1
        self.status = msgspec.structs.replace(self.status, failures=failures, problem=problem)

    def _pause(self) -> float:
        """Seconds before the next try: doubling, between half and all of it by chance, so that gateways spread."""
        longest = min(_LONGEST_WAIT, self._settings.retry_seconds * 2 ** min(self.status.failures - 1, 16))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def _time_left(self) -> bool:
        return time.monotonic() < self._deadline


class _Wire:
    """The SDK's exporter, and our spans as its own."""

    def __init__(self, settings: ExportSettings) -> None:
        """Loads the SDK."""
        import requests  # noqa: PLC0415 - with the SDK below: only where an endpoint is configured
        from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

        # The SDK says each failed try; the exporter above says each change.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self.last_status: int | None = None
        self.refused = 0
        """Of the last request: spans that the collector did not take, although it took the request."""
        self.reason = ""
        """What it said of them."""
        session = requests.Session()
        session.max_redirects = 0  # a followed POST becomes a GET, and its 200 would pass for a confirmation
        session.hooks["response"].append(self._note)
        base = settings.endpoint.rstrip("/")
        self._exporter = OTLPSpanExporter(
            endpoint=base if base.endswith(_TRACES) else base + _TRACES,
            headers=dict(settings.headers),
            timeout=settings.timeout_seconds,
            compression=Compression.Gzip,
            session=session,
            max_request_size=0,  # the SDK drops what is larger; a collector says 413, and gets less at once
        )
        # Not `Resource.create`: it reads the environment and starts detectors.
        self._resource = Resource(
            {"service.name": "stepwarden", "service.version": settings.version}, schema_url=SCHEMA_URL
        )
        self._scope = InstrumentationScope(PROFILE, settings.version, SCHEMA_URL)

    def send(self, spans: Sequence[Span]) -> bool:
        """One request; True once the collector confirmed it."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - see the constructor

        self.last_status, self.refused, self.reason = None, 0, ""
        return self._exporter.export([self._readable(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Interrupt retries and close the connection."""
        self._exporter.shutdown()

    def _note(self, response: object, *_: object, **__: object) -> None:
        """Keep the status the SDK's answer does not carry."""
        status = getattr(response, "status_code", None)
        self.last_status = status if isinstance(status, int) else None
        if status == _TAKEN:
            self._note_refused(getattr(response, "content", b""))

    def _note_refused(self, content: bytes) -> None:
        """Read a partial success; what is none in protobuf says nothing."""
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - see the constructor
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415
            ExportTraceServiceResponse,
        )

        with suppress(DecodeError):
            partial = ExportTraceServiceResponse.FromString(content).partial_success
            self.refused, self.reason = max(partial.rejected_spans, 0), partial.error_message[:_SAID]

    def _readable(self, span: Span) -> "ReadableSpan":
        """The SDK's form of a span, under our ids."""
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - see the constructor
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415

        def context(span_id: bytes, *, remote: bool) -> SpanContext:
            return SpanContext(
                int.from_bytes(span.trace_id), int.from_bytes(span_id), remote, TraceFlags(TraceFlags.SAMPLED)
            )

        parent = span.parent_span_id
        return ReadableSpan(
            name=span.name,
            context=context(span.span_id, remote=False),
            parent=None if parent is None else context(parent, remote=span.parent_remote),
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind[span.kind.upper()],
            status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
            start_time=span.started_ns,
            end_time=span.ended_ns,
            instrumentation_scope=self._scope,
        )
