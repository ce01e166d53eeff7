"""Carried data: whether a value in an address is only an address, or takes something along."""

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from policies.trail import Trail, utf8
from policies.vocabulary.steps import Part

_SEARCHED: Final = 1 << 20
"""Characters of the trail that are searched, the newest first."""

_SHORTEST: Final = 8
"""Characters of a value that is sought; shorter ones stand everywhere."""

_MOST_PIECES: Final = 16
"""Pieces of one value that are sought by themselves."""

_LONGEST: Final = 4096
_SHORTEST_ENCODED: Final = 12
_OPAQUE: Final = 64
"""Characters from which a value that nothing explains is worth a look: longer than ids and digests."""

_ENTROPY: Final = 3.5
"""Bits per character: base64 of text has more, words and numbers have less."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
_READABLE: Final = re.compile(r"[\t\n\r -~\u00a0-\u024f\u0370-\u1fff\u3040-\uffef]+")
_PIECE: Final = re.compile(r"[^\s,;:|&=\"'<>()\[\]{}/]{8,256}")
_TELLING: Final = re.compile(r"[0-9@]")
_TOLD: Final = frozenset({"user_input", "instructions", "tool_definitions"})
_SEEN: Final = frozenset({"tool_result", "retrieval"})


class Origin(msgspec.Struct, frozen=True):
    """Where a value stands in the trail."""

    source: int
    """Index of the step."""

    start: int
    end: int
    """Byte range in that step's text."""


class Memory:
    """What a session has seen, for asking whether a value comes from there."""

    def __init__(self, trail: Trail) -> None:
        """Nothing is looked at before it is asked for."""
        self._trail = trail

    def told(self, text: str) -> bool:
        """Whether the user, the instructions or a tool's definition hold a text."""
        return any(text in part.text for _, part in self._newest(_TOLD))

    def seen(self, text: str) -> Origin | None:
        """Where a tool's result or a retrieved text holds a text."""
        for at, part in self._newest(_SEEN):
            found = part.text.find(text)
            if found >= 0:
                start = len(utf8(part.text[:found]))
                return Origin(at, start, start + len(utf8(text)))
        return None

    def origin(self, value: str) -> Origin | None:
        """Where a value, or a telling piece of it, comes from: results that nobody told the model otherwise."""
        for reading in readings(value[:_LONGEST]):
            if len(reading) >= _SHORTEST and (" " in reading or _TELLING.search(reading)):
                found = self._sought(reading)
                if found:
                    return found
            pieces = [each[0] for each in _PIECE.finditer(reading) if _TELLING.search(each[0])]
            for piece in pieces[:_MOST_PIECES]:
                found = self._sought(piece)
                if found:
                    return found
        return None

    def _sought(self, text: str) -> Origin | None:
        found = self.seen(text)
        return None if found is None or self.told(text) else found

    def _newest(self, kinds: frozenset[str]) -> Iterator[tuple[int, Part]]:
        room = _SEARCHED
        for at in range(len(self._trail.parts) - 1, -1, -1):
            part = self._trail.parts[at]
            if part.kind in kinds and room > 0:
                room -= len(part.text)
                yield at, part


def readings(value: str) -> list[str]:
    """A value, and what it decodes to where that can be read."""
    decoded = decode(value)
    return [value] if decoded is None else [value, decoded]


def decode(value: str) -> str | None:
    """The text that a value is the base64 or hexadecimal form of; None where it is none."""
    raw: bytes | None = None
    if _HEX.fullmatch(value):
        raw = bytes.fromhex(value)
    elif _BASE64.fullmatch(value) and _mixed(value):
        try:
            raw = base64.urlsafe_b64decode(value.rstrip("=").replace("+", "-").replace("/", "_") + "==")
        except (binascii.Error, ValueError):
            return None
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if _READABLE.fullmatch(text) else None


def opaque(value: str) -> bool:
    """Whether a value is long and looks like nothing but data."""
    if len(value) < _OPAQUE or " " in value:
        return False
    sample = value[:1024]
    entropy = -sum(count / len(sample) * math.log2(count / len(sample)) for count in Counter(sample).values())
    return entropy > _ENTROPY and bool(_BASE64.fullmatch(value) or _HEX.fullmatch(value))


def _mixed(value: str) -> bool:
    """Whether a value has the letters base64 has, and not those of a word, a path or a number alone."""
    return len(value) >= _SHORTEST_ENCODED and any(map(str.isupper, value)) and any(map(str.islower, value))
