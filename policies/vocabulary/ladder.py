"""The ladder: the rungs a proposal climbs before it is in force, what each may say, and what it is told to ask."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from policies.vocabulary.revisions import Direction, Score

RungName: TypeAlias = Literal[
    "lint",
    "headroom",
    "minibatch",
    "holdout",
    "anchors",
    "fp_budget",
    "second_opinion",
    "shadow",
    "approval",
    "canary",
    "rollback",
]
"""In the order of the ladder. `rollback` also stands at its foot: it remembers what was refused or taken back."""

Outcome: TypeAlias = Literal["passed", "refused", "abstained", "waiting"]
"""`abstained`: the rung cannot tell, which is no pass. `waiting`: it has not seen enough yet."""

Why: TypeAlias = Literal[
    "fine",
    # lint
    "too_many_edits",
    "too_long",
    "does_not_apply",
    "protected",
    "does_not_load",
    "breaks_examples",
    "changes_nothing",
    "copies_evidence",
    "holds_a_secret",
    "holds_personal_data",
    "hides_text",
    "names_a_destination",
    "addresses_a_judge",
    "reaches_out",
    "passes_failures",
    "not_corroborated",
    "other_app",
    "narrows_nothing",
    "not_from_people",
    # headroom, minibatch, hold-out
    "no_headroom",
    "not_better",
    "disturbs",
    "holdout_leaked",
    "holdout_too_small",
    "not_significant",
    # anchors, budget, second opinion
    "lost_an_anchor",
    "no_anchors",
    "over_budget",
    "too_little_honest_traffic",
    "second_disagrees",
    "order_matters",
    "no_second",
    # shadow, approval, canary, rollback
    "watching",
    "shadow_interferes",
    "needs_a_person",
    "person_refused",
    "person_approved",
    "too_many_by_itself",
    "comparing",
    "not_worse",
    "worse_live",
    "one_voice",
    "refused_before",
    "cooling_down",
    "overtaken",
    "cannot_be_watched",
]
"""Every reason a rung can give."""

Rate: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one rung said, and on which figures."""

    rung: RungName
    outcome: Outcome
    why: Why = "fine"
    note: str = ""
    """One sentence for operators. Never content of a session."""

    scores: tuple[Score, ...] = ()

    @property
    def stands(self) -> bool:
        """Whether the next rung is tried."""
        return self.outcome == "passed"


class Climb(msgspec.Struct, frozen=True, kw_only=True):
    """How far a proposal came, and why no further. What is written into the log of it."""

    proposal: str
    """Digest of the proposal."""

    parent: str
    child: str | None
    """Digest of the parameters it would lead to; None where it cannot be applied."""

    direction: Direction
    decisions: tuple[Decision, ...]

    @property
    def last(self) -> Decision:
        """The decision that ended it."""
        return self.decisions[-1]

    @property
    def reached(self) -> bool:
        """Whether every rung that was asked let it pass."""
        return self.child is not None and bool(self.decisions) and self.last.stands

    @property
    def asked_holdout(self) -> bool:
        """Whether the hold-out was looked at, which counts as an attempt."""
        return any(each.rung == "holdout" and bool(each.scores) for each in self.decisions)


class GateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gate asks of a change."""

    most_edits: Annotated[int, Meta(ge=1, le=32)] = 4
    """Edits of one proposal."""

    most_characters: Annotated[int, Meta(ge=1, le=20000)] = 4000
    """Characters of text that one proposal brings, clauses picked from a library excepted."""

    longest_copy: Annotated[int, Meta(ge=2, le=50)] = 5
    """Words in a row that may stand in evidence too."""

    principals: Annotated[int, Meta(ge=1, le=100)] = 2
    """Different principals that must stand behind an edit."""

    sessions: Annotated[int, Meta(ge=1, le=1000)] = 3
    """Different sessions that must stand behind it."""

    alpha: Rate = 0.05
    """How often, at most, a change that is none passes one hold-out, all attempts together."""

    least_holdout: Annotated[int, Meta(ge=1)] = 50
    """Groups of episodes below which the hold-out says nothing."""

    ceiling: Rate = 0.98
    """Share of episodes judged rightly above which there is nothing to win."""

    guard_budget: Rate = 0.01
    """Share of honest work that one change may disturb: the upper bound, at 95 %, in groups of episodes."""

    total_budget: Rate = 0.05
    """The same for all guards together."""

    shadow_requests: Annotated[int, Meta(ge=0)] = 500
    shadow_ns: Annotated[int, Meta(ge=0)] = 4 * 3600 * 1_000_000_000
    """A change is watched beside what is in force for so many requests, and so long."""

    by_itself_per_day: Annotated[int, Meta(ge=0, le=100)] = 3
    """Tightenings that may go live in a day without a person; 0: none."""

    canary_share: Rate = 0.1
    """Of sessions."""

    canary_margin: Rate = 0.02
    """How much more often sessions may come to harm, as a difference of rates."""

    canary_alpha: Rate = 0.05
    """How often, at most, a change that is within the margin is rolled back."""

    cooldown_ns: Annotated[int, Meta(ge=0)] = 7 * 24 * 3600 * 1_000_000_000
    """How long what was rolled back, and what it touched, is left alone."""
