"""Turns: what a model says once, in a form that knows no wire. `gateway.demo.render` puts it on one."""

from typing import Literal, TypeAlias

import msgspec

WireName: TypeAlias = Literal["anthropic", "chat", "responses"]
Stop: TypeAlias = Literal["end", "tool", "length", "refusal"]


class Call(msgspec.Struct, frozen=True):
    """One tool call."""

    call_id: str
    tool: str
    arguments: str
    """JSON text, as the model wrote it."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one turn."""

    input_tokens: int = 100
    """All input, what the cache gave included."""
    cached_tokens: int = 0
    output_tokens: int = 20
    """All output, reasoning included."""
    reasoning_tokens: int = 0


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a model: it may think, then speak, then call."""

    text: str = ""
    reasoning: str = ""
    signature: str = ""
    """What the provider signs its reasoning with; opaque. Responses carries it as `encrypted_content`."""
    calls: tuple[Call, ...] = ()
    spent: Spent = Spent()
    reply_id: str = "demo0000000000000000000000"
    """Without the prefix that each wire gives its ids."""
    stop: Stop | None = None
    """None: `tool` where there are calls, else `end`."""

    @property
    def ending(self) -> Stop:
        """Why the model stopped."""
        return self.stop or ("tool" if self.calls else "end")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn is asked for and sent."""

    model: str
    created: int = 1_760_000_000
    """Unix seconds; fixed unless said, so that the same turn is the same bytes."""
    include_usage: bool = False
    """Chat only: a last chunk with usage."""
    fragment: int = 24
    """Characters a delta."""
    pings: bool = True
    """Anthropic only."""
    previous_response_id: str | None = None


def fragments(text: str, size: int) -> list[str]:
    """Text in deltas of `size` characters."""
    return [text[at : at + size] for at in range(0, len(text), size)]
