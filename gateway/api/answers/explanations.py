"""Answers that explain an exchange."""

import msgspec

from gateway.api.answers.clauses import Clause, OutOfForce
from gateway.api.answers.critiques import Critique, Label
from gateway.api.answers.holds import Hold


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The passage of an earlier step that a match goes back to."""

    kind: str
    tool: str | None
    start: int
    end: int
    text: str | None
    """For operators only; null where it cannot be read back."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a guard found in a step."""

    clause: str
    guard: str
    score: int
    state: str
    note: str
    label: str
    pointer: str
    """Of a call: which argument; empty for the whole step."""

    start: int
    """First byte in the step's text; equal to `end` where it is no range."""

    end: int
    text: str | None
    """What stands there, for operators only; secrets are masked."""

    source: Source | None


class ExplainedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step that something was said of."""

    seq: int
    kind: str
    tool: str | None
    side: str
    verdict: str
    reason: str | None
    shadow: str
    clauses: tuple[str, ...]
    edits: tuple[str, ...]
    """What was put in the place of ranges of its text."""

    matches: tuple[Match, ...]


class GuardRun(msgspec.Struct, frozen=True, kw_only=True):
    """One guard over all steps of an exchange."""

    clause: str
    guard: str
    steps: int
    """How many it looked at."""

    scanned: int
    """Bytes it looked at."""

    micros: int
    skipped: tuple[str, ...]
    """Why it did not run on others: `deadline`, `raised`, ..."""

    not_run: int
    """On how many."""

    shadow: bool = False
    """True where the clause was out of force then."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why an exchange was stopped, changed or let through, and what can be done."""

    exchange_id: str
    app: str
    verdict: str
    reason: str | None
    shadow: str
    advice: str | None
    """What an app's developer can do; null where nothing was stopped."""

    full: bool
    """False for a key of the role `app`: everything below is empty then."""

    unread: str | None = None
    asked_again: int = 0
    current: bool = True
    """False where other clauses are in force now than those it was judged by; texts are today's."""

    clauses: tuple[Clause, ...] = ()
    """Those that found something."""

    steps: tuple[ExplainedStep, ...] = ()
    guards: tuple[GuardRun, ...] = ()
    holds: tuple[Hold, ...] = ()
    """Those that this exchange waited for."""

    out_of_force: tuple[OutOfForce, ...] = ()
    """Clauses that a person had taken out of force when it was judged."""

    critiques: tuple[Critique, ...] = ()
    """What supervisors made of its steps; for operators."""

    labels: tuple[Label, ...] = ()
    """What persons said of its steps."""
