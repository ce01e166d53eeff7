"""Values as every answer writes them."""

import re
from typing import Final

from gateway.times import rfc3339

_HALVES: Final = re.compile("[\ud800-\udfff]")


def time(at_ns: int | None) -> str | None:
    """A moment as RFC 3339, where there is one."""
    return None if at_ns is None else rfc3339(at_ns)


def sound(text: str) -> str:
    """Text that UTF-8 can carry: lone surrogates, which JSON from providers may hold, become U+FFFD."""
    # One character for one, of as many bytes: what findings say of places in it stays true.
    return text if text.isascii() else _HALVES.sub("\ufffd", text)


def hexed(digest: bytes | None) -> str | None:
    """A digest in hex, where there is one."""
    return None if digest is None else digest.hex()
