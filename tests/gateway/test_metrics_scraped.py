"""What Prometheus reads: `/metrics` through its own client's parser, whichever worker carried a call."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.demo.answers import Answer, Gate
from gateway.metrics import SECONDS, TOKENS
from tests.fakes.provider import always, say
from tests.gateway.house import ANTHROPIC, CHAT, House, standing, waited

POLICIES = '[app.default]\npolicy = ["agent-baseline"]\n'
DURATION = "gen_ai_client_inference_duration_seconds"
CALLS = 12


def scraped(house: House) -> dict[str, Any]:
    """Metric families by name; the parser refuses what is no such text."""
    status, body = house.control("/metrics")
    assert status == 200, body
    families = list(text_string_to_metric_families(body.decode()))
    names = [family.name for family in families]
    assert len(set(names)) == len(names), "a metric is told once"
    return {family.name: family for family in families}


def value(families: dict[str, Any], name: str, **labels: str) -> float:
    """The sum of the samples of a name with these labels."""
    samples = [sample for family in families.values() for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def bounds(families: dict[str, Any], name: str) -> list[float]:
    found = {float(each.labels["le"]) for each in families[name].samples if each.name == f"{name}_bucket"}
    return sorted(found)


def once(house: House, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The metrics, once something holds of them."""

    def read() -> dict[str, Any] | None:
        found = scraped(house)
        return found if holds(found) else None

    return waited(read, seconds=20)


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_of_every_worker_are_counted_in_the_conventions_own_buckets(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, more=POLICIES, workers=workers) as house:
        house.provider.script = always(say("anthropic", streamed=True))
        for _ in range(CALLS):
            assert house.ask(ANTHROPIC.call(stream=True)).status == 200
        house.provider.script = always(Answer(status=529, body=(b"{}",)))
        house.ask(CHAT.call())
        found = once(house, lambda each: value(each, f"{DURATION}_count") == CALLS + 1)
    assert bounds(found, DURATION) == [*SECONDS, float("inf")]
    assert bounds(found, "gen_ai_client_inference_operation_input_tokens") == [*TOKENS, float("inf")]
    call = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "anthropic"}
    assert value(found, "gen_ai_client_inference_time_to_first_chunk_seconds_count", **call) == CALLS
    assert value(found, f"{DURATION}_bucket", le="+Inf", **call) == CALLS
    assert value(found, f"{DURATION}_count", gen_ai_provider_name="openai") == 1
    failed = [each for each in found[DURATION].samples if each.labels.keys() >= {"error_type", "le"}]
    assert {each.labels["gen_ai_provider_name"] for each in failed} == {"openai"}
    assert value(found, "gen_ai_client_inference_usage_input_tokens_total", **call) == CALLS * 120
    assert value(found, "gen_ai_client_inference_operation_output_tokens_bucket", le="16", **call) == CALLS
    assert value(found, "stepwarden_guard_duration_seconds_count") >= CALLS
    assert value(found, "stepwarden_exchanges_total", verdict="allow") >= CALLS
    for gauge in ("waiting", "waiting_bytes", "in_flight", "holds_waiting", "viewers", "event_loop_lag_seconds"):
        assert found[f"stepwarden_{gauge}"].type == "gauge"
    for counter in ("recorded", "dropped", "spans_reported", "spans_refused", "audit_entries"):
        assert found[f"stepwarden_{counter}"].type == "counter"
    assert value(found, "stepwarden_dropped_total") == 0
    assert all(family.documentation for family in found.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_being_carried_is_counted_on_every_worker(tmp_path: Path, workers: int) -> None:
    gate = Gate()
    with standing(tmp_path, more="", workers=workers) as house:
        answer = say("anthropic")
        house.provider.script = always(Answer(headers=answer.headers, body=(gate, *answer.body), transfer="chunked"))
        asking = [threading.Thread(target=house.ask, args=(ANTHROPIC.call(),)) for _ in range(4)]
        for thread in asking:
            thread.start()
        once(house, lambda found: value(found, "stepwarden_in_flight") == 4)
        gate.open()
        for thread in asking:
            thread.join()
        once(house, lambda found: value(found, "stepwarden_in_flight") == 0)
