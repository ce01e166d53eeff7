"""Findings: what guards saw, as evidence. A finding never says what to do; that is the clause's band table."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Score: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
"""0 routine, 25 unusual, 50 needs a second look, 75 likely a violation, 90 near-certain."""

FindingState: TypeAlias = Literal["ok", "unsure", "violation", "error"]
"""`error`: the guard raised, ran out of time or was never reached; it is no pass, its clause's `on_error` decides."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly which bytes a guard means."""

    start: int = 0
    """First byte, counted in the UTF-8 of the step's text (surrogates passed through)."""

    end: int = 0
    """Byte after the last; equal to `start` where the evidence is no range of text."""

    label: str = ""
    """What stands there, as a low-cardinality word (`iban`, `github-pat`, `undeclared_tool`). Never the content."""

    pointer: str = ""
    """`tool_call` only: RFC 6901 pointer of the argument leaf; empty for the whole step."""

    source: int | None = None
    """Index in the trail of the earlier step this goes back to; None where it stands alone."""

    source_start: int = 0
    source_end: int = 0
    """Byte range in that earlier step's text."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a guard found, before the clause that asked for it is named."""

    score: Score
    state: FindingState = "violation"
    evidence: tuple[Evidence, ...] = ()
    note: str = ""
    """One sentence for operators. Never content, never shown to the agent."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One hit, with who found it and under which clause."""

    clause: str
    """`policy/clause`."""

    guard: str
    """Kind and place: `pattern.0` is the first guard of its clause."""

    score: Score
    state: FindingState
    evidence: tuple[Evidence, ...] = ()
    note: str = ""
