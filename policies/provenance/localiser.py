"""The localiser: which ranges of a data text give orders, to whom, and how far each order reaches.

A sentence is read for its mood (imperative, request, obligation) and for cues of address (to an assistant, relative
to its task, about "the user", secrecy, claimed authority, ...). Neither says that a text is an attack: honest data is
full of requests. They are facts for the guard, which combines them with where a call's values came from.

Extent comes from structure. Sentences are chained into one passage only inside one field, and across paragraphs only
where the text itself links them: a lead-in that ends in a colon, a wrapped block, or address on both sides. A
declarative neighbour joins only where the order is incomplete without it (an order that names no destination or id,
followed by the sentence that does), so an honest address in the next paragraph stays honest.
"""

import re
from bisect import bisect_right
from typing import Final

import msgspec

from policies.provenance import lexicon
from policies.provenance.cues import NAMING, PLAIN, cues_in
from policies.provenance.mood import VALUE, has_value, is_order
from policies.provenance.segments import Sentence, sentences
from policies.provenance.utterance import utterance
from policies.views import fold

LOCALISED_CHARACTERS: Final = 1 << 18
"""Characters of one source that are read for orders; what lies behind counts as unscanned, never as plain data."""

SHORTEST_ORDER: Final = 8
"""A sentence with fewer characters orders nothing that could be told from a heading."""

COMPLETION_WORDS: Final = 30
"""Longest declarative sentence that can complete an order: longer ones are prose of their own."""


class Passage(msgspec.Struct, frozen=True, gc=False):
    """One sentence that gives an order, or belongs to one."""

    start: int
    end: int
    """Character offsets of the sentence."""

    run_start: int
    run_end: int
    """Character offsets of the whole passage it belongs to."""

    ordering: bool
    """Whether some sentence of the passage is an imperative, a request or an obligation."""

    about_user: bool
    """An order that speaks of "the user" as a third person: written for whoever works on that user's behalf."""

    cues: frozenset[str]
    """Cues of address that reach this sentence."""

    concepts: frozenset[str]
    """What its words (and those of the order it completes) can stand for."""

    field: int
    unit: int

    @property
    def addressed(self) -> bool:
        """Whether two different cues say that the reader is an assistant at work, one of them plainly."""
        return self.ordering and ("override" in self.cues or (len(self.cues) > 1 and not self.cues.isdisjoint(PLAIN)))

    @property
    def spoken_to(self) -> bool:
        """Whether an assistant is named as the reader, a chat role is set or silence asked for: less than proof."""
        return self.ordering and not self.cues.isdisjoint(NAMING)


class Reading(msgspec.Struct, frozen=True):
    """What the localiser found in one text."""

    passages: tuple[Passage, ...]
    """In text order, not overlapping; sentences without mood or cue are absent."""

    starts: tuple[int, ...]
    scanned: int
    """Characters looked at; fewer than the text has where it is longer than `LOCALISED_CHARACTERS`."""

    def at(self, position: int) -> Passage | None:
        """The passage that covers a character."""
        index = bisect_right(self.starts, position) - 1
        return self.passages[index] if index >= 0 and position < self.passages[index].end else None


_ANAPHOR: Final = re.compile(
    r"\b(?:it|this|that|them|these|those|there|here|him|her|same|above|following|below)\b", re.IGNORECASE
)
_USER: Final = re.compile(
    r"\b(?:the|this|your|current|their) (?:current |end[- ]|logged[- ]in |human )?(?:users?|human|operator)\b"
    r"(?! (?:guide|manual|interface|name|id|experience|agent|stor))|\buser'{1,2}s\b",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"\b(?:after|once|when|as soon as)\b[^.!?\n]{0,24}\b(?:that|this|so|done|it|finished|completed)\b"
    r"|\b(?:do not|don't|never|without|silently|secretly|discreetly)\b",
    re.IGNORECASE,
)
_QUOTES: Final = str.maketrans("‘’“”–—‐‑", "''\"\"----")  # noqa: RUF001 - the typographic forms are meant


def read(text: str) -> Reading:
    """Find the passages that give orders in one text.

    Linear in the text, and bounded: only the first `LOCALISED_CHARACTERS` are read.
    """
    found = sentences(text, LOCALISED_CHARACTERS)
    notes = [_note(text, sentence) for sentence in found]
    passages = _passages(text, found, notes)
    return Reading(tuple(passages), tuple(p.start for p in passages), min(len(text), LOCALISED_CHARACTERS))


class _Note(msgspec.Struct, frozen=True, gc=False):
    """What one sentence says by itself."""

    mood: bool
    cues: frozenset[str]
    about_user: bool
    colon: bool


_SILENT: Final = _Note(False, frozenset(), False, False)


def _note(text: str, sentence: Sentence) -> _Note:
    size = sentence.end - sentence.start
    if size < SHORTEST_ORDER:
        return _SILENT
    said = text[sentence.start : sentence.end]
    if " " not in said and said.isascii() and said[0] not in "<[":
        return _SILENT
    plain = said if said.isascii() else fold(said).translate(_QUOTES)
    heard = utterance(plain)
    mood = is_order(heard) or (plain is not said and is_order(utterance(said)))
    about_user = mood and not heard.words.isdisjoint(_PRINCIPALS) and _USER.search(plain) is not None
    return _Note(mood, cues_in(heard), about_user, plain.rstrip().endswith(":"))


