"""Names: what spans call the same fact, newest first: OpenTelemetry's GenAI conventions, older ones, OpenInference."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.shown import clean

OPERATION: Final = ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind", "llm.request.type")
PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
MODEL: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "embedding.model_name",
    "llm.response.model",
    "llm.request.model",
)
TOOL: Final = ("gen_ai.tool.name", "tool.name", "tool_call.function.name")
AGENT: Final = ("gen_ai.agent.name", "agent.name", "graph.node.id")
CONVERSATION: Final = ("gen_ai.conversation.id", "session.id", "gen_ai.openai.thread.id", "traceloop.association.id")
INPUT_TOKENS: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)

_KINDS: Final = {
    "LLM": "chat",
    "TOOL": "execute_tool",
    "AGENT": "invoke_agent",
    "CHAIN": "chain",
    "RETRIEVER": "retrieval",
    "EMBEDDING": "embeddings",
    "completion": "text_completion",
}
"""OpenInference's kinds of spans and older words, where the conventions have an operation of that meaning."""

LONGEST: Final = 256
"""Characters of a name that is kept in the clear."""

_MOST_TOKENS: Final = 1 << 53


def operation(attributes: Mapping[str, Any]) -> str | None:
    """What a span does, in the conventions' words where they have one."""
    found = text(attributes, OPERATION)
    return None if found is None else _KINDS.get(found, found.lower())


def provider(attributes: Mapping[str, Any]) -> str | None:
    """Whose wire format a call speaks; older instrumentations spelled it as a name, with a capital."""
    found = text(attributes, PROVIDER)
    return None if found is None else found.lower()


def text(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of these attributes that is a text, as one bounded line."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and (line := clean(value[:LONGEST])):
            return line
    return None


def count(attributes: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of these attributes that is a count; an unknown one is None, never 0."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
            return value
    return None
