"""Which dialect reads an exchange: by the provider's configured dialect and, for OpenAI, by path."""

from typing import Literal, TypeAlias

from gateway.wire.anthropic_messages import AnthropicMessages
from gateway.wire.interface import Dialect
from gateway.wire.mcp import Mcp
from gateway.wire.openai_chat import OpenAIChat
from gateway.wire.openai_responses import OpenAIResponses
from gateway.wire.paths import segments
from gateway.wire.raw import Raw

ProviderDialect: TypeAlias = Literal["anthropic", "openai", "raw"]


class Dialects:
    """One of each dialect; each remembers digests of messages it has seen, so keep one set per process."""

    def __init__(self) -> None:
        self.anthropic: Dialect = AnthropicMessages()
        self.chat: Dialect = OpenAIChat()
        self.responses: Dialect = OpenAIResponses()
        self.raw: Dialect = Raw()
        self.mcp: Dialect = Mcp()

    def by_name(self) -> dict[str, Dialect]:
        """All of them by `name`, as stored with an exchange."""
        return {dialect.name: dialect for dialect in (self.anthropic, self.chat, self.responses, self.raw, self.mcp)}

    def named(self, name: str) -> Dialect:
        """The dialect of that `name`, as stored with an exchange; `raw` for a name of another version."""
        return self.by_name().get(name, self.raw)

    def for_provider(self, provider_dialect: ProviderDialect, method: str, path: str) -> Dialect:  # noqa: ARG002 - a GET is read by the same dialect
        """The dialect of a request to this path (after the provider's prefix)."""
        if provider_dialect == "anthropic":
            return self.anthropic
        if provider_dialect == "raw":
            return self.raw
        return self.responses if "responses" in segments(path) else self.chat


def dialects() -> Dialects:
    """A new set."""
    return Dialects()
