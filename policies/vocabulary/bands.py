"""Bands: what follows from a score."""

from typing import Literal, TypeAlias

import msgspec

from policies.vocabulary.findings import Score
from policies.vocabulary.verdicts import VerdictName

BandAction: TypeAlias = Literal["flag", "redact", "rewrite", "judge", "hold", "reject", "terminate"]
Fallback: TypeAlias = Literal["allow", "flag", "redact", "rewrite", "hold", "reject", "terminate"]


class Band(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What follows from a score at or above `at`, up to the next band."""

    at: Score
    """The band begins at this score."""

    do: BandAction
    """What is done with the step; `judge` asks the gate."""

    otherwise: Fallback | None = msgspec.field(default=None, name="else")
    """Required with `judge`, and only there: what holds where no judge can be asked."""


def outcome(band: Band) -> VerdictName:
    """What a band comes to where no judge can be asked."""
    return (band.otherwise or "flag") if band.do == "judge" else band.do