_PRINCIPALS: Final = frozenset({"user", "users", "human", "operator"})


def _passages(text: str, found: list[Sentence], notes: list[_Note]) -> list[Passage]:
    passages: list[Passage] = []
    index, count = 0, len(found)
    while index < count:
        if not (notes[index].mood or notes[index].cues):
            index += 1
            continue
        last = index
        while last + 1 < count and _linked(text, found, notes, last):
            last += 1
        first = index
        if first > 0 and _leans_back(text, found, notes, first):
            first -= 1
        passages += _members(text, found, notes, first, last)
        index = last + 1
    return passages


def _linked(text: str, found: list[Sentence], notes: list[_Note], at: int) -> bool:
    """Whether the sentence after `at` belongs to the same passage."""
    here, there, note, following = found[at], found[at + 1], notes[at], notes[at + 1]
    if here.field != there.field or here.block != there.block:
        return False
    active = following.mood or bool(following.cues)
    if here.block >= 0:
        return active or note.mood or bool(note.cues)
    if note.colon:
        return there.unit - here.unit <= 1 or following.mood
    if here.unit != there.unit:
        # Across paragraphs only a preamble that gives no order itself, or address on both sides, carries on.
        return there.unit == here.unit + 1 and bool(note.cues) and active and (bool(following.cues) or not note.mood)
    return active or (note.mood and _completes(text, here, there))


def _completes(text: str, order: Sentence, other: Sentence) -> bool:
    """Whether a declarative sentence supplies the value that the order before it lacks, or repeats its value."""
    said, told = text[order.start : order.end], text[other.start : other.end]
    if told.count(" ") >= COMPLETION_WORDS:
        return False
    if not has_value(told):
        return False
    return not has_value(said) or any(value in said for value in VALUE.findall(told))


def _leans_back(text: str, found: list[Sentence], notes: list[_Note], at: int) -> bool:
    """Whether an order points back ("send it there") at a value that the sentence before it states."""
    before, order = found[at - 1], found[at]
    if before.unit != order.unit or not notes[at].mood:
        return False
    said, told = text[order.start : order.end], text[before.start : before.end]
    return (
        told.count(" ") < COMPLETION_WORDS
        and not has_value(said)
        and _ANAPHOR.search(said) is not None
        and has_value(told)
    )


def _over(text: str, order: Sentence, note: _Note, following: Sentence) -> bool:
    """Whether an order is complete where its line ends: what the next line says need not be to the same reader."""
    line = "\n" in text[order.end : following.start] or text[order.end - 1 : order.end] == "\n"
    return line and order.block < 0 and _complete(text, order, note)


def _extent(found: list[Sentence], first: int, last: int) -> tuple[int, int]:
    """From where to where a passage reaches: all of the wrapped block it fills for the most part, else its own."""
    start, end = found[first].start, found[last].end
    block = found[first].block
    if block < 0:
        return start, end
    most = 2 * (end - start)
    while first > 0 and found[first - 1].block == block and end - found[first].start <= most:
        first -= 1
    while last + 1 < len(found) and found[last + 1].block == block and found[last].end - found[first].start <= most:
        last += 1
    whole = found[first].start, found[last].end
    return whole if whole[1] - whole[0] <= most else (start, end)


def _closes(text: str, sentence: Sentence, note: _Note) -> bool:
    """Whether a sentence speaks of the order before it ("after that, ...", "do not tell him"), not of its own."""
    if not note.cues or _complete(text, sentence, note):
        return False
    return _CLOSING.search(text, sentence.start, sentence.end) is not None


def _complete(text: str, sentence: Sentence, note: _Note) -> bool:
    """Whether a sentence is an order of its own, with its value: then its address is not about the one before."""
    return note.mood and has_value(text, sentence.start, sentence.end)


def _members(text: str, found: list[Sentence], notes: list[_Note], first: int, last: int) -> list[Passage]:
    """The sentences of one passage. Cues reach forward through it, and back by one sentence."""
    ordering = any(notes[at].mood for at in range(first, last + 1))
    start, end = _extent(found, first, last)
    reached: frozenset[str] = frozenset()
    members: list[Passage] = []
    parent, about_user = frozenset[str](), False
    for at in range(first, last + 1):
        note, sentence = notes[at], found[at]
        if at > first and not note.cues and _over(text, found[at - 1], notes[at - 1], sentence):
            reached = frozenset()
        reached |= note.cues
        cues: frozenset[str] = reached
        if at < last and _closes(text, found[at + 1], notes[at + 1]):
            cues = reached | notes[at + 1].cues
        concepts = lexicon.content_concepts(text[sentence.start : sentence.end])
        if note.mood:
            parent, about_user = concepts, note.about_user
        members.append(
            Passage(
                sentence.start,
                sentence.end,
                start,
                end,
                ordering,
                about_user,
                cues | {"user"} if about_user else cues,
                concepts | parent,
                sentence.field,
                sentence.unit,
            )
        )
    return members
