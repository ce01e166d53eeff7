"""Reasoning told in pieces, beside a text that says the same (OpenRouter) or in its stead (MiniMax).

https://openrouter.ai/docs/use-cases/reasoning-tokens: each piece is a text, a summary, or sealed; pieces of one index
are one section. What is sealed says nothing to a reader. Clients put together all that the pieces say (OpenRouter's
`ai-sdk-provider` shows it so), those of one section, or those of one form.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from gateway.wire.values import mapping, sequence, word
from policies.trail import utf8

DETAILS: Final = "reasoning_details"


class Piece(NamedTuple):
    """A piece that says something."""

    at: int
    """Its place in the list; in a stream, that of its section."""

    said: str
    section: Hashable
    form: str
    """The name its text stands under."""

    name: str | None
    """Its id."""


def told(details: Any) -> Iterator[Piece]:
    """The pieces that say something."""
    for at, piece in enumerate(sequence(details)):
        fields = mapping(piece)
        form = "text" if word(fields.get("text")) else "summary"
        said, index = word(fields.get(form)), fields.get("index")
        if said is not None:
            yield Piece(at, said, index if type(index) in (int, str) else None, form, word(fields.get("id")))


def readings(pieces: Sequence[Piece], thought: str | None) -> list[tuple[int | None, str]]:
    """What clients may put together of pieces, as far as it says more than the thought beside them.

    With each the place it begins at; None for what all of them say in a row.
    """
    if not pieces:
        return []
    whole = "".join([piece.said for piece in pieces])
    found: list[tuple[int | None, str]] = []
    if thought is None or not retold(whole, thought):
        found.append((None, whole))
    for numbers in _groups(pieces):
        said = "".join([pieces[number].said for number in numbers])
        if numbers[-1] >= len(numbers) or not retold(said, whole):
            found.append((pieces[numbers[0]].at, said))
    return found


def _groups(pieces: Sequence[Piece]) -> list[tuple[int, ...]]:
    """Some of the pieces that clients tell from the others, by number."""
    named: dict[tuple[Hashable, ...], list[int]] = {}
    for number, (_, _, section, form, name) in enumerate(pieces):
        zero = ("numbered", section or 0)  # many take no index for the first
        for names in (("section", section), ("form", form), ("both", section, form), ("id", name), zero):
            named.setdefault(names, []).append(number)
    # Ids, which may be others in each piece, tell something else only where there are others in their midst.
    groups = [
        tuple(numbers)
        for names, numbers in named.items()
        if names[0] != "id" or numbers[-1] - numbers[0] >= len(numbers)
    ]
    return list(dict.fromkeys(groups))


def retold(told: str, thought: str) -> bool:
    """Whether a thought begins with what is told: who judges the one has judged the other."""
    return thought.startswith(told) and not word_goes_on(utf8(thought), len(utf8(told)))


def word_goes_on(text: bytes | bytearray, at: int) -> bool:
    """Whether a word goes on over this place: who looks for words finds others in what ends here."""
    return 0 < at < len(text) and _in_word(text[at - 1]) and _in_word(text[at])


def _in_word(byte: int) -> bool:
    """Whether a byte of UTF-8 may be part of a word; of other alphabets, all may."""
    return not chr(byte).isascii() or chr(byte).isalnum() or byte == ord("_")
