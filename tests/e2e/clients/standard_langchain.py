"""LangChain's own standard suites for its two chat models; run with pytest in the environment `agents`.

Nothing says here which tests should pass: the run without the gateway says so.
"""

import os
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

CLAUDE = {"model": "claude-sonnet-4-5", "base_url": os.environ["ANTHROPIC_BASE_URL"]}
GPT = {"model": "gpt-4.1", "base_url": os.environ["OPENAI_BASE_URL"], "stream_usage": True}


class _Claude:
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return CLAUDE

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return False  # their tests fetch the picture from the network


class _Gpt:
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return GPT

    @property
    def supports_json_mode(self) -> bool:
        return True


class _GptResponses(_Gpt):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**GPT, "use_responses_api": True}


class TestClaudeUnit(_Claude, ChatModelUnitTests):
    pass


class TestClaude(_Claude, ChatModelIntegrationTests):
    pass


class TestGptUnit(_Gpt, ChatModelUnitTests):
    pass


class TestGpt(_Gpt, ChatModelIntegrationTests):
    pass


class TestGptResponses(_GptResponses, ChatModelIntegrationTests):
    pass


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models read their addresses and keys as users give them: from the environment or as parameters."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
