"""JSON of strangers' answers, as lenient as the clients that read it: lone surrogates, NaN and broken UTF-8 pass."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(data: bytes) -> Any:
    """The value as `msgspec` reads it, or else as Python's `json` or a browser does; None where none of them can."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        try:
            return json.loads(data)
        except UnicodeDecodeError:
            return _loads(data.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
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
        return read(_mended(value), *more)


def decode_whole(data: bytes) -> Any:
    """The value as `decode` has it, with question marks in the place of lone surrogates: all of it can be recorded."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = decode(data)
        return None if value is None else _mended(value)


def legible(data: bytes) -> bytes:
    """The same document where `msgspec` reads it; else written anew from what clients read in it, to be changed."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = decode_whole(data)
        return data if value is None else msgspec.json.encode(value)
    return data


def nests_too_deeply(data: bytes) -> bool:
    """Whether nobody here reads this document for its depth alone; some clients do."""
    try:
        msgspec.json.decode(data)
    except RecursionError:
        return True
    except (msgspec.DecodeError, ValueError):
        return False
    return False


def _mended(value: Any) -> Any:
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


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
