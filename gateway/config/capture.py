"""The section `[capture]`: what of the traffic is kept."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What of the traffic is kept, and how long."""

    content: Literal["encrypted", "digest"] = "encrypted"
    """`encrypted` keeps bodies sealed; `digest` keeps only their hashes."""

    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 190
    """Days after which what was recorded is deleted, day by day; a day later where the clock leapt."""
