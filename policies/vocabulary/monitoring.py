"""Monitoring: steps that wait for the monitor, what became of each, and sessions that it distrusts."""

from typing import Final

import msgspec

from policies.vocabulary.critiques import Critique
from policies.vocabulary.verdicts import VerdictName

DISTRUSTED: Final = "stepwarden/distrusted"
"""The clause that calls of a distrusted session wait under; it is the gateway's own."""

LATER: Final = "monitor"
"""Why a guard did not run that the monitor runs once the step is recorded; it is no failure."""

SHED: Final = "shed"
"""Why a step was not read: more waited than there is room for, and it was among the least risky."""


class Awaiting(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded step that the monitor is to read."""

    step_id: str
    session_id: str
    app: str
    ruleset: str
    """Digest of the clauses that were in force when it was recorded."""

    clauses: tuple[str, ...]
    """`policy/clause` of those it is to be read for, in policy order."""

    risk: int
    """What sorts it before others, and keeps it when there is no room: higher is more."""

    size: int
    """UTF-8 bytes of its text."""

    since_ns: int
    """Wall clock when it was queued, Unix epoch, nanoseconds, UTC."""

    attempts: int = 0
    """How often a critique of it was begun and came to nothing."""


class Filed(msgspec.Struct, frozen=True, kw_only=True):
    """A critique as it is kept, with what its clauses made of it; or why there is none."""

    critique: Critique
    """Without opinions where `failure` is given: then nothing was judged."""

    failure: str | None = None
    """Why nothing was judged, as a low-cardinality word (`shed`, `timed_out`, `budget_day`, ...)."""

    verdict: VerdictName = "allow"
    """The strongest that a clause in force asked for."""

    shadow: VerdictName = "allow"
    """The strongest that clauses out of force would have asked for."""

    clauses: tuple[str, ...] = ()
    """`policy/clause` of those that asked for the verdict, in policy order."""


class Distrust(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose next tool call waits for a person, because of a critique."""

    session_id: str
    app: str
    critique_id: str
    clauses: tuple[str, ...]
    """`policy/clause` of those that asked for it."""

    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""
