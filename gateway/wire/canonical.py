"""What two messages have in common that mean the same: one 16-byte digest.

Ignored: key order, spacing, escapes, `cache_control` and null fields on messages and blocks (not inside a
tool's input), and whether a single text stands as a string or as a list with one text block.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from gateway.wire.interface import Voice
from gateway.wire.memory import Recent
from gateway.wire.values import mapping, sequence, text

DIGEST: Final = 16
"""Bytes of every digest of meaning."""

_TEXT_TYPES: Final = frozenset({"text", "input_text", "output_text"})
_PACK: Final = msgspec.msgpack.Encoder(order="sorted")
_SORTED: Final = msgspec.json.Encoder(order="sorted")
_WHOLE: Final = 4096
"""Raw messages up to this length are cache keys themselves, longer ones by their SHA-256; bytes."""


_HELD: Final = 2047
"""Most bytes hashlib takes without giving the interpreter lock away (`HASHLIB_GIL_MINSIZE`)."""


def hashed(data: bytes) -> bytes:
    """SHA-256, 32 bytes, in pieces that keep the interpreter lock: taking it back from a busy thread costs more."""
    if len(data) <= _HELD:
        return sha256(data).digest()
    running = sha256(data[:_HELD])
    for start in range(_HELD, len(data), _HELD):
        running.update(data[start : start + _HELD])
    return running.digest()


def digest(value: Any) -> bytes:
    """16 bytes over a JSON value, whatever the order of its keys."""
    try:
        packed = _PACK.encode(value)
    except OverflowError:  # whole numbers beyond 64 bits
        packed = _SORTED.encode(value)
    # Half of what BLAKE2 costs where the processor knows SHA.
    return (sha256(packed).digest() if len(packed) <= _HELD else hashed(packed))[:DIGEST]


def plain(block: dict[str, Any]) -> dict[str, Any]:
    """The block itself, changed in place: without `cache_control`, its content in the shortest form."""
    block.pop("cache_control", None)
    if None in block.values():
        for key in [key for key, value in block.items() if value is None]:
            del block[key]
    content: Any = block.get("content")
    if type(content) is list:
        block["content"] = _plain_content(content)  # pyright: ignore[reportUnknownArgumentType] - any JSON
    return block


def _plain_content(content: list[Any]) -> Any:
    for block in content:
        if type(block) is dict:
            plain(block)  # pyright: ignore[reportUnknownArgumentType] - JSON keys are strings
    if len(content) == 1:
        only = mapping(content[0])
        if len(only) == 2 and text(only.get("type")) in _TEXT_TYPES and type(only.get("text")) is str:  # noqa: PLR2004 - type and text
            return only["text"]
    return content


def plain_all(value: Any) -> Any:
    """`plain` for each object of an array; anything else as it is (instructions and tools)."""
    if type(value) is dict:
        return plain(mapping(value))  # pyright: ignore[reportUnknownArgumentType] - JSON keys are strings
    return _plain_content(sequence(value)) if type(value) is list else value  # pyright: ignore[reportUnknownArgumentType] - any JSON


class Digester:
    """Digests of raw JSON values, remembering those seen before, so that resent history costs one look-up.

    `read` gives the voice and the canonical value of a decoded message.
    """

    def __init__(self, read: Callable[[Any], tuple[Voice, Any]], budget: int = 1 << 20) -> None:
        self._read = read
        self._decode = msgspec.json.Decoder().decode
        self._seen: Recent[bytes, tuple[Voice, bytes]] = Recent(budget)

    def message(self, raw: bytes, look: Callable[[Any], None] | None = None) -> tuple[Voice, bytes]:
        """Voice and digest of one raw message. Raises msgspec.DecodeError, RecursionError, ValueError.

        `look` is given the decoded message if it was not seen before, to be read while it is at hand.
        """
        key = raw if len(raw) <= _WHOLE else hashed(raw)
        known = self._seen.young.get(key)
        if known is not None:
            return known
        known = self._seen.get(key)
        if known is None:
            value = self._decode(raw)
            if look is not None:
                look(value)
            voice, value = self._read(value)  # may change the value in place
            known = (voice, digest(value))
        self._seen.put(key, known, len(key))
        return known
