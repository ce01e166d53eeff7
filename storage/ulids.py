"""ULIDs in 16 bytes: ids stand in tables and indexes, and as text they are two thirds larger."""

import re
from functools import lru_cache
from typing import Any

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_MS = 1_000_000
_TO_BASE_32 = str.maketrans(_DIGITS, "0123456789abcdefghijklmnopqrstuv")
_PAIRS = tuple([high + low for high in _DIGITS for low in _DIGITS])
_SHIFTS = tuple(range(120, -1, -10))

_is_ulid = re.compile(f"[0-7][{_DIGITS}]{{25}}").fullmatch
_begins_one = re.compile(f"[0-7][{_DIGITS}]{{0,25}}").fullmatch


@lru_cache(maxsize=512)
def pack(text: str) -> bytes | str:
    """16 bytes that sort as the text does; any other id stays as it is. Remembered: a batch asks three times each."""
    if len(text) != _LENGTH or _is_ulid(text) is None:
        return text
    return int(text.translate(_TO_BASE_32), 32).to_bytes(16, "big")


def unpack(stored: Any) -> str:
    """The text of a stored id."""
    if isinstance(stored, str):
        return stored
    value = int.from_bytes(stored, "big")
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])


def minted_ns(text: str) -> int:
    """When a ULID was minted, Unix epoch, nanoseconds; 0 for any other id."""
    packed = pack(text)
    return int.from_bytes(packed[:6], "big") * _MS if isinstance(packed, bytes) else 0


def span_of(prefix: str) -> tuple[bytes | str, bytes | str] | None:
    """The first and last packed id with this beginning; None where no ULID begins so."""
    if _begins_one(prefix) is None:
        return None
    return pack(prefix.ljust(_LENGTH, "0")), pack(prefix.ljust(_LENGTH, "Z"))
