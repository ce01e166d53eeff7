"""Pins: what a tool server's tools were when they were last accepted, so that a later change is seen."""

from typing import Literal, TypeAlias

import msgspec

PinState: TypeAlias = Literal["pinned", "changed"]
"""`pinned`: as it was first seen, or as a person approved it last; `changed`: it is another one now, and waits."""


class Defined(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One tool as a server defines it."""

    tool: str
    fingerprint: bytes
    """32 bytes over the canonical JSON of the definition, without `_meta`."""

    definition: str
    """That JSON."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a server has just said of its tools."""

    server: str
    app: str
    exchange_id: str
    tools: tuple[Defined, ...]
    beside: tuple[str, ...] = ()
    """Other servers that the same agent can reach, whose tools these might be taken for."""


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be made of a listing."""

    changed: tuple[str, ...] = ()
    """Tools that are not what they were."""

    shadowing: tuple[tuple[str, str], ...] = ()
    """Tools, each with another server that has one of the same name or whose tool its description speaks of."""


class ToolPin(msgspec.Struct, frozen=True, kw_only=True):
    """One tool of one server. Times are wall clock, Unix epoch, nanoseconds."""

    server: str
    tool: str
    state: PinState
    definition: str
    """JSON, as accepted."""

    proposed: str | None = None
    """JSON, as the server has it now; None where that is the same."""

    seen_ns: int
    """When it was first seen, or last approved, or last changed."""

    approved_by: str | None = None
