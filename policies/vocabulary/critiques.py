"""Critiques: what a supervisor says of steps. A critique never acts; its clause's bands turn scores into a verdict."""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

from policies.vocabulary.findings import Score

Seat: TypeAlias = Literal["gate", "monitor"]
"""`gate`: asked before a step takes effect; it sees nothing an attacker wrote as prose. `monitor`: reads afterwards,
and reads all."""

SEATS: Final[tuple[Seat, ...]] = get_args(Seat)

View: TypeAlias = Literal["policy", "provenance", "intent"]
"""What a critique looks from: the clause's words, where values come from, what the user wanted."""

VIEWS: Final[tuple[View, ...]] = get_args(View)

Label: TypeAlias = Literal["ok", "unsure", "violation"]

ComponentKind: TypeAlias = Literal["instruction", "tool_definition", "guard", "model", "user"]
"""What can be to blame for a bad step."""


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """Words of a step that a critique stands on, by their place: checked against the step, and never kept as text."""

    step_id: str
    """The recorded step; empty for a step that is judged before it is recorded, which is the one asked about."""

    start: int
    """First byte, counted in the UTF-8 of the step's text."""

    end: int
    """Byte after the last."""


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What a critique says of one clause."""

    clause: str
    """`policy/clause`."""

    label: Label
    view: View = "policy"
    """What it was looked at from: of several views the one that found the worst."""

    score: Score
    """0 routine, 25 unusual, 50 needs a second look, 75 likely a violation, 90 near-certain."""

    quotes: tuple[Quote, ...] = ()
    first_bad_step: str | None = None
    """Step id of the first step that breaks the clause; None where none does, or it cannot be told."""

    feedback: str = ""
    """What went wrong and what would have been right, for operators and optimizers. Holds content: kept sealed, never
    shown to the agent."""


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """One component that a critique holds responsible."""

    rank: int
    """1 is to blame most."""

    component: ComponentKind
    name: str = ""
    """Which one: a tool's name, a clause, the step id of an instruction; empty where there is only one."""


class Consumed(msgspec.Struct, frozen=True, kw_only=True):
    """What one call to a supervisor's model took. None is unknown, never 0."""

    model: str
    prompt: str
    """Revision of the prompt: digest of its templates."""

    input_tokens: int | None = None
    """All of them, those that came from a cache included."""

    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_micro_usd: int | None = None
    micros: int = 0
    """How long it took, microseconds."""


class Critique(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor made of some steps of one session."""

    critique_id: str
    """ULID."""

    seat: Seat
    view: View = "policy"
    """`gate`: what it looks from. The monitor's is one critique whatever its views, and its opinions name theirs."""

    app: str
    session_id: str | None
    exchange_id: str | None = None
    """`gate` only: the exchange whose step was judged, before it had an id."""

    steps: tuple[str, ...]
    """Ids of the steps it was asked about, in order."""

    ruleset: str
    """Digest of the clauses it was asked about."""

    opinions: tuple[Opinion, ...]
    blamed: tuple[Blame, ...] = ()
    """By rank."""

    calls: tuple[Consumed, ...]
    """What it took, retries included."""

    at_ns: int
    """Wall clock when it was complete, Unix epoch, nanoseconds, UTC."""
