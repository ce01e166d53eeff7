"""Struct types: what msgspec knows of each, worked out before threads could be the first to need it.

It is worked out at a type's first use, and known to other threads before it is complete: two that come first together,
where one Struct holds another, end the process by a segmentation fault (msgspec 0.22.0). Of all types that a gateway
begins with this takes 20 ms, once.
"""

from collections.abc import Iterator
from contextlib import suppress

import msgspec


def work_out() -> None:
    """Complete every Struct that is defined by now. Call it while nothing decodes; what is complete costs nothing."""
    for each in _under(msgspec.Struct):
        with suppress(TypeError, NameError):  # those that are never decoded may hold what cannot be
            msgspec.msgpack.Decoder(each)


def _under(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from _under(each)
