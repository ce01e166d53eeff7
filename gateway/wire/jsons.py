"""JSON of strangers' streams, as lenient as the clients that read it: lone surrogates and NaN pass."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(data: bytes) -> Any:
    """The value, as `msgspec` reads it or else as Python's `json` does; None where neither can."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return None


def encode(value: Any) -> bytes:
    """JSON text without spaces; lone surrogates become escapes again."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, ValueError):
        return json.dumps(value, separators=(",", ":"), default=_raw).encode()


def _raw(value: Any) -> Any:
    """What a `msgspec.Raw` inside a value stands for."""
    return json.loads(bytes(value))


def read_with(read: Callable[..., T], value: Any, *more: Any) -> T:
    """`read(value, *more)`; where a lone surrogate is in its way, of the value with question marks in their place."""
    try:
        return read(value, *more)
    except UnicodeEncodeError:
        whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return read(json.loads(whole), *more)


def event(value: dict[str, Any], name: str) -> bytes:
    """One named server-sent event."""
    return f"event: {name}\ndata: ".encode() + encode(value) + b"\n\n"


def is_json(text: str) -> bool:
    """Whether this is one JSON value."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True
