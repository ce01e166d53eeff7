"""What a wire cannot carry: kinds of steps that no reader of a dialect ever makes of a request or a reply.

Every kind of step that is not here can stand on that wire, and has to be judged there. The test matrix of
supervision skips what is named here and nothing else.
"""

from collections.abc import Mapping
from typing import Final

from policies.vocabulary.steps import Side, StepKind

_HANDOFF: Final[dict[StepKind, str]] = {"handoff": "no wire carries handoffs; an app reports its own"}
_REPLY_SPEAKS: Final[dict[StepKind, str]] = {
    "instructions": "everything in a reply is the model's or its tools'",
    "user_input": "everything in a reply is the model's or its tools'",
}

ABSENT: Final[Mapping[tuple[str, Side], Mapping[StepKind, str]]] = {
    ("anthropic", "request"): _HANDOFF,
    ("anthropic", "response"): {**_HANDOFF, **_REPLY_SPEAKS},
    ("openai_chat", "request"): {
        **_HANDOFF,
        "retrieval": "this wire has no form for documents; they stand in messages as text",
    },
    ("openai_chat", "response"): {
        **_HANDOFF,
        **_REPLY_SPEAKS,
        "tool_definitions": "tools are defined in requests alone",
        "tool_result": "this wire has no form for tools that the provider runs",
        "retrieval": "this wire has no form for tools that the provider runs",
    },
    ("openai_responses", "request"): _HANDOFF,
    ("openai_responses", "response"): _HANDOFF,
}
"""By dialect and side: what is never there, with the reason."""

UNREAD: Final[Mapping[str, str]] = {"raw": "nothing is understood on this wire: every call is recorded as unread"}
"""Dialects without any steps; what passes on them follows the app's `unseen`."""


def absent(dialect: str, side: Side, kind: StepKind) -> str | None:
    """Why no step of this kind can stand there; None where one can."""
    return UNREAD.get(dialect) or ABSENT[dialect, side].get(kind)
