"""Numbers in an address, none of them larger than the store can count."""

from typing import Annotated, Final, TypeAlias

from litestar.params import PathParameter

LARGEST: Final = (1 << 63) - 1

Numbered: TypeAlias = Annotated[int, PathParameter(ge=0, le=LARGEST)]
"""The number of a proposal, or the place of an entry in the log."""
