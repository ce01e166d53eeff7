"""The critic: one question to the model, a short word first and reasons only where that is not ok.

An answer that is none is asked for once more; a second one that is none is an error, never an ok.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from policies.vocabulary.critiques import Consumed, Label, Opinion, Quote, View
from policies.vocabulary.findings import Score
from policies.vocabulary.supervisor_calls import Purpose
from supervisors.caller import Caller, Errand, Unserved
from supervisors.critics.answers import Malformed, Said, read_critique, read_word
from supervisors.critics.appeals import appeals
from supervisors.critics.fences import Exhibit
from supervisors.critics.prompt import Matter, critique_prompt, word_prompt
from supervisors.models.interface import Completion, Prompt

T = TypeVar("T")

_DOUBT: Final[Score] = 50
"""What an opinion counts at least that was asked for by the step it is about."""

_APPEALED: Final = "The step speaks to whoever judges it."


class Critic:
    """What became of the calls about one matter; `calls` holds what they took, whatever they ended in."""

    def __init__(self, caller: Caller, errand: Errand, *, left: Callable[[], float]) -> None:
        """`errand` is on whose account; `left` gives the seconds there are for the next answer."""
        self._caller = caller
        self._errand = errand
        self._left = left
        self.calls: list[Consumed] = []

    async def said(self, matter: Matter) -> Said:
        """A word, and where that is not ok a critique. Raises `Unserved` or `Malformed`.

        Where a new step speaks to its judge, the word alone would not do, and no opinion is plainly ok.
        """
        spoken = await asyncio.to_thread(_speaking, matter)  # long steps take their time to be looked through
        if not spoken and await self.word(matter) == "ok":
            names = sorted({charge.clause for charge in matter.charges})
            return Said(opinions=tuple([Opinion(clause=name, label="ok", score=0) for name in names]))
        said = await self.critique(matter)
        opinions = [_doubted(opinion, spoken) for opinion in said.opinions]
        return msgspec.structs.replace(said, opinions=tuple(opinions))

    async def word(self, matter: Matter) -> Label:
        """The word alone. Raises `Unserved` or `Malformed`."""
        return await self._answer(word_prompt(matter), self._errand, read_word)

    async def critique(self, matter: Matter, view: View = "policy") -> Said:
        """A critique, its quotes found where it says. Raises `Unserved` or `Malformed`."""
        asked = [step.name for step in _new(matter)]
        shown = (*matter.history, *matter.steps)
        purpose: Purpose = "critique" if self._errand.purpose == "word" else self._errand.purpose
        errand = msgspec.structs.replace(self._errand, purpose=purpose, view=view)
        return await self._answer(
            critique_prompt(matter, view), errand, lambda answer: read_critique(answer, matter.charges, shown, asked)
        )

    async def _answer(self, prompt: Prompt, errand: Errand, read: Callable[[Completion], T]) -> T:
        try:
            return read(await self._complete(prompt, errand))
        except Malformed as malformed:
            if malformed.why == "refused":
                raise
        return read(await self._complete(prompt, errand))

    async def _complete(self, prompt: Prompt, errand: Errand) -> Completion:
        left = self._left()
        if left <= 0:
            raise Unserved("timed_out")
        answered = await self._caller.complete(prompt, errand, seconds=left)
        self.calls.append(answered.consumed)
        return answered.completion


def _new(matter: Matter) -> list[Exhibit]:
    """The steps that are asked about."""
    return [step for step in matter.steps if step.name not in matter.context]


def _speaking(matter: Matter) -> list[Quote]:
    """Where new steps speak to their judge."""
    return [
        Quote(step_id=step.step_id, start=evidence.start, end=evidence.end)
        for step in _new(matter)
        for hit in appeals(step.text)
        for evidence in hit.evidence
    ]


def _doubted(opinion: Opinion, spoken: Sequence[Quote]) -> Opinion:
    """An opinion where steps speak to the judge: not plainly ok."""
    if not spoken or opinion.label != "ok":
        return opinion
    return msgspec.structs.replace(
        opinion, label="unsure", score=max(opinion.score, _DOUBT), quotes=tuple(spoken), feedback=_APPEALED
    )
