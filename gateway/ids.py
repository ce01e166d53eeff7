"""Identifiers: ULIDs for what arrives in order, random bytes for spans.

They are names, not secrets, so they come from the process's own generator (seeded by the system): asking
the system each time would give the interpreter lock away in the middle of every request. What has to be secret
comes from the system, many at a time.
"""

import os
import random
import time
from collections.abc import Iterator
from functools import lru_cache

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple([high + low for high in _CROCKFORD for low in _CROCKFORD])
_DRAWN = 64
"""Secrets drawn from the system at once."""

_SHIFTS_OF_TIME = tuple(range(40, -1, -10))


def new_id(at_ns: int | None = None) -> str:
    """Mint a ULID: 26 characters, 48 bits of milliseconds and 80 of randomness (github.com/ulid/spec)."""
    pairs, high, low = _PAIRS, random.getrandbits(40), random.getrandbits(40)
    moment = _moment((time.time_ns() if at_ns is None else at_ns) // 1_000_000)
    return (
        f"{moment}{pairs[high >> 30]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 30]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
    )


@lru_cache(maxsize=2)
def _moment(milliseconds: int) -> str:
    """The 10 characters that say when; an exchange and its session begin in the same millisecond as a rule."""
    return "".join([_PAIRS[(milliseconds >> shift) & 1023] for shift in _SHIFTS_OF_TIME])


def new_span(size: int = 8) -> bytes:
    """Mint a span id (8 bytes) or a trace id (16), never all zero (W3C Trace Context)."""
    return (random.getrandbits(8 * size) or 1).to_bytes(size, "big")


def span_after(first: bytes, count: int) -> bytes:
    """The span id `count` places after a random one: an exchange draws once for all of its spans."""
    return ((int.from_bytes(first, "big") + count) & 0xFFFF_FFFF_FFFF_FFFF or 1).to_bytes(8, "big")


def secrets_of(size: int) -> Iterator[bytes]:
    """Secrets of so many bytes each, without end, out of the system's randomness; each is given once."""
    while True:
        drawn = os.urandom(size * _DRAWN)
        for at in range(0, len(drawn), size):
            yield drawn[at : at + size]
