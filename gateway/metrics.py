"""Metrics: what Prometheus scrapes at `/metrics`, in its text format, with OpenTelemetry's GenAI names and buckets.

Counted by the thread that writes the record, once a batch is written: no request waits for it, and what is counted is
what is recorded. Callers and policies name models and clauses, so the number of series is bounded: what comes beyond is
counted under `_other`.
"""

import re
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, TypeAlias, final

from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.judgements import Judged

Labels: TypeAlias = tuple[str, ...]

SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Buckets of durations as the GenAI conventions have them."""

TOKENS: Final = tuple(4**power for power in range(14))
"""Buckets of token counts as the GenAI conventions have them: 1 to 67,108,864."""

GUARD_SECONDS: Final = (0.00001, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)

_SERIES: Final = 500
"""Label sets of one metric at most."""

_OTHER: Final = "_other"
_LONGEST: Final = 200
"""Characters of a label's value."""

_UNSOUND: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What callers may put into a name and no line of text may hold."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@final
class Counter:
    """Sums by label set. One thread adds; any reads."""

    def __init__(self, name: str, about: str, labels: Labels) -> None:
        self.name, self.about, self._labels = name, about, labels
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, value: float = 1) -> None:
        """Count something."""
        if labels not in self._values:
            labels = _bounded(self._values, labels)
        self._values[labels] = self._values.get(labels, 0) + value

    def lines(self) -> Iterator[str]:
        """The text of it."""
        yield from _head(self.name, self.about, "counter")
        for labels, value in list(self._values.items()):
            yield f"{self.name}{_braces(zip(self._labels, labels, strict=True))} {_number(value)}"


@final
class Histogram:
    """Counts below each bucket's bound, by label set. One thread observes; any reads."""

    def __init__(self, name: str, about: str, labels: Labels, bounds: Sequence[float]) -> None:
        self.name, self.about, self._labels, self._bounds = name, about, labels, bounds
        self._values: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, labels: Labels, *values: float) -> None:
        """Count each value in its bucket."""
        if not values:
            return
        found = self._values.get(labels)
        if found is None:
            labels = _bounded(self._values, labels)
            found = self._values.setdefault(labels, ([0] * (len(self._bounds) + 1), [0.0]))
        counts, bounds = found[0], self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        found[1][0] += sum(values)

    def lines(self) -> Iterator[str]:
        """The text of it."""
        yield from _head(self.name, self.about, "histogram")
        for labels, (counts, total) in list(self._values.items()):
            pairs = list(zip(self._labels, labels, strict=True))
            below = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), tuple(counts), strict=True):
                below += count
                yield f"{self.name}_bucket{_braces([*pairs, ('le', bound)])} {below}"
            yield f"{self.name}_sum{_braces(pairs)} {_number(total[0])}"
            yield f"{self.name}_count{_braces(pairs)} {below}"


_CALL: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_SPENT: Final = (*_CALL, "gen_ai_token_modality")
_TOKEN_COUNTS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_write_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
}
"""What we call a count, and what the conventions do."""

_token_counts: Final = attrgetter(*_TOKEN_COUNTS)


