"""Canonical JSON (RFC 8785): one spelling a value, so that an entry's bytes can be made again from what it says."""

import json
import math
import re
from typing import Any

import msgspec

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_ESCAPED = {ord(each): _SHORT.get(each, f"\\u{ord(each):04x}") for each in [*map(chr, range(0x20)), '"', "\\"]}

_SAFE = 2**53
"""Whole numbers up to this are themselves in every JSON reader."""

_POSITIONAL = 21
"""Numbers with more digits before the point than this have an exponent (ECMAScript `Number::toString`)."""

_SMALL = -7
"""Numbers with an exponent at or below this have one."""

_LONG = re.compile(rb"[0-9]{16}")
"""What a whole number beyond 2**53 has in it; so have some texts."""

# Numbers with a point become text, which sends what holds one to the exact and slow way below.
_decode = msgspec.json.Decoder(float_hook=str).decode
_sorted = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Any) -> bytes:
    """The canonical form of a JSON value. Raises `ValueError` where it has none: NaN, whole numbers beyond 2**53."""
    return _text(value).encode()


def read_canonical(data: bytes) -> dict[str, Any] | None:
    """The object these bytes are the canonical form of; None where they are anything else."""
    try:
        value = _decode(data)
        if type(value) is not dict:
            return None
        if data.isascii() and _LONG.search(data) is None and _sorted(value) == data:
            return value  # pyright: ignore[reportUnknownVariableType] - JSON keys are strings
        exact: dict[str, Any] = json.loads(data.decode(), parse_int=_as_read)
        return exact if canonical(exact) == data else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(map(_text, value))}]"  # pyright: ignore[reportUnknownArgumentType] - any JSON
        case dict():
            return _object(value)  # pyright: ignore[reportUnknownArgumentType] - JSON keys are strings
        case _:
            raise ValueError(f"{type(value).__name__} is not JSON")


def _object(value: dict[str, Any]) -> str:
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return f"{{{','.join(f'{_quoted(key)}:{_text(value[key])}' for key in keys)}}}"


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPED)}"'


def _number(value: float) -> str:
    if isinstance(value, int):
        if abs(value) > _SAFE:
            raise ValueError("a whole number beyond 2**53 has no canonical form")
        return str(value)
    if not math.isfinite(value):
        raise ValueError("not a number of JSON")
    if not value:
        return "0"  # minus zero, too
    sign, digits, exponent = _shortest(value)
    point = len(digits) + exponent  # digits before the decimal point
    if len(digits) <= point <= _POSITIONAL:
        return f"{sign}{digits}{'0' * exponent}"
    if 0 < point <= _POSITIONAL:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if point - 1 >= _SMALL + 1 and point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _as_read(digits: str) -> float:
    """A whole number as every JSON reader has it."""
    number = int(digits)
    return number if abs(number) <= _SAFE else float(digits)


def _shortest(value: float) -> tuple[str, str, int]:
    """Sign, the fewest digits that give the number back, and the power of ten they are multiplied with."""
    mantissa, _, power = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    fraction = fraction.rstrip("0")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) - len(fraction)
    shorter = digits.rstrip("0")
    return sign, shorter, exponent + len(digits) - len(shorter)
