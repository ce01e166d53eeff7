"""Copies: runs of words that stand in one text and in others too. Learned text must not be what somebody planted."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

Shingles: TypeAlias = frozenset[int]
"""Hashes of every run of so many words of some texts; within one process."""

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts that put no blanks between words, and Korean, whose words are as short: each letter counts as a word."""

_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_LONG: Final = 12
"""Characters from which one word with a digit in it is a value, not a word: an account, a key, an id."""


def shingles(texts: Iterable[str], words: int) -> Shingles:
    """Every run of `words` words of the texts, and every long value by itself."""
    return frozenset(hash(run) for text in texts for run in _runs(text, words))


def copied(text: str, known: Shingles, words: int) -> bool:
    """Whether the text holds a run of `words` words, or a long value, that the known ones held."""
    return any(hash(run) in known for run in _runs(text, words))


def _runs(text: str, words: int) -> Iterator[tuple[str, ...]]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    found = [match.group() for match in _WORD.finditer(plain)]
    for at in range(len(found) - words + 1):
        yield tuple(found[at : at + words])
    for word in found:
        if len(word) >= _LONG and any(char.isdigit() for char in word):
            yield (word,)
