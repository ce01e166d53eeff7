"""Folding: a text as a reader's eye or a tokenizer takes it, with what hides in it taken out.

Compatibility characters become what they stand for (Unicode NFKC), letters that look like Latin ones become those
(Unicode Technical Standard 39), digits of any script become ASCII digits, and characters without a width of their own
(joiners, tags, variation selectors, direction marks, combining accents) are removed.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from policies.trail import utf8
from policies.views.view import Edit

LOOKALIKES: Final[dict[str, str]] = {
    "A": "\u0391\u0410\u13aa",
    "B": "\u0392\u0412\u13f4\ua7b4",
    "C": "\u0421\u13df\u2ca4\U00010415",
    "D": "\u13a0",
    "E": "\u0395\u0415\u13ac\U000118a6\U000118ae",
    "F": "\u03dc\ua798\U000118a2\U000118c2",
    "G": "\u050c\u13c0\u13f3",
    "H": "\u0397\u041d\u13bb\u2c8e",
    "I": "\u0196\u0399\u0406\u04c0\u2c92",
    "J": "\u037f\u0408\u13ab\ua7b2",
    "K": "\u039a\u041a\u13e6\u2c94",
    "L": "\u13de\u2cd0\U0001041b\U000118a3\U000118b2",
    "M": "\u039c\u03fa\u041c\u13b7\u2c98",
    "N": "\u039d\u2c9a",
    "O": "\u039f\u041e\u0555\u2c9e\U00010404\U000104c2\U000118b5",
    "P": "\u03a1\u0420\u13e2\u2ca2",
    "R": "\u01a6\u13a1\u13d2\U000104b4",
    "S": "\u0405\u054f\u13d5\u13da\U00010420",
    "T": "\u03a4\u0422\u13a2\u2ca6\U000118bc",
    "U": "\u054d\U000104ce\U000118b8",
    "V": "\u0474\u13d9\U000118a0",
    "W": "\u051c\u13b3\u13d4",
    "X": "\u03a7\u0425\u2cac\ua7b3",
    "Y": "\u03a5\u0423\u04ae\u13a9\u13bd\u2ca8\U000118a4",
    "Z": "\u0396\u13c3\U000118a9",
    "a": "\u0251\u03b1\u0430",
    "b": "\u0184\u042c\u13cf",
    "c": "\u0441\u1d04\u2ca5\uabaf\U0001043d",
    "d": "\u0501\u13e7",
    "e": "\u0435\u04bd\uab32",
    "f": "\u0584\u1e9d\ua799\uab35",
    "g": "\u018d\u0261\u0581\u1d83",
    "h": "\u04bb\u0570\u13c2",
    "i": "\u0131\u0269\u026a\u03b9\u0456\u04cf\u13a5\ua647\uab75\U000118c3",
    "j": "\u03f3\u0458",
    "n": "\u0578\u057c",
    "o": "\u03bf\u03c3\u043e\u0585\u10ff\u1d0f\u1d11\u2c9f\uab3d\U0001042c\U000104ea\U000118c8\U000118d7",
    "p": "\u03c1\u0440\u2ca3",
    "q": "\u051b\u0563\u0566",
    "r": "\u0433\u1d26\u2c85\uab47\uab48\uab81",
    "s": "\u01bd\u0455\ua731\uabaa\U00010448\U000118c1",
    "u": "\u028b\u03c5\u057d\u1d1c\ua79f\uab4e\uab52\U000104f6\U000118d8",
    "v": "\u03bd\u0475\u1d20\uaba9\U000118c0",
    "w": "\u026f\u0461\u051d\u0561\u1d21\uab83",
    "x": "\u0445",
    "y": "\u0263\u028f\u03b3\u0443\u04af\u10e7\u1d8c\u1eff\uab5a\U000118dc",
    "z": "\u1d22\uab93\U000118c4",
}
"""Latin letters, and the letters of other alphabets that cannot be told from them (UTS 39, upper and lower case)."""

INVISIBLE: Final[tuple[tuple[int, int], ...]] = (
    (0x00AD, 0x00AD),
    (0x0300, 0x036F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x20D0, 0x20FF),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF9, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Code points that are removed: Default_Ignorable_Code_Point of the Unicode Character Database, and accents."""

_COMPATIBLE: Final = (
    range(0xA0, 0x3400),
    range(0xA640, 0xAB70),
    range(0xF900, 0x10000),
    range(0x10780, 0x107C0),
    range(0x1D400, 0x1D800),
    range(0x1E030, 0x1E070),
    range(0x1EE00, 0x1EF00),
    range(0x1F100, 0x1F300),
    range(0x1FBF0, 0x1FBFA),
    range(0x2F800, 0x2FA20),
)
"""Where the characters lie whose NFKC form differs, Hangul left out: it composes and hides nothing."""

_BLOCK: Final = 64
"""Characters folded at a time: what is searched through to find where one byte of a folded block came from."""


def _table() -> dict[int, str]:
    table = {point: chr(point) for reach in _COMPATIBLE for point in reach}
    table = {point: folded for point, char in table.items() if (folded := unicodedata.normalize("NFKC", char)) != char}
    table |= {point: str(unicodedata.decimal(chr(point))) for point in _digits()}
    table |= {ord(other): latin for latin, others in LOOKALIKES.items() for other in others}
    return table | {point: "" for first, last in INVISIBLE for point in range(first, last + 1)}


def _digits() -> Iterable[int]:
    return (point for point in range(0x660, 0x1FC00) if unicodedata.category(chr(point)) == "Nd")


_FOLDED: Final = _table()


def _ranges(points: Iterable[int]) -> str:
    """The inside of a character class of these code points."""
    out: list[str] = []
    first = last = -2
    for point in [*sorted(points), 0x110001]:
        if point != last + 1:
            if first >= 0:
                out.append(f"{chr(first)}-{chr(last)}")
            first = point
        last = point
    return "".join(out)


_DIFFERS: Final = re.compile(f"[{_ranges(_FOLDED)}]")


def fold(text: str) -> str:
    """The folded text."""
    return text if text.isascii() else text.translate(_FOLDED)


def folds(text: str) -> list[Edit]:
    """The blocks of a text that folding changes, as byte ranges."""
    if text.isascii() or not _DIFFERS.search(text):
        return []
    edits: list[Edit] = []
    at = 0
    for start in range(0, len(text), _BLOCK):
        block = text[start : start + _BLOCK]
        if block.isascii():
            at += len(block)
            continue
        size = len(utf8(block))
        if _DIFFERS.search(block):
            edits.append(Edit(at, at + size, utf8(block.translate(_FOLDED)), walk))
        at += size
    return edits


def walk(raw: bytes, index: int) -> tuple[int, int]:
    """The bytes of a block that byte `index` of its folded form came from."""
    made = start = end = 0
    for char in raw.decode("utf-8", "surrogatepass"):
        start, end = end, end + len(utf8(char))
        made += len(utf8(char.translate(_FOLDED)))
        if made > index:
            break
    return start, end
