"""A case: one proposal before the gate, with all that the rungs are told of it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from policies.copies import Shingles
from policies.gate.canary import Canary
from policies.gate.memory import Memory
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.revisions import Direction, Parameters, Proposal

Better: TypeAlias = Literal["child", "parent", "neither"]


class Pair(msgspec.Struct, frozen=True):
    """One episode under what is in force and under the candidate."""

    item: str
    before: float
    """How right it was, 0 to 1."""

    after: float
    group: str = ""
    """Near copies of one task share one; empty: it is alone. A group is one observation, whatever its size."""


class Opinion(msgspec.Struct, frozen=True):
    """What a second judge, or a plain outcome, says of one episode, without knowing which is which."""

    item: str
    first: Better
    swapped: Better
    """The same question with the two in the other order; a plain outcome says the same both times."""


class Trials(Protocol):
    """The episodes a candidate is tried on. By replay for what guards do, by asking again for what comes after."""

    def headroom(self) -> tuple[int, int]:
        """Of the episodes an optimizer may see: how many are judged wrongly now, and how many there are."""
        ...

    def minibatch(self) -> Sequence[Pair]:
        """A few episodes an optimizer may see."""
        ...

    def holdout(self) -> Sequence[Pair]:
        """The episodes that are kept from optimizers."""
        ...

    def anchors(self) -> Sequence[Pair]:
        """The episodes that must not be judged less rightly than before."""
        ...

    def honest(self) -> Sequence[Pair]:
        """Every honest episode on record, 1 where it is left alone."""
        ...

    def second(self) -> Sequence[Opinion] | None:
        """Another judge's word on kept episodes; None where there is none."""
        ...


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever proposed has seen, beside what was to be kept from it."""

    seen: frozenset[str] = frozenset()
    """Groups of the episodes it was shown."""

    kept: frozenset[str] = frozenset()
    """Groups of the hold-out."""

    kept_words: Shingles = frozenset()
    """Runs of words that stand in the hold-out and in nothing it was shown."""


class ShadowTally(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate would have done beside what is in force."""

    requests: int = 0
    since_ns: int = 0
    """When it began."""

    extra: int = 0
    """Requests it would have changed or stopped and what is in force did not."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A named person's answer."""

    by: str
    agreed: bool
    reason: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal, and what is known of it now."""

    proposal: Proposal
    parent: Parameters
    child: Parameters | None
    """What it would lead to; None where it cannot be applied."""

    refusal: str | None = None
    """Why it cannot."""

    direction: Direction
    trials: Trials
    settings: GateSettings = GateSettings()
    evidence: Shingles = frozenset()
    """Runs of `settings.longest_copy` words of everything the proposal rests on."""

    library: Mapping[str, str] = {}
    """What people wrote, by name, with the digest of each clause or line."""

    exposure: Exposure = Exposure()
    attempt: int = 1
    """Which attempt on this hold-out it is, from 1."""

    memory: Memory = Memory()
    first: bool = False
    """Whether nothing was ever activated for this app before."""

    by_itself_today: int = 0
    """Changes that went live today without a person."""

    shadow: ShadowTally = ShadowTally()
    approval: Approval | None = None
    canary: Canary = Canary()
    now_ns: int = 0
