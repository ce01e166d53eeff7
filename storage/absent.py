"""Absent: what a file surely does not hold yet, so that new contents need no look-up."""

from collections.abc import Iterable
from typing import final

_BITS = 1 << 23
"""1 MB; a file of half a million contents answers nineteen look-ups of twenty."""


@final
class Absent:
    """One bit for many names: a bit that is not set proves absence, one that is set proves nothing."""

    def __init__(self, names: Iterable[bytes] | None) -> None:
        """`names` end in 3 uniformly random bytes, and are all that is there; None: too many to tell."""
        self._bits = bytearray(_BITS >> 3) if names is not None else bytearray(b"\xff") * (_BITS >> 3)
        for name in names or ():
            self.claim(name)

    def claim(self, name: bytes) -> bool:
        """Whether this one was surely not there; from now on it is, or may be."""
        bits, place = self._bits, int.from_bytes(name[-3:], "big")
        at, bit = place >> 4, 1 << (place >> 1 & 7)
        if bits[at] & bit:
            return False
        bits[at] |= bit
        return True
