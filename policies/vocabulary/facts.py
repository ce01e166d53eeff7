"""Facts: what is known of a proposed call without asking anybody, in words that hold nothing an attacker wrote.

They are what a judge at the gate learns of tool output and of the agent's own words, which it is not shown.
"""

from typing import Literal, TypeAlias

import msgspec

from policies.vocabulary.findings import Score

OriginKind: TypeAlias = Literal["user", "system", "tool_result", "retrieval", "agent", "novel"]
"""Who said a value first: the user, the application, a tool's result, a retrieved document, the agent in an earlier
call, or nobody before this call."""


class ValueOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the value of one argument comes from."""

    pointer: str
    """RFC 6901 pointer of the argument leaf."""

    origin: OriginKind
    tool: str | None = None
    """`tool_result` only: the tool whose result it stands in."""

    delegated: bool = False
    """True where the user named that source, or left it to some text what is done."""

    in_order: bool = False
    """True where it stands only in a passage that gives orders, never in plain data."""


class GuardSaid(msgspec.Struct, frozen=True, kw_only=True):
    """What one local guard found on this step."""

    guard: str
    """Kind and place, as in findings."""

    score: Score
    labels: tuple[str, ...] = ()
    """Labels of its evidence, low-cardinality words of the guard's own."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one step."""

    values: tuple[ValueOrigin, ...] = ()
    guards: tuple[GuardSaid, ...] = ()
    partial: bool = False
    """True where the beginning of the session is not known, so that a `novel` value may have been said there."""
