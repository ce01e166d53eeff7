"""Events of tool servers: which of them is the answer to a message, and what a client can ask for again."""

from typing import Literal, TypeAlias

from gateway.wire.frames import Frame
from gateway.wire.jsonrpc import Message, answers, read
from policies.errors import StepwardenError

Place: TypeAlias = Literal["answer", "another", "aside"]
"""`another`: an answer to another message; `aside`: what a server asks or tells by itself."""


class TooLong(StepwardenError):
    """An answer or an event is longer than is read."""

    def remedy(self) -> str:
        """What the operator may change."""
        return "Raise `message_bytes` of this MCP server."


def place_of(data: bytes, asked: Message | None) -> Place:
    """What the data of an event is to a message, or to a client that only listens. Raises `Malformed`."""
    found = read(data)
    if found.kind in ("request", "notification"):
        return "aside"
    return "answer" if asked is None or answers(found, asked) else "another"


def has_id(frame: Frame) -> bool:
    """Whether a client can ask for what follows this event, on another connection."""
    lines = frame.raw.replace(b"\r", b"\n").split(b"\n")
    return any(line.partition(b":")[0] == b"id" and line.partition(b":")[2] for line in lines)


def event(data: bytes) -> bytes:
    """A message of ours as an event."""
    return b"event: message\ndata: " + data + b"\n\n"
