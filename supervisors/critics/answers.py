"""Answers: what a model said, as far as it can be believed. An answer is hostile until it has been read here.

Whatever does not fit is `Malformed` as a whole: no part of it is kept, and nothing that is missing passes for ok.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from policies.guards.judge import Charge
from policies.trail import utf8
from policies.vocabulary.critiques import Blame, ComponentKind, Label, Opinion, Quote
from policies.vocabulary.findings import Score
from supervisors.adapters.excerpt import one_line
from supervisors.critics.fences import Exhibit, word
from supervisors.models.interface import Completion

MOST_CHARACTERS: Final = 64 * 1024
"""Of an answer; a longer one is none."""

_LONGEST_FEEDBACK: Final = 2000
_LONGEST_WORD: Final = 32
_SECOND_LOOK: Final = 50
"""The anchor between `ok` and `violation`."""

_WORDS: Final[Mapping[str, Label]] = {"ok": "ok", "unsure": "unsure", "violation": "violation"}


_NO_ANSWER: Final = frozenset({"refused", "cut_off", "empty"})


class Malformed(Exception):
    """An answer that is none; `why` is a low-cardinality word.

    `refused cut_off empty no_word no_json clauses labels quotes steps blame`
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    @property
    def failure(self) -> str:
        """Why there is no answer, in the words that are recorded."""
        return f"answer_{self.why}" if self.why in _NO_ANSWER else "answer_malformed"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a critique says, checked against what was shown."""

    opinions: tuple[Opinion, ...]
    """One for each charge, in the order of clause names."""

    blamed: tuple[Blame, ...] = ()


class _Quote(msgspec.Struct, frozen=True):
    step: str
    text: Annotated[str, Meta(min_length=1, max_length=4096)]


class _Opinion(msgspec.Struct, frozen=True):
    clause: str
    label: Label
    score: Score
    quotes: Annotated[tuple[_Quote, ...], Meta(max_length=32)]
    first_bad_step: str | None
    feedback: str


class _Blame(msgspec.Struct, frozen=True):
    component: ComponentKind
    name: str
    rank: Annotated[int, Meta(ge=1, le=64)]


class _Critique(msgspec.Struct, frozen=True):
    opinions: Annotated[tuple[_Opinion, ...], Meta(max_length=256)]
    blamed: Annotated[tuple[_Blame, ...], Meta(max_length=16)]


def read_word(completion: Completion) -> Label:
    """The one word. Raises `Malformed`."""
    text = _text(completion).strip()
    label = _WORDS.get(text.casefold().rstrip(".")) if len(text) <= _LONGEST_WORD else None
    if label is None:
        raise Malformed("no_word")
    return label


def read_critique(
    completion: Completion, charges: Collection[Charge], shown: Iterable[Exhibit], asked: Collection[str]
) -> Said:
    """The critique: one opinion for each charge, every quote found where it is said to stand.

    `shown` is every step the model saw, `asked` the names of the new ones. Quotes of steps that have no id and are not
    asked about are checked and left out, since nothing could point to them. Raises `Malformed`.
    """
    try:
        critique = msgspec.json.decode(_text(completion), type=_Critique)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed("no_json") from None
    names = sorted({charge.clause for charge in charges})
    if sorted([opinion.clause for opinion in critique.opinions]) != names:
        raise Malformed("clauses")
    exhibits = {step.name: step for step in shown}
    opinions = [_opinion(opinion, exhibits, asked) for opinion in critique.opinions]
    return Said(
        opinions=tuple(sorted(opinions, key=lambda opinion: opinion.clause)),
        blamed=_blamed(critique.blamed, exhibits),
    )


def _text(completion: Completion) -> str:
    """The text of a whole answer. Raises `Malformed`."""
    if completion.stop == "refused":
        raise Malformed("refused")
    if completion.stop == "length" or len(completion.text) > MOST_CHARACTERS:
        raise Malformed("cut_off")
    if not completion.text.strip():
        raise Malformed("empty")
    return completion.text


def _opinion(said: _Opinion, exhibits: Mapping[str, Exhibit], asked: Collection[str]) -> Opinion:
    fits = {"ok": said.score < _SECOND_LOOK, "violation": said.score >= _SECOND_LOOK, "unsure": True}
    if not fits[said.label]:
        raise Malformed("labels")
    if said.label == "violation" and not said.quotes:
        raise Malformed("quotes")
    quotes = [_quote(quote, exhibits) for quote in said.quotes]
    kept = [quote for name, quote in quotes if quote.step_id or name in asked]
    return Opinion(
        clause=said.clause,
        label=said.label,
        score=said.score,
        quotes=tuple(dict.fromkeys(kept)),
        first_bad_step=_first_bad(said, exhibits),
        feedback=one_line(said.feedback, _LONGEST_FEEDBACK),
    )


def _quote(said: _Quote, exhibits: Mapping[str, Exhibit]) -> tuple[str, Quote]:
    """Where the quoted words stand. Raises `Malformed` where they do not."""
    step = exhibits.get(said.step)
    at = -1 if step is None else step.text.find(said.text)
    if step is None or at < 0:
        raise Malformed("quotes")
    start = len(utf8(step.text[:at]))
    return said.step, Quote(step_id=step.step_id, start=start, end=start + len(utf8(said.text)))


def _first_bad(said: _Opinion, exhibits: Mapping[str, Exhibit]) -> str | None:
    """The step id; None as well where the step has none yet, and is the only one that can be meant."""
    if said.first_bad_step is None or said.label == "ok":
        return None
    if said.first_bad_step not in exhibits:
        raise Malformed("steps")
    return exhibits[said.first_bad_step].step_id or None


def _blamed(said: Sequence[_Blame], exhibits: Mapping[str, Exhibit]) -> tuple[Blame, ...]:
    """By rank, ranks counted anew from 1. Raises `Malformed` where two things share one."""
    ranked = sorted(said, key=lambda blame: blame.rank)
    if len({blame.rank for blame in ranked}) != len(ranked):
        raise Malformed("blame")
    return tuple(
        [
            Blame(rank=rank, component=blame.component, name=_component(blame, exhibits))
            for rank, blame in enumerate(ranked, 1)
        ]
    )


def _component(blame: _Blame, exhibits: Mapping[str, Exhibit]) -> str:
    """The name of what is blamed: the step's id of an instruction, else a word fit to be shown."""
    if blame.component in ("model", "user") or not blame.name:
        return ""
    step = exhibits.get(blame.name)
    return step.step_id if step is not None else word(blame.name)
