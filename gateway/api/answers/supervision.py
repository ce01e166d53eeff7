"""Answers about the supervisor: what it took, what is left, and how far its word agrees with persons'."""

import msgspec

from gateway.api.answers.critiques import Label
from gateway.times import rfc3339
from policies.reliability import Agreement, Bin, Compared
from policies.vocabulary.canaries import Sight


class BudgetLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on what one account may take; null: none."""

    account: str
    """`day`, `app` or `session`."""

    tokens: int | None
    micro_usd: int | None


class SupervisorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor as configured."""

    model: str
    provider: str
    room: int
    """Steps that may wait for the monitor."""

    canary_every: int
    limits: tuple[BudgetLimit, ...]


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has taken today (UTC), calls that have not ended at their ceilings, and what it may take."""

    app: str | None
    """Null: all apps together."""

    spent_tokens: int
    spent_micro_usd: int
    limit_tokens: int | None
    limit_micro_usd: int | None


class CallCount(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that are alike, over the whole span."""

    seat: str
    purpose: str
    state: str
    why: str | None
    calls: int
    tokens: int
    micro_usd: int
    mean_ms: float | None
    """Null where none has ended."""


class Distrusted(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose next tool call waits for a person, because of a critique."""

    session_id: str
    app: str
    clauses: tuple[str, ...]
    at: str


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A critique that says of a step what a person does not."""

    session_id: str | None
    exchange_id: str
    seq: int
    critique_id: str
    clause: str
    score: int
    said: str
    label: str
    by: str
    agreement: Agreement
    at: str

    @classmethod
    def of(cls, compared: Compared, session_id: str | None) -> "Disagreement":
        """The answer for one pair."""
        exchange_id, _, seq = compared.step_id.partition(".")
        return cls(
            session_id=session_id,
            exchange_id=exchange_id,
            seq=int(seq),
            critique_id=compared.critique_id,
            clause=compared.clause,
            score=compared.score,
            said=compared.said,
            label=compared.label,
            by=compared.by,
            agreement=compared.agreement,
            at=rfc3339(compared.at_ns),
        )


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """Critiques held against what persons said of the same steps."""

    labels: int
    """How many of the newest labels were looked at."""

    pairs: int
    """A label with a critique of the same step; nothing below is about anything else."""

    agreed: int
    unsure: int
    missed: int
    """Violations by a person's word that a critique called in order."""

    false_alarms: int
    bins: tuple[Bin, ...]
    """Scores against the share of steps that persons call violations."""

    error: float | None
    """Expected calibration error, 0 to 1; null without pairs."""

    disagreements: tuple[Disagreement, ...]
    """Newest first."""


class Canaries(msgspec.Struct, frozen=True, kw_only=True):
    """Steps with a known label that were put among the others at one seat: the newest 20 of the model there is."""

    seat: str
    violations: int
    missed: int
    """Violations that passed."""

    harmless: int
    cried: int
    """Steps in order that did not pass."""

    clauses: tuple[str, ...]
    """`policy/clause` of those that were judged wrongly."""

    blind: bool
    """More than one in four judged wrongly, of either label: its word on the rest is worth little."""

    @classmethod
    def of(cls, sight: Sight) -> "Canaries":
        """The answer for one seat."""
        return cls(
            seat=sight.seat,
            violations=sight.violations,
            missed=sight.missed,
            harmless=sight.harmless,
            cried=sight.cried,
            clauses=sight.clauses,
            blind=sight.blind,
        )


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor at work."""

    supervisor: SupervisorStatus | None
    """Null where none is configured: then nobody judges beside the guards."""

    since: str
    until: str
    slots: tuple[int, ...]
    """Calls in each slot of equal length."""

    calls: tuple[CallCount, ...]
    budgets: tuple[BudgetState, ...]
    waiting: int
    """Steps that the monitor has still to read."""

    canaries: tuple[Canaries, ...]
    """By seat that read any, for keys that see every app; empty for others."""

    distrusted: tuple[Distrusted, ...]
    agreement: Agreed


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """That a supervisor found something in a step."""

    exchange_id: str
    seq: int
    seat: str
    clause: str
    label: str
    score: int


class SessionMarks(msgspec.Struct, frozen=True, kw_only=True):
    """What supervisors and persons said of the steps of a session, without a word of content."""

    session_id: str
    supervised: bool
    """Whether there is a supervisor that could be asked."""

    distrusted: Distrusted | None
    waiting: int
    """Steps that the monitor has still to read."""

    critiques: int
    unjudged: int
    """Critiques that came to nothing."""

    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
