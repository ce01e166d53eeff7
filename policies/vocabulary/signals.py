"""Signals: what people, supervisors and plain outcomes said of a step after it was judged. Evidence, never an order."""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

SignalKind: TypeAlias = Literal["label", "override", "hold", "critique", "disagreement", "outcome"]
"""`label`: somebody said what a step was. `override`: somebody set a verdict aside. `hold`: a decision on a step that
waited. `critique`: the supervisor's word. `disagreement`: two of gate, monitor and guards differ. `outcome`: an error,
a retry, a loop or a refusal that followed."""

Says: TypeAlias = Literal["violation", "ok"]
"""What the step was, according to the signal."""

Weight: TypeAlias = Annotated[float, Meta(gt=0, le=1)]

WEIGHTS: Final[dict[tuple[SignalKind, Says], Weight]] = {
    ("label", "violation"): 1.0,
    ("label", "ok"): 1.0,
    ("override", "violation"): 0.9,
    ("override", "ok"): 0.8,
    ("hold", "violation"): 0.8,
    ("hold", "ok"): 0.2,  # people approve nine of ten prompts unread
    ("critique", "violation"): 0.4,
    ("critique", "ok"): 0.3,
    ("disagreement", "violation"): 0.2,
    ("disagreement", "ok"): 0.2,
    ("outcome", "violation"): 0.2,
    ("outcome", "ok"): 0.1,
}
"""How much one signal counts beside a label, which counts 1."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was said of one step."""

    kind: SignalKind
    says: Says
    app: str
    session_id: str

    principal: str
    """On whose word: the key or person a label came from, the key whose traffic an outcome was seen in."""

    step: str
    """Digest of the step, which names it without holding its text."""

    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""

    weight: Weight
    """From `WEIGHTS`, unless whoever made the signal knows better."""

    clause: str | None = None
    """`policy/clause` it speaks of; None where it speaks of the step alone."""

    guard: str | None = None
    """Kind and place of the guard in its clause (`pattern.0`), where one is meant."""
