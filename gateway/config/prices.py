"""The section `[prices]`: where prices come from."""

from pathlib import Path

import msgspec


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Where prices come from."""

    file: Path | None = None
    """A price file of your own instead of the shipped one."""
