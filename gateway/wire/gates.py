"""Which gate stands before which wire."""

from gateway.wire.anthropic_gate import AnthropicGate
from gateway.wire.chat_gate import ChatGate
from gateway.wire.gate import Needs, StreamGate
from gateway.wire.interface import Dialect
from gateway.wire.responses_gate import ResponsesGate


def gate(dialect: Dialect, needs: Needs, exchange_id: str) -> StreamGate | None:
    """A gate for one stream of this dialect; None where the wire is not read."""
    kinds: dict[str, type[StreamGate]] = {
        "anthropic": AnthropicGate,
        "openai_chat": ChatGate,
        "openai_responses": ResponsesGate,
    }
    kind = kinds.get(dialect.name)
    return kind(dialect, needs, exchange_id) if kind is not None else None
