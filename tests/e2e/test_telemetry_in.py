"""Applications that are instrumented with what people use: their own spans stand in the session their calls opened.

Unmodified SDKs call through the gateway; OpenTelemetry's exporter sends protobuf, compressed, to `/v1/traces`.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider
from tests.e2e.environments.install import environment
from tests.e2e.programs import CLIENTS, NOWHERE
from tests.fakes.provider import TEXT, say
from tests.gateway.house import House, standing, waited

pytestmark = pytest.mark.e2e

NEW = {"gen_ai.provider.name"}
OLD = {"gen_ai.system"}
OPENINFERENCE = {"openinference.span.kind", "llm.token_count.prompt"}
INSTRUMENTATIONS = {
    "genai": ("telemetry", NEW),
    "openllmetry": ("telemetry", NEW),
    "openinference": ("telemetry", OPENINFERENCE),
    "old names": ("telemetry-old", OLD),
}
"""Which environment each is in, and in whose words it speaks."""


@dataclass(frozen=True)
class Ran:
    """What an application did."""

    returned: dict[str, str]
    spans: list[dict[str, Any]]
    house: House
    requests: list[SeenRequest]

    @property
    def trace(self) -> str:
        (found,) = {span["trace_id"] for span in self.spans}
        return found


def answered(seen: SeenRequest) -> Answer:
    wire = "responses" if "responses" in seen.path else "chat" if "completions" in seen.path else "anthropic"
    return say(wire)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("telemetry"), more="") as standing_house:
        yield standing_house


def run(house: House, instrumentation: str, home: Path) -> Ran:
    """Run an application to its end; it must have told all its spans by then."""
    provider: BackgroundProvider = house.provider
    provider.script = answered
    before = len(provider.requests)
    url = house.gateway.url
    python = environment(INSTRUMENTATIONS[instrumentation][0]) / "bin" / "python"
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": f"{url}/anthropic",
        "ANTHROPIC_API_KEY": "sk-ant-e2e-0000",
        "OPENAI_BASE_URL": f"{url}/openai/v1",
        "OPENAI_API_KEY": "sk-e2e-0000",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
        "OTEL_PYTHON_EXCLUDED_URLS": "/v1/traces",
        "TRACELOOP_TELEMETRY": "false",
        **NOWHERE,
    }
    done = subprocess.run(
        [str(python), str(CLIENTS / "instrumented.py"), instrumentation],
        env=variables, cwd=home, capture_output=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    said = json.loads(done.stdout)
    assert said["flushed"]
    return Ran(said["returned"], said["spans"], house, provider.requests[before:])


@pytest.fixture(scope="module", params=INSTRUMENTATIONS)
def ran(request: pytest.FixtureRequest, house: House, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(house, request.param, tmp_path_factory.mktemp("home"))


def answer_of(house: House, path: str) -> Any:
    status, body = house.control(path)
    assert status == 200, body
    return json.loads(body)


def exchanges_of(ran: Ran) -> list[dict[str, Any]]:
    """The exchanges of the application's trace, in order, once they are recorded."""

    def read() -> list[dict[str, Any]] | None:
        listed = answer_of(ran.house, "/api/exchanges?limit=100")["exchanges"]
        found = [each for each in reversed(listed) if each["join"] and each["join"]["trace_id"] == ran.trace]
        return found if len(found) >= len(ran.returned) else None

    return waited(read)


def session_of(ran: Ran) -> str:
    (found,) = {each["join"]["session_id"] for each in exchanges_of(ran)}
    return found


def reported(ran: Ran) -> list[dict[str, Any]]:
    return answer_of(ran.house, f"/api/sessions/{session_of(ran)}/reported?detail=true")["spans"]


def test_the_sdks_return_what_the_provider_said(ran: Ran) -> None:
    assert set(ran.returned.values()) == {TEXT}


def test_every_span_stands_in_the_session_of_its_calls_as_it_was_told(ran: Ran) -> None:
    found = {each["span_id"]: each for each in reported(ran)}
    assert found.keys() == {span["span_id"] for span in ran.spans}
    for span in ran.spans:
        kept = found[span["span_id"]]
        assert kept["name"] == span["name"]
        assert kept["detail"]["scope"] == span["scope"]
        assert kept["detail"]["attributes"] == span["attributes"]
        assert kept["detail"]["resource"]["service.name"] == "instrumented"


def test_each_call_of_a_model_is_read_in_whatever_words_it_is_told(ran: Ran, request: pytest.FixtureRequest) -> None:
    calls = [each for each in reported(ran) if each["model"]]
    words = INSTRUMENTATIONS[request.node.callspec.params["ran"]][1]
    assert [words <= each["detail"]["attributes"].keys() for each in calls].count(True) >= len(ran.returned)
    assert {(each["model"], each["input_tokens"], each["output_tokens"]) for each in calls} == {("demo-model", 120, 12)}
    assert {each["operation"] for each in calls} <= {"chat", "text_completion"}
    assert {each["provider"] for each in calls} == {"anthropic", "openai"}


def test_each_exchange_hangs_below_the_span_that_sent_it_and_the_provider_saw_that_span_too(ran: Ran) -> None:
    exchanges = exchanges_of(ran)
    spans = {each["span_id"]: each for each in reported(ran)}
    senders = [each for each in spans.values() if each["exchanges"]]
    assert sorted(x for each in senders for x in each["exchanges"]) == sorted(x["exchange_id"] for x in exchanges)
    assert len(exchanges) == len(ran.returned)
    seen = [(each.header("traceparent") or "").split("-")[1:3] for each in ran.requests]
    assert sorted(seen) == sorted([ran.trace, each["span_id"]] for each in senders)
    for sender in senders:
        above = spans[sender["parent_span_id"]]
        # not every instrumentation makes its span the current one
        assert above["model"] or above["name"] == "answer a customer"
        assert sender["depth"] == above["depth"] + 1
