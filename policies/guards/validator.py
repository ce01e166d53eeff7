"""`validator`: a validator in the format of guardrails-ai judges the step's text.

Here stands only what an operator writes. How it is loaded and run is told in
`supervisors/adapters/guardrails_validator.py`.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from policies.asking import Asked
from policies.guards.interface import SCANNED_BYTES, BadGuard
from policies.vocabulary.findings import Score

RESERVED: Final = frozenset({"on_fail", "use_local", "validation_endpoint"})
"""Arguments that are not the operator's: what follows is the clause's matter, and nothing is validated elsewhere."""


class ValidatorSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="validator"
):
    """A validator in the format of guardrails-ai judges the step's text. Needs the extra `stepwarden[guardrails]`."""

    validator: Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]{0,199}:[A-Za-z_]\w{0,99}$")]
    """`MODULE:CLASS`. The module is imported, so it is code you run: name only what you installed yourself."""

    args: dict[str, Any] = {}
    """Keyword arguments of the class."""

    metadata: dict[str, Any] = {}
    """What the validator is handed as metadata with every text."""

    score: Score = 75
    """The score of a text that fails."""

    label: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = "validator"
    """What a range that fails is called, and stands in its place where it is redacted."""

    fix: bool = False
    """`true`: where the validator names no ranges and offers a fixed text, what it would change is the range that
    `redact` and `rewrite` take out. Its own text is never put in."""

    max_bytes: Annotated[int, Meta(ge=1, le=SCANNED_BYTES)] = 64 * 1024
    """How much of the step's text is validated, in bytes; what lies behind is reported as an unscanned tail."""

    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1000
    """How long one text may take, in milliseconds. It cannot be broken off: until it ends, no other begins."""


class ValidatorGuard(Asked):
    """The place of one validator in a clause."""

    def __init__(self, spec: ValidatorSpec) -> None:
        """Raises `BadGuard` for arguments that are not the operator's to give."""
        super().__init__(spec)
        taken = RESERVED & set(spec.args)
        if taken:
            raise BadGuard(f"args: `{min(taken)}` is set by the gateway; leave it out")
