"""Carried data: whether a value in an address is only an address, or takes something along."""

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from policies.provenance.folding import lowered
from policies.trail import Trail, utf8
from policies.vocabulary.steps import Part

_SEARCHED: Final = 1 << 20
"""Characters of the trail that are searched, the newest first."""

_SHORTEST: Final = 8
"""Characters of a value that is sought; shorter ones stand everywhere."""

_ROOM: Final = 1 << 29
"""Characters of the trail that are gone through for one step, over all values together: some tenths of a second."""

_LONGEST: Final = 8192
_SHORTEST_ENCODED: Final = 12
_OPAQUE: Final = 64
"""Characters from which a value that nothing explains is worth a look: longer than ids and digests."""

_ENTROPY: Final = 3.5
"""Bits per character: base64 of text has more, words and numbers have less."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
_BASE32: Final = re.compile(r"(?=[a-z]*[2-7])[a-z2-7]{16,}={0,6}|(?=[A-Z]*[2-7])[A-Z2-7]{16,}={0,6}")
_ENDING: Final = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")
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
        self._room = _ROOM
        self._sought: dict[str, Origin | None] = {}
        self._lowered: dict[int, str] = {}

    @property
    def spent(self) -> bool:
        """Whether more was asked than is searched for one step: what was not found since may stand there."""
        return self._room <= 0

    def told(self, text: str) -> bool:
        """Whether the user, the instructions or a tool's definition hold a text."""
        return any(text in part.text for _, part in self._newest(_TOLD))

    def seen(self, text: str) -> Origin | None:
        """Where a tool's result or a retrieved text holds a text."""
        for at, part in self._newest(_SEEN):
            found = part.text.find(text)
            if found >= 0:
                return _origin(at, part.text, found, found + len(text))
        return None

    def origin(self, value: str) -> Origin | None:
        """Where a value, or a telling piece of it, comes from: results that nobody told the model otherwise."""
        return self._first(_telling(value[:_LONGEST]))

    def origin_of_label(self, label: str) -> Origin | None:
        """The same of a part of a host name, which is in lower case whatever was put there."""
        return self._first([label]) or (self._in_any_case(label) if _is_telling(label) else None)

    def _first(self, texts: Iterable[str]) -> Origin | None:
        return next((found for text in texts if (found := self._untold(text))), None)

    def _untold(self, text: str) -> Origin | None:
        if text not in self._sought:
            found = self.seen(text)
            self._sought[text] = None if found is None or self.told(text) else found
        return self._sought[text]

    def _in_any_case(self, label: str) -> Origin | None:
        for at, part in self._newest(_SEEN):
            if at not in self._lowered:
                self._lowered[at] = lowered(part.text)
            found = self._lowered[at].find(label)
            if found >= 0:
                end = found + len(label)
                return None if self.told(part.text[found:end]) else _origin(at, part.text, found, end)
        return None

    def _newest(self, kinds: frozenset[str]) -> Iterator[tuple[int, Part]]:
        room = _SEARCHED
        for at in range(len(self._trail.parts) - 1, -1, -1):
            part = self._trail.parts[at]
            if part.kind in kinds and room > 0 and self._room > 0:
                room -= len(part.text)
                self._room -= len(part.text)
                yield at, part


def _origin(at: int, text: str, start: int, end: int) -> Origin:
    first = len(utf8(text[:start]))
    return Origin(at, first, first + len(utf8(text[start:end])))


def _telling(value: str) -> Iterator[str]:
    """What of a value is worth looking for: each of its readings, and the pieces of each with theirs."""
    for reading in readings(value):
        if " " in reading or _TELLING.search(reading):
            yield from (reading,) if len(reading) >= _SHORTEST else ()
        for piece in _PIECE.finditer(reading):
            yield from filter(_is_telling, readings(piece[0]))


def _is_telling(text: str) -> bool:
    return len(text) >= _SHORTEST and bool(_TELLING.search(text))


def readings(value: str) -> list[str]:
    """A value, and what it decodes to where that can be read, with the ending of a file's name behind it or without."""
    decoded = decode(value) or decode(_ENDING.sub("", value))
    return [value] if decoded is None else [value, decoded]


def decode(value: str) -> str | None:
    """The text that a value is the base64, base32 or hexadecimal form of; None where it is none."""
    raw: bytes | None = None
    if _HEX.fullmatch(value):
        raw = bytes.fromhex(value)
    elif _BASE32.fullmatch(value):
        raw = _from_base32(value)
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


def _from_base32(value: str) -> bytes | None:
    digits = value.rstrip("=").upper()
    try:
        return base64.b32decode(digits + "=" * (-len(digits) % 8))
    except binascii.Error:
        return None


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
