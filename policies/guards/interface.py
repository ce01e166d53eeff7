"""What every guard is."""

from collections.abc import Sequence
from typing import Final, Protocol

from policies.errors import StepwardenError
from policies.trail import Scene
from policies.vocabulary.findings import Hit

SCANNED_BYTES: Final = 1 << 20
"""Bytes of one step a text guard looks at; what lies behind is reported as an unscanned tail."""

UNSCANNED: Final = "unscanned_tail"
"""Label of the evidence for bytes no guard looked at."""


class BadGuard(StepwardenError):
    """A guard cannot be built from what the policy says of it; the message names the setting."""

    status = 400


class Guard(Protocol):
    """One guard, built from its spec. Instances are shared by all sessions and must not remember any."""

    @property
    def window(self) -> int | None:
        """The longest run of bytes one hit can span, for text that streams by; None where the whole step is needed."""
        ...

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """What is to be said of this step; nothing means ok. May raise: its clause's `on_error` then decides.

        Never looks at more than `SCANNED_BYTES` of the step; a longer one yields a hit of state `unsure`, score 50,
        whose evidence is labelled `UNSCANNED`.
        """
        ...
