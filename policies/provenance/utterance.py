"""Utterances: a sentence in the forms in which its mood and address are looked for, each made once.

Expressions run in RE2 (`policies.views.linear`), many times faster than `re` on sentences that do not match, which
are nearly all. RE2 knows word boundaries in ASCII only. So it is shown a shadow: lower-case ASCII, one byte for each
character of the sentence, in which any other letter is `_`, any other digit `0`, any other blank a tab. A match's
bytes are the sentence's characters, and words end where they do in any script.
"""

import re
from typing import Final

import msgspec

from policies.views.linear import Linear, linear

_WORD: Final = re.compile(r"\w+")
_SPLIT: Final = bytes([code if chr(code).isalnum() or code == ord("_") else 32 for code in range(128)]) + bytes(128)
"""ASCII with a blank in place of whatever is in no word."""

_BLANKS: Final = bytes.maketrans(b"\x0b\x1c\x1d\x1e\x1f", b"\t\t\t\t\t")
"""Blanks that RE2 does not count among them."""

_FOREIGN: Final = re.compile(r"[^\x00-\x7f]")
_TWINS: Final = str.maketrans("\u0130\u0131\u017f", "iis")
"""Letters that differ from an ASCII one in case alone, though lower case does not say so."""


class Utterance(msgspec.Struct, frozen=True, gc=False):
    """One sentence."""

    text: str
    """As it is written."""

    lower: str
    """Lower case, character for character."""

    words: frozenset[str]
    """Its words, lower case, without repeats."""

    shadow: bytes


def utterance(text: str) -> Utterance:
    """A sentence, ready to be read. Linear."""
    if text.isascii():
        lower = text.lower()
        shadow = lower.encode()
        return Utterance(text, lower, frozenset(shadow.translate(_SPLIT).decode().split()), shadow.translate(_BLANKS))
    lower = text.translate(_TWINS).lower()
    return Utterance(text, lower, frozenset(_WORD.findall(text.lower())), _shadow(lower))


def expression(*patterns: str) -> Linear:
    """A pattern, or several of which one has to match, for shadows: in lower case; `^` matches at every line."""
    return linear("(?m)" + _shadow("|".join(patterns)).decode())


def _shadow(lower: str) -> bytes:
    return _FOREIGN.sub(_stand_in, lower).encode().translate(_BLANKS)


def _stand_in(found: re.Match[str]) -> str:
    char = found[0]
    if char.isdecimal():
        return "0"
    if char.isalnum():
        return "_"
    return "\t" if char.isspace() else "~"
