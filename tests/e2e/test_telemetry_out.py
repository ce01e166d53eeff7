"""Spans that the gateway exports, as a real backend takes and reads them: Arize Phoenix, asked over its own API."""

import json
import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.environments.install import environment
from tests.e2e.programs import NOWHERE
from tests.fakes.gateway import free_port
from tests.fakes.provider import CALL, TEXT, TOOL_TURN, in_turn, say
from tests.gateway.house import ANTHROPIC, House, standing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

READY_WITHIN = 300.0
"""Seconds; the first start compiles what it is made of."""

OPEN, CLOSED = "the weather in Zürich, please", "a secret of the closed app"
TRACE, CALLER = secrets.token_hex(16), secrets.token_hex(8)


@contextmanager
def running_phoenix(folder: Path) -> Iterator[str]:
    """A Phoenix server on loopback with its store in this folder; its address."""
    port = free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        **NOWHERE,
    }
    python = environment("phoenix") / "bin" / "python"
    with (folder / "phoenix.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-m", "phoenix.server.main", "serve"],
            env=variables, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait(process, f"http://127.0.0.1:{port}/healthz", folder / "phoenix.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
    raise AssertionError(f"Phoenix was not ready; its log:\n{log.read_text(errors='replace')[-3000:]}")


def call(house: House, secret: str, messages: list[dict[str, Any]], trace: str) -> None:
    parent = (b"traceparent", f"00-{trace}-{CALLER}-01".encode())
    key = (b"stepwarden-key", secret.encode())
    body = ANTHROPIC.request_body(stream=False, messages=messages)
    assert house.ask(ANTHROPIC.call(headers=[parent, key], body=body)).status == 200


def tell(house: House) -> None:
    """An agent's turn with a tool in one app, and one question in another."""
    opened, closed = (house.key(app=app)["secret"] for app in ("open", "closed"))
    house.provider.script = in_turn(say("anthropic", TOOL_TURN), say("anthropic"))
    asked: list[dict[str, Any]] = [{"role": "user", "content": OPEN}]
    call(house, opened, asked, TRACE)
    use = {"type": "tool_use", "id": CALL.call_id, "name": CALL.tool, "input": json.loads(CALL.arguments)}
    result = {"type": "tool_result", "tool_use_id": CALL.call_id, "content": "Sunny."}
    said = [{"type": "text", "text": TOOL_TURN.text}, use]
    call(house, opened, [*asked, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}], TRACE)
    call(house, closed, [{"role": "user", "content": CLOSED}], secrets.token_hex(16))


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What Phoenix has of all that a gateway exported until it ended."""
    with running_phoenix(tmp_path_factory.mktemp("phoenix")) as phoenix:
        more = f'[telemetry]\notlp_endpoint = "{phoenix}"\n[app.open]\nexport_content = true\n'
        with standing(tmp_path_factory.mktemp("exporting"), more=more) as house:
            tell(house)
        assert "span export" not in house.gateway.log
        yield _stored(phoenix)


def _stored(phoenix: str) -> list[dict[str, Any]]:
    """All spans, once no more come: Phoenix writes what it acknowledged a little later."""
    found: list[dict[str, Any]] = []
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{phoenix}/v1/projects/default/spans?limit=1000", timeout=20) as answer:
            before, found = found, json.loads(answer.read())["data"]
        if found and len(found) == len(before):
            return found
        time.sleep(1)
    raise AssertionError(f"the spans did not settle: {len(found)}")


def named(spans: list[dict[str, Any]], name: str, *, trace: str = TRACE) -> list[dict[str, Any]]:
    found = [span for span in spans if span["name"] == name and span["context"]["trace_id"] == trace]
    return sorted(found, key=lambda span: span["start_time"])


def value(span: Mapping[str, Any], name: str) -> Any:
    """An attribute, however it is nested."""
    found: Any = span["attributes"]
    if name in found:
        return found[name]
    for part in name.split("."):
        found = found[part]
    return found


def test_every_span_of_an_agents_turn_arrives_with_its_kind(spans: list[dict[str, Any]]) -> None:
    mine = [span for span in spans if span["context"]["trace_id"] == TRACE]
    kinds = sorted((span["name"], span["span_kind"]) for span in mine if not span["name"].startswith("step "))
    assert kinds == [
        ("POST /anthropic", "UNKNOWN"),
        ("POST /anthropic", "UNKNOWN"),
        ("chat claude-haiku-4-5", "LLM"),
        ("chat claude-haiku-4-5", "LLM"),
        ("execute_tool get_weather", "TOOL"),
        ("invoke_agent", "AGENT"),
    ]
    steps = sorted(span["name"] for span in mine if span["name"].startswith("step "))
    assert steps == ["step model_text", "step model_text", "step reasoning", "step tool_call", "step user_input"]


def test_tokens_models_and_providers_are_read_as_they_were_billed(spans: list[dict[str, Any]]) -> None:
    first, second = named(spans, "chat claude-haiku-4-5")
    for span, prompt, completion in ((first, 200, 40), (second, 120, 12)):
        counted = [value(span, f"llm.token_count.{name}") for name in ("prompt", "completion")]
        assert counted == [prompt, completion]
        assert value(span, "llm.provider") == "anthropic"
        assert value(span, "llm.model_name") in {"claude-haiku-4-5", "demo-model"}
    (agent,) = named(spans, "invoke_agent")
    assert value(agent, "gen_ai.usage.input_tokens") == 320


def test_spans_hang_where_they_belong(spans: list[dict[str, Any]]) -> None:
    by_id = {span["context"]["span_id"]: span for span in spans}
    for exchange in named(spans, "POST /anthropic"):
        assert exchange["parent_id"] == CALLER, "under the caller's own span"
    for inference in named(spans, "chat claude-haiku-4-5"):
        assert by_id[inference["parent_id"]]["name"] == "POST /anthropic"
    (tool,) = named(spans, "execute_tool get_weather")
    assert by_id[tool["parent_id"]]["name"] == "invoke_agent"
    assert value(tool, "gen_ai.tool.call.id") == CALL.call_id


def test_content_goes_along_for_the_app_that_says_so_and_for_no_other(spans: list[dict[str, Any]]) -> None:
    first, second = named(spans, "chat claude-haiku-4-5")
    assert OPEN in json.dumps(first, ensure_ascii=False)
    assert TEXT in json.dumps(second)
    (tool,) = named(spans, "execute_tool get_weather")
    assert value(tool, "gen_ai.tool.call.result") == "Sunny."
    others = [span for span in spans if span["context"]["trace_id"] != TRACE]
    assert [span["name"] for span in others].count("chat claude-haiku-4-5") == 1
    assert CLOSED not in json.dumps(spans)
    assert TEXT not in json.dumps(others)
