"""Steps: what an agent did or was told, in a form a policy can judge.

A proxy of an LLM API never sees a tool run. It sees the call in one response and the result in a
later request, so every Step says how directly it was seen (`fidelity`). With a tool server behind it, it sees both.
"""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

StepKind: TypeAlias = Literal[
    "instructions",
    "tool_definitions",
    "user_input",
    "model_text",
    "reasoning",
    "tool_call",
    "tool_result",
    "retrieval",
    "handoff",
]

STEP_KINDS: Final[tuple[StepKind, ...]] = get_args(StepKind)

PUT_BEFORE_THE_MODEL: Final[frozenset[StepKind]] = frozenset({
    "instructions", "tool_definitions", "user_input", "tool_result", "retrieval",
})  # fmt: skip
"""Kinds of steps that a request is judged for."""

Fidelity: TypeAlias = Literal["witnessed", "projected", "reported"]

Side: TypeAlias = Literal["request", "response"]


class Part(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One piece of a message as a dialect reads it: a Step before it has an identity.

    Made by the readers in `gateway/wire`, from requests and from replies alike.
    """

    kind: StepKind
    """What this piece is to a judge."""

    text: str = ""
    """What a judge would read: prose, a tool result's text, a call's arguments as JSON text."""

    pointer: str = ""
    """RFC 6901 pointer of this piece inside its message (request) or inside the assembled reply (response)."""

    tool: str | None = None
    """Tool name, for `tool_call`, `tool_result` and `tool_definitions` of a single tool; None if the wire has none."""

    call_id: str | None = None
    """The provider's id that joins a tool call to its result."""

    unread: str | None = None
    """Why no guard can read this piece (`image`, `encrypted`, `file`, ...); None when `text` is all of it."""

    server_side: bool = False
    """True where the provider itself ran the tool: seen only after the act."""

    started_ns: int | None = None
    """Reply pieces of a stream: wall clock at the first byte of the block, Unix epoch, nanoseconds."""

    ended_ns: int | None = None
    """Reply pieces of a stream: wall clock when the block closed, Unix epoch, nanoseconds."""


class Step(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One judgeable moment of a session. Its span is derived from it (`gateway/telemetry.py`)."""

    step_id: str
    """The exchange's ULID, a dot, and `seq` as four digits: sorts by arrival."""

    exchange_id: str
    session_id: str
    branch_id: str

    seq: int
    """Position inside the exchange, from 0; request steps come first."""

    kind: StepKind

    fidelity: Fidelity
    """`witnessed`: on this wire. `projected`: rebuilt from later history. `reported`: the app's own span."""

    side: Side
    """Which body of the exchange holds it."""

    cut: int | None = None
    """Request side: index into the request body's cuts; None where the body was not cut."""

    pointer: str = ""
    """RFC 6901 pointer inside that cut (request) or inside the assembled reply (response)."""

    tool: str | None = None
    """As in `Part`; of a `tool_result` whose wire names no tool, the name its call gave, where that was seen."""

    call_id: str | None = None
    unread: str | None = None
    server_side: bool = False

    size: int = 0
    """UTF-8 bytes of the text a judge would read."""

    started_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""

    ended_ns: int

    span_id: bytes
    """8 bytes: the OpenTelemetry span of this step."""

    call_span_id: bytes | None = None
    """`tool_result` only: span id of the `tool_call` step it answers, 8 bytes; None if that call was never seen."""

    call_ended_ns: int | None = None
    """`tool_result` only: when that call was complete on the wire; `execute_tool` starts here."""


class SeenCall(msgspec.Struct, frozen=True, gc=False):
    """What the result of a tool call takes over from it."""

    span_id: bytes
    """8 bytes: the span of the `tool_call` step."""

    ended_ns: int
    """When the call was complete on the wire: Unix epoch, nanoseconds."""

    tool: str | None = None
    """The name it called."""
