"""Coverage: which guards ran on which bytes of an exchange, and which did not and why."""

import msgspec

from policies.vocabulary.findings import FindingState


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """One guard on one step."""

    clause: str
    """`policy/clause`."""

    guard: str
    """Kind and place, as in findings."""

    seq: int
    """The step inside its exchange."""

    scanned: int = 0
    """Bytes of the step's text the guard looked at."""

    size: int = 0
    """Bytes of the step's text in all; more than `scanned` is an unscanned tail."""

    state: FindingState = "ok"
    skipped: str | None = None
    """Why the guard did not run (`deadline`, `unread:image`, `raised`, ...); None where it ran."""

    micros: int = 0
    """How long it took, microseconds."""

    shadow: bool = False
    """True where the clause was out of force then: by its policy, or by a person for a while."""
