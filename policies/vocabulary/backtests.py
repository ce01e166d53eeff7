"""Backtests: what a candidate policy would have made of recorded history, held against what was made of it then."""

import msgspec

from policies.vocabulary.steps import StepKind
from policies.vocabulary.verdicts import ReasonCode, VerdictName


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """One step that the candidate judges otherwise than it was judged then."""

    session_id: str
    exchange_id: str
    seq: int | None
    """The step inside its exchange; None where the exchange as a whole is meant: no guard could read it."""

    kind: StepKind | None
    tool: str | None
    before: VerdictName
    after: VerdictName
    clauses: tuple[str, ...]
    """Who changes it: the clauses that ask for the stronger of the two verdicts."""

    reason: ReasonCode | None
    """What the app would be told; None where nothing would be stopped."""

    why: str
    """What the guards of these clauses found, in a sentence for operators. Never content."""

    hypothetical: bool
    """True where an earlier flip of the session would have changed what followed: this may never have come."""

    text: str | None = None
    """The step's text, shortened, secrets masked; None where it was not kept."""


class ClauseFlips(msgspec.Struct, frozen=True, kw_only=True):
    """What one clause changes from one verdict to another."""

    clause: str
    before: VerdictName
    after: VerdictName
    steps: int
    """How many steps for certain."""

    hypothetical: int
    """How many more, behind an earlier flip of their session."""

    examples: tuple[Flip, ...]
    """The first few, those for certain before the others."""


class Unreplayed(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be replayed, for one reason."""

    why: str
    exchanges: int
    examples: tuple[str, ...]
    """Ids of the first few exchanges."""


class Interference(msgspec.Struct, frozen=True, kw_only=True):
    """How much is redacted, rewritten, held, rejected or terminated."""

    steps: int = 0
    exchanges: int = 0
    sessions: int = 0


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one backtest. Nothing was activated by it."""

    policies: tuple[str, ...]
    enforce: bool
    """Whether the candidate was judged as if its app enforced its policies."""

    sessions: int
    exchanges: int
    """Requests of callers that were judged anew, without those of ours in their place."""

    steps: int
    """Steps whose verdicts were compared."""

    flips: tuple[ClauseFlips, ...]
    """Per clause, the strongest verdicts first."""

    flipped: int
    """Steps with another verdict for certain; one that several clauses flip counts once."""

    hypothetical: int
    """The same, behind an earlier flip of their session."""

    then: Interference
    """Over the steps compared, as it was recorded."""

    now: Interference
    """Over the same steps, as the candidate has it; hypothetical ones included."""

    unreplayed: tuple[Unreplayed, ...]
    left_out: int = 0
    """Sessions that were not looked at, because there were more exchanges than were asked for."""

    @property
    def holds(self) -> bool:
        """Whether the candidate changes nothing."""
        return not self.flipped and not self.hypothetical
