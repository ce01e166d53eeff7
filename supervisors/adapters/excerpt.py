"""Excerpts: as much of a text as a clause lets others read, with its bytes where they were."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from policies.guards.interface import UNSCANNED
from policies.trail import utf8
from policies.vocabulary.findings import Evidence, Hit

MOST_RANGES: Final = 256
"""Of one finding; more become one that covers them all."""

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


class Excerpt(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a text."""

    text: str
    """Valid Unicode: a lone surrogate is a replacement character, which is as long."""

    size: int
    """Bytes of it in UTF-8."""

    whole: int
    """Bytes of the whole text."""

    def tail(self) -> tuple[Hit, ...]:
        """What is to be said of the bytes that nobody was shown."""
        if self.size == self.whole:
            return ()
        evidence = Evidence(start=self.size, end=self.whole, label=UNSCANNED)
        return (Hit(score=50, state="unsure", evidence=(evidence,), note="the end of the step was not looked at"),)


def excerpt(text: str, most: int) -> Excerpt:
    """The first `most` bytes of a text, less a character that does not fit."""
    data = utf8(text)
    end = len(data)
    if end > most:
        end = most
        while end and data[end] & 0xC0 == 0x80:  # noqa: PLR2004 - RFC 3629: a continuation byte is 10xxxxxx
            end -= 1
    shown = text if end == len(data) else data[:end].decode("utf-8", "surrogatepass")
    return Excerpt(text=_SURROGATES.sub("\ufffd", shown), size=end, whole=len(data))


def one_line(text: str, most: int) -> str:
    """Somebody else's words as one printable line of at most `most` characters."""
    return _UNPRINTABLE.sub(" ", _SURROGATES.sub("\ufffd", text[: 4 * most])).strip()[:most]


def byte_ranges(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of characters as ranges of bytes. Raises `ValueError` for one that is not in the text."""
    if any(not 0 <= start < end <= len(text) for start, end in spans):
        raise ValueError("a range is not in the text")
    if len(spans) > MOST_RANGES:
        spans = [(min(start for start, _ in spans), max(end for _, end in spans))]
    return [(len(text[:start].encode()), len(text[:end].encode())) for start, end in spans]
