"""Base64 and decimals as the formats want them: one spelling a value, everything else refused."""

import base64
import binascii
import re

from storage.audit.errors import NoteMalformed

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str, what: str, length: int | None = None) -> bytes:
    """The bytes; `length` is how many there must be. Raises `NoteMalformed`, also for a second spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteMalformed(f"{what} is not base64") from None
    if to_base64(data) != text:
        raise NoteMalformed(f"{what} is not base64 in its one spelling")
    if length is not None and len(data) != length:
        raise NoteMalformed(f"{what} is {len(data)} bytes, expected {length}")
    return data


def ascii_lines(data: bytes, otherwise: str) -> list[str]:
    """The lines of an ASCII text. Raises `NoteMalformed`, which says what it is otherwise."""
    try:
        return data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise NoteMalformed(otherwise) from None


def from_decimal(text: str, what: str) -> int:
    """A whole number below 2**63 without leading zeros. Raises `NoteMalformed`."""
    if not _DECIMAL.fullmatch(text) or int(text) >= 1 << 63:
        raise NoteMalformed(f"{what} is not a decimal number")
    return int(text)
