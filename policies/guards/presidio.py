"""`presidio`: the recognisers of Presidio that need no language model judge the step's text.

Here stands only what an operator writes. How they are loaded and run is told in `supervisors/adapters/presidio.py`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from policies.asking import Asked
from policies.guards.interface import SCANNED_BYTES
from policies.vocabulary.findings import Score


class PresidioSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="presidio"
):
    """Presidio's recognisers that need no language model. Needs the extra `stepwarden[presidio]`."""

    entities: tuple[Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")], ...] = ()
    """Presidio's names of what to look for, as in `US_PASSPORT`; without any, all it knows for the language."""

    language: Annotated[str, Meta(pattern=r"^[a-z]{2}$")] = "en"
    """Recognisers of this language, as in `en` or `de`."""

    least: Score = 40
    """What Presidio gives a lower score, of 100, is left out; the others are findings with that score."""

    max_bytes: Annotated[int, Meta(ge=1, le=SCANNED_BYTES)] = 64 * 1024
    """How much of the step's text is looked at, in bytes; what lies behind is reported as an unscanned tail."""

    deadline_ms: Annotated[int, Meta(ge=1, le=30_000)] = 1000
    """How long one text may take, in milliseconds. It cannot be broken off: until it ends, no other begins."""


class PresidioGuard(Asked):
    """The place of Presidio in a clause."""
