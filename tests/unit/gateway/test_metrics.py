"""Metrics: what is counted is what was recorded, in a format that scrapers read, and bounded whatever callers say."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import SECONDS, TOKENS, Metrics
from policies.vocabulary.coverage import Examined
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.findings import Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.usage import Usage
from policies.vocabulary.verdicts import Verdict
from tests.unit.storage.stored import START_NS, recording

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9.e+-]+|\+Inf|NaN)")


def scraped(metrics: Metrics, counts: dict[str, float] | None = None) -> dict[str, float]:
    """Every sample by its name and labels; fails where a line is none, or a metric has no type."""
    found: dict[str, float] = {}
    typed: set[str] = set()
    text = metrics.text(counts or {}).decode()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed, "a metric is told once"
            typed.add(name)
        elif not line.startswith("# HELP "):
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            base = re.sub(r"_(bucket|sum|count)$", "", sample[1])
            assert {sample[1], base} & typed, line
            assert line.rpartition(" ")[0] not in found, line
            found[line.rpartition(" ")[0]] = float(sample[3])
    return found


def of(number: int = 1, **facts: Any) -> Recording:
    return recording(number, model_requested="m-large", **facts)


CALL = 'gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="m-large"'


def test_a_call_is_counted_in_its_buckets_and_tokens_add_up() -> None:
    metrics = Metrics()
    slow = of(2, ended_ns=START_NS + 2_000_000 + 3_000_000_000, first_token_ns=START_NS + 2_000_000 + 30_000_000)
    metrics.record([of(1), slow])
    found = scraped(metrics)
    name = "gen_ai_client_inference_duration_seconds"
    assert found[f'{name}_bucket{{{CALL},le="0.01"}}'] == 1
    assert found[f'{name}_bucket{{{CALL},le="2.56"}}'] == 1
    assert found[f'{name}_bucket{{{CALL},le="5.12"}}'] == 2
    assert found[f'{name}_bucket{{{CALL},le="+Inf"}}'] == found[f"{name}_count{{{CALL}}}"] == 2
    assert abs(found[f"{name}_sum{{{CALL}}}"] - 3.0009) < 1e-9
    assert found[f'gen_ai_client_inference_time_to_first_chunk_seconds_bucket{{{CALL},le="0.04"}}'] == 1
    spent = f'{{{CALL},gen_ai_token_modality="unknown"}}'
    assert found[f"gen_ai_client_inference_usage_input_tokens_total{spent}"] == 200
    assert found[f"gen_ai_client_inference_usage_cache_read_input_tokens_total{spent}"] == 160
    assert found[f'gen_ai_client_inference_operation_input_tokens_bucket{{{CALL},le="256"}}'] == 2
    assert found['stepwarden_cost_usd_total{app="shop",model="m-large"}'] == 0.0024


def test_what_is_unknown_is_not_counted_as_nothing() -> None:
    metrics = Metrics()
    metrics.record([of(usage=Usage(), cost_micro_usd=None)])
    found = scraped(metrics)
    assert not any("usage" in name or "operation_input" in name or "cost" in name for name in found)
    assert found['stepwarden_unpriced_total{app="shop",model="m-large"}'] == 1


def test_failures_are_told_apart_from_answers() -> None:
    metrics = Metrics()
    metrics.record([of(1), of(2, status=529, error_type="overloaded_error"), of(3, outcome="truncated")])
    found = scraped(metrics)
    kinds = {name.split('error_type="')[1].split('"')[0] for name in found if "error_type" in name}
    assert kinds == {"overloaded_error", "truncated"}


def test_guards_verdicts_and_what_did_not_run_are_counted() -> None:
    rows = (
        Examined(clause="p/a", guard="pattern.0", seq=0, micros=700),
        Examined(clause="p/a", guard="pattern.1", seq=0, skipped="deadline"),
    )
    finding = Finding(clause="p/a", guard="pattern.0", score=90, state="violation")
    judged = Judged(
        ruleset="r",
        verdict=Verdict(name="flag", shadow="reject"),
        steps=(StepJudgement(seq=0, findings=(finding,), coverage=rows),),
    )
    metrics = Metrics()
    metrics.record([msgspec.structs.replace(of(verdict="flag"), judged=judged)])
    found = scraped(metrics)
    assert found['stepwarden_guard_duration_seconds_bucket{guard="pattern",le="0.001"}'] == 1
    assert found['stepwarden_guard_duration_seconds_bucket{guard="pattern",le="0.0005"}'] == 0
    assert found['stepwarden_guard_not_run_total{guard="pattern",reason="deadline"}'] == 1
    assert found['stepwarden_findings_total{app="shop",clause="p/a"}'] == 1
    assert found['stepwarden_shadow_verdicts_total{app="shop",verdict="reject"}'] == 1
    labels = 'app="shop",provider="anthropic",outcome="complete",verdict="flag"'
    assert found[f"stepwarden_exchanges_total{{{labels}}}"] == 1


@given(st.lists(st.text(max_size=300), min_size=1, max_size=20))
def test_whatever_a_caller_calls_its_model_the_text_can_be_read(models: list[str]) -> None:
    metrics = Metrics()
    metrics.record([recording(number, model_requested=model) for number, model in enumerate(models)])
    total = sum(value for name, value in scraped(metrics).items() if name.startswith("stepwarden_cost_usd_total"))
    assert abs(total - 0.0012 * len(models)) < 1e-9


def test_a_thousand_models_do_not_make_a_thousand_series() -> None:
    metrics = Metrics()
    metrics.record([recording(number, model_requested=f"m{number}") for number in range(1000)])
    found = scraped(metrics)
    series = [name for name in found if name.startswith("stepwarden_cost_usd_total")]
    assert len(series) == 501
    assert found['stepwarden_cost_usd_total{app="_other",model="_other"}'] == pytest.approx(0.6)


def test_the_gateways_own_counts_come_with_their_kind() -> None:
    text = Metrics().text({"recorded": 5, "in_flight": 2, "event_loop_lag_seconds": 0.25}).decode()
    assert "# TYPE stepwarden_recorded_total counter\nstepwarden_recorded_total 5\n" in text
    assert "# TYPE stepwarden_in_flight gauge\nstepwarden_in_flight 2\n" in text
    assert "stepwarden_event_loop_lag_seconds 0.25\n" in text


def test_buckets_are_those_of_the_conventions() -> None:
    assert (SECONDS[0], SECONDS[-1], len(SECONDS)) == (0.01, 81.92, 14)
    assert (TOKENS[0], TOKENS[-1], len(TOKENS)) == (1, 67_108_864, 14)
