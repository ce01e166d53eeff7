"""Reasoning told in pieces, beside a text that says the same (OpenRouter) or in its stead (MiniMax).

https://openrouter.ai/docs/use-cases/reasoning-tokens: each piece is a text, a summary, or sealed; pieces of one index
are one section. What is sealed says nothing to a reader.
"""

from collections.abc import Hashable, Iterator
from typing import Any, Final

from gateway.wire.values import mapping, sequence, word
from policies.trail import utf8

DETAILS: Final = "reasoning_details"

Piece = tuple[int, Hashable, str]
"""Its place in the list, its section, and what it says."""


def told(details: Any) -> Iterator[Piece]:
    """The pieces that say something."""
    for at, piece in enumerate(sequence(details)):
        fields = mapping(piece)
        said = word(fields.get("text")) or word(fields.get("summary"))
        if said is not None:
            yield at, repr(fields.get("index")), said


def sections(details: Any) -> list[tuple[int, str]]:
    """Where each section begins, and what its pieces say in a row."""
    found: dict[Hashable, tuple[int, list[str]]] = {}
    for at, section, said in told(details):
        found.setdefault(section, (at, []))[1].append(said)
    return [(at, "".join(pieces)) for at, pieces in found.values()]


def retold(section: str, thought: str) -> bool:
    """Whether a thought begins with what a section says: who judges the one has judged the other."""
    return thought.startswith(section) and not word_goes_on(utf8(thought), len(utf8(section)))


def word_goes_on(text: bytes | bytearray, at: int) -> bool:
    """Whether a word goes on over this place: who looks for words finds others in what ends here."""
    return 0 < at < len(text) and text[at - 1 : at].isalnum() and text[at : at + 1].isalnum()