@final
class Metrics:
    """Everything that is counted of recordings. `record` belongs to the writing thread, `text` to any."""

    def __init__(self) -> None:
        self._exchanges = Counter(
            "stepwarden_exchanges_total", "Exchanges recorded.", ("app", "provider", "outcome", "verdict")
        )
        self._would = Counter(
            "stepwarden_shadow_verdicts_total", "What clauses out of force would have done.", ("app", "verdict")
        )
        self._cost = Counter("stepwarden_cost_usd_total", "US dollars, of what is priced.", ("app", "model"))
        self._unpriced = Counter("stepwarden_unpriced_total", "Exchanges of unknown cost.", ("app", "model"))
        self._findings = Counter("stepwarden_findings_total", "Findings.", ("app", "clause"))
        self._not_run = Counter("stepwarden_guard_not_run_total", "Steps a guard did not look at.", ("guard", "reason"))
        self._guards = Histogram(
            "stepwarden_guard_duration_seconds", "One guard on one step.", ("guard",), GUARD_SECONDS
        )
        self._duration = Histogram(
            "gen_ai_client_inference_duration_seconds", "Of a call.", (*_CALL, "error_type"), SECONDS
        )
        self._first = Histogram(
            "gen_ai_client_inference_time_to_first_chunk_seconds", "To the first output of a stream.", _CALL, SECONDS
        )
        self._tokens = {
            name: Counter(f"gen_ai_client_inference_usage_{said}_total", "Tokens, as billed.", _SPENT)
            for name, said in _TOKEN_COUNTS.items()
        }
        self._sizes = {
            name: Histogram(f"gen_ai_client_inference_operation_{name}", "Tokens of one call.", _CALL, TOKENS)
            for name in ("input_tokens", "output_tokens")
        }

    def record(self, batch: Iterable[Recording]) -> None:
        """Count a batch that is written: what is alike in it all at once."""
        batch = tuple(batch)
        exchanges = [recording.exchange for recording in batch]
        for labels, count in Tally([(x.app, x.provider, x.outcome, x.verdict) for x in exchanges]).items():
            self._exchanges.add(labels, count)
        calls: dict[tuple[str, str, str, str], list[Exchange]] = {}
        for x in exchanges:
            if x.operation in {"chat", "embeddings"}:
                model = x.model_requested or x.model or "unknown"
                calls.setdefault((x.app, x.operation, x.provider, model), []).append(x)
        for (app, *call), alike in calls.items():
            self._calls(app, (call[0], call[1], call[2]), alike)
        for recording in batch:
            if recording.judged is not None:
                self._judged(recording.exchange.app, recording.judged)

    def text(self, counts: Mapping[str, float]) -> bytes:
        """All of it in Prometheus's text format, with the gateway's own counts."""
        made = [
            self._exchanges, self._would, self._cost, self._unpriced, self._findings, self._not_run, self._guards,
            self._duration, self._first, *self._tokens.values(), *self._sizes.values(),
        ]  # fmt: skip
        lines = [line for each in made for line in each.lines()]
        for name, value in counts.items():
            kind = "counter" if name in _COUNTED else "gauge"
            full = f"stepwarden_{name}{'_total' if kind == 'counter' else ''}"
            lines += [*_head(full, _ABOUT.get(name, "As in /api/status."), kind), f"{full} {_number(value)}"]
        return "\n".join([*lines, ""]).encode()

    def _calls(self, app: str, call: tuple[str, str, str], alike: Sequence[Exchange]) -> None:
        """Count calls of one operation, provider and model."""
        took: dict[str, list[float]] = {}
        for x in alike:
            took.setdefault(_failure(x), []).append((x.ended_ns - x.started_ns) / 1e9)
        for failed, seconds in took.items():
            self._duration.observe((*call, failed), *seconds)
        firsts = [(x.first_token_ns - x.started_ns) / 1e9 for x in alike if x.first_token_ns is not None]
        self._first.observe(call, *firsts)
        spent, used = (*call, "unknown"), [_token_counts(x.usage) for x in alike]
        for (name, counter), counts in zip(self._tokens.items(), zip(*used, strict=True), strict=True):
            known = [count for count in counts if count is not None]
            if known:
                counter.add(spent, sum(known))
            if name in self._sizes:
                self._sizes[name].observe(call, *known)
        priced = [x.cost_micro_usd / 1e6 for x in alike if x.cost_micro_usd is not None]
        if priced:
            self._cost.add((app, call[2]), sum(priced))
        if len(priced) < len(alike):
            self._unpriced.add((app, call[2]), len(alike) - len(priced))

    def _judged(self, app: str, judged: Judged) -> None:
        if judged.verdict.shadow != "allow":
            self._would.add((app, judged.verdict.shadow))
        for said in judged.steps:
            for finding in said.findings:
                self._findings.add((app, finding.clause))
            for row in said.coverage:
                kind = row.guard.partition(".")[0]
                if row.skipped is None:
                    self._guards.observe((kind,), row.micros / 1e6)
                else:
                    self._not_run.add((kind, row.skipped))


_ERROR: Final = 400
_COUNTED: Final = frozenset({
    "recorded", "dropped", "audit_entries", "audit_dropped", "spans_reported", "spans_refused", "alerts_delivered",
    "alerts_lost", "spans_exported", "exports_refused", "monitor_read", "monitor_failed", "monitor_shed",
    "canaries_read", "canaries_missed",
})  # fmt: skip
_ABOUT: Final = {
    "recorded": "Exchanges in the record.",
    "dropped": "Exchanges that are not in the record.",
    "waiting": "Exchanges that wait to be written.",
    "waiting_bytes": "Bytes of them.",
    "spans_reported": "Spans applications reported that are on the disk.",
    "spans_refused": "Spans that were refused for want of room.",
    "spans_waiting_bytes": "Bytes of reported spans that wait to be written.",
    "spans_exported": "Spans that the collector confirmed.",
    "exports_refused": "Times the collector refused spans for good: of an exchange, of branches, or some of a request.",
    "export_failing": "1 where the collector takes no spans now; they are sent later.",
    "evaluations_failing": "1 where the collector takes no evaluations now; they are sent later.",
    "in_flight": "Requests being carried.",
    "holds_waiting": "Steps that wait for a person.",
    "viewers": "Who watches the live feed.",
    "canaries_read": "Newest steps of a known label that were put before the supervisor.",
    "canaries_missed": "Violations among them that passed.",
    "canaries_cried": "Steps in order among them that did not pass.",
    "supervisor_blind": "1 where a seat of the supervisor judges too many canaries wrongly.",
    "event_loop_lag_seconds": "The longest an event loop, of any worker, was late in the last fifteen seconds.",
}


def _failure(x: Exchange) -> str:
    """How a call failed; empty where it did not."""
    return x.error_type or ("" if x.outcome == "complete" and (x.status or 500) < _ERROR else x.outcome)


def _bounded(known: Mapping[Labels, object], labels: Labels) -> Labels:
    """Labels that are not known yet as they are told, or what stands for all that are too many."""
    told = tuple(_UNSOUND.sub("\ufffd", value[:_LONGEST]) for value in labels)
    return told if told in known or len(known) < _SERIES else (_OTHER,) * len(labels)


def _head(name: str, about: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _braces(pairs: Iterable[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs if value)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    """A label's value: nothing in it ends it."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)
