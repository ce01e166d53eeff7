"""Real providers, for whoever has keys: opt in with STEPWARDEN_LIVE=1. Each run costs well under one US cent.

    STEPWARDEN_LIVE=1 ANTHROPIC_API_KEY=... OPENAI_API_KEY=... python -m pytest -m live

The models can be chosen with STEPWARDEN_LIVE_ANTHROPIC_MODEL and STEPWARDEN_LIVE_OPENAI_MODEL.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from tests.fakes.gateway import GatewayProcess, running_gateway

pytestmark = pytest.mark.live

TOKENS = 16
"""Most output tokens a call may cost; every test makes one call."""

WORDS = "Answer with the one word: ready"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    if os.environ.get("STEPWARDEN_LIVE") != "1":
        pytest.skip("STEPWARDEN_LIVE=1 is not set")
    folder: Path = tmp_path_factory.mktemp("live")
    real = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com"}
    with running_gateway(folder, real) as started:
        yield started


def key(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"{name} is not set")
    return value


def test_a_real_anthropic_stream_passes_and_is_recorded(gateway: GatewayProcess) -> None:
    client = anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", api_key=key("ANTHROPIC_API_KEY"), max_retries=0)
    model = os.environ.get("STEPWARDEN_LIVE_ANTHROPIC_MODEL", "claude-haiku-4-5")
    messages = [{"role": "user", "content": WORDS}]
    with client.messages.stream(model=model, max_tokens=TOKENS, messages=messages) as stream:
        final = stream.get_final_message()
    assert final.stop_reason in {"end_turn", "max_tokens"}
    assert recorded(gateway, "anthropic") == (final.usage.output_tokens, "complete")


def test_a_real_chat_completion_passes_and_is_recorded(gateway: GatewayProcess) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key=key("OPENAI_API_KEY"), max_retries=0)
    model = os.environ.get("STEPWARDEN_LIVE_OPENAI_MODEL", "gpt-4o-mini")
    answer = client.chat.completions.create(
        model=model, max_completion_tokens=TOKENS, messages=[{"role": "user", "content": WORDS}]
    )
    assert answer.usage is not None
    assert recorded(gateway, "openai_chat") == (answer.usage.completion_tokens, "complete")


def recorded(gateway: GatewayProcess, dialect: str) -> tuple[int | None, str]:
    """Output tokens and outcome of the newest exchange of a dialect, once it can be read back."""
    for _ in range(20):
        found = json.loads(gateway.command("exchanges", "list", "--json").stdout)["exchanges"]
        match = next((each for each in found if each["dialect"] == dialect), None)
        if match is not None:
            return match["usage"]["output_tokens"], match["outcome"]
    raise AssertionError(f"no exchange of {dialect} was recorded")
