"""Labels: what a person says of a recorded step. Supervisors are measured by them."""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

StepLabel: TypeAlias = Literal["ok", "violation"]

STEP_LABELS: Final[tuple[StepLabel, ...]] = get_args(StepLabel)


class LabelGiven(msgspec.Struct, frozen=True, kw_only=True):
    """One person's judgement of one step. Never changed; of several by one person of one clause the newest counts."""

    step_id: str
    session_id: str | None
    app: str
    clause: str | None
    """`policy/clause` it is about; None: of the step as a whole."""

    label: StepLabel
    by: str
    """Who says so."""

    actor: str
    """The key it came under, or `owner`."""

    reason: str | None = None
    """Why, in their words; None where none was given."""

    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""
