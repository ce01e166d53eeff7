"""The critic: one question to the model, a short word first and reasons only where that is not ok.

Critical clauses are looked at from three views at the same time, and the worst counts. An answer that is none is asked
for once more; a second one that is none is an error, never an ok.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from policies.guards.judge import Charge
from policies.vocabulary.critiques import VIEWS, Consumed, Label, Opinion, Quote, View
from policies.vocabulary.findings import Score
from policies.vocabulary.supervisor_calls import Purpose
from supervisors.caller import Caller, Errand, Unserved
from supervisors.critics.answers import Malformed, Said, read_critique, read_word
from supervisors.critics.appeals import appeals
from supervisors.critics.fences import Exhibit
from supervisors.critics.prompt import Matter, critique_prompt, word_prompt
from supervisors.models.interface import Completion, Prompt

T = TypeVar("T")

UNSURE: Final[Score] = 50
"""What a view counts that gave no answer while another did, and an opinion that the step it is about asked for."""

_APPEALED: Final = "The step speaks to whoever judges it."


class Opined(msgspec.Struct, frozen=True, kw_only=True):
    """What one view said, with what it took; `failed` where it said nothing."""

    view: View
    charges: tuple[Charge, ...]
    """What it was asked about."""

    said: Said | None = None
    failed: Unserved | Malformed | None = None
    calls: tuple[Consumed, ...] = ()

    @property
    def failure(self) -> str | None:
        """Why it said nothing, in the words that are recorded."""
        return None if self.failed is None else self.failed.failure


class Critic:
    """What became of the calls about one matter; `calls` holds what they took, whatever they ended in."""

    def __init__(self, caller: Caller, errand: Errand, *, left: Callable[[], float]) -> None:
        """`errand` is on whose account; `left` gives the seconds there are for the next answer."""
        self._caller = caller
        self._errand = errand
        self._left = left
        self.calls: list[Consumed] = []

    async def said(self, matter: Matter) -> Said:
        """A word, and where that is not ok the worst of what all views say. Raises `Unserved` or `Malformed`.

        Where a new step speaks to its judge, the word alone would not do, and no opinion is plainly ok.
        """
        spoken = await asyncio.to_thread(_speaking, matter)  # long steps take their time to be looked through
        if not spoken and await self.word(matter) == "ok":
            names = sorted({charge.clause for charge in matter.charges})
            return Said(opinions=tuple([Opinion(clause=name, label="ok", score=0) for name in names]))
        said = _worst(await self.views(matter))
        opinions = [_doubted(opinion, spoken) for opinion in said.opinions]
        return msgspec.structs.replace(said, opinions=tuple(opinions))

    async def word(self, matter: Matter) -> Label:
        """The word alone. Raises `Unserved` or `Malformed`."""
        return await self._answer(word_prompt(matter), self._errand, read_word)

    async def views(self, matter: Matter) -> tuple[Opined, ...]:
        """What every view says that the clauses call for, asked at the same time; the first is of all clauses."""
        critical = tuple([charge for charge in matter.charges if charge.severity == "critical"])
        narrowed = msgspec.structs.replace(matter, charges=critical)
        views = VIEWS if critical else VIEWS[:1]
        asked = zip(views, [matter, narrowed, narrowed], strict=False)
        return tuple(await asyncio.gather(*[self._view(view, each) for view, each in asked]))

    async def _view(self, view: View, matter: Matter) -> Opined:
        errand = msgspec.structs.replace(self._errand, clauses=tuple([charge.clause for charge in matter.charges]))
        critic = Critic(self._caller, errand, left=self._left)
        said: Said | None = None
        failed: Unserved | Malformed | None = None
        try:
            said = await critic.critique(matter, view)
        except (Unserved, Malformed) as error:
            failed = error
        self.calls += critic.calls
        return Opined(view=view, charges=tuple(matter.charges), said=said, failed=failed, calls=tuple(critic.calls))

    async def critique(self, matter: Matter, view: View = "policy") -> Said:
        """A critique, its quotes found where it says. Raises `Unserved` or `Malformed`."""
        asked = [step.name for step in _new(matter)]
        shown = (*matter.history, *matter.steps)
        purpose: Purpose = "critique" if self._errand.purpose == "word" else self._errand.purpose
        errand = msgspec.structs.replace(self._errand, purpose=purpose, view=view)
        said = await self._answer(
            critique_prompt(matter, view), errand, lambda answer: read_critique(answer, matter.charges, shown, asked)
        )
        return msgspec.structs.replace(
            said, opinions=tuple([msgspec.structs.replace(each, view=view) for each in said.opinions])
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


def _worst(opined: Sequence[Opined]) -> Said:
    """One opinion for each clause: the worst of all views, where one that is missing is unsure.

    Raises what kept the first view from an answer: without it there are clauses that nobody looked at.
    """
    first = opined[0]
    if first.said is None:
        raise first.failed or Malformed("empty")
    said = [(each, opinion) for each in opined for opinion in _opinions(each)]
    names = [opinion.clause for opinion in first.said.opinions]
    worst = [max([pair for pair in said if pair[1].clause == name], key=_how_bad) for name in names]
    blaming = max(worst, key=_how_bad)[0].said or first.said
    return Said(opinions=tuple([opinion for _, opinion in worst]), blamed=blaming.blamed)


def _how_bad(pair: tuple[Opined, Opinion]) -> tuple[bool, Score]:
    return pair[1].label != "ok", pair[1].score


def _opinions(opined: Opined) -> Sequence[Opinion]:
    """What a view says; of a view that says nothing, that it cannot tell of the clauses it was asked about."""
    if opined.said is not None:
        return opined.said.opinions
    missing = f"The {opined.view} view gave no answer ({opined.failure})."
    return [
        Opinion(clause=charge.clause, label="unsure", score=UNSURE, feedback=missing, view=opined.view)
        for charge in opined.charges
    ]


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
        opinion, label="unsure", score=max(opinion.score, UNSURE), quotes=tuple(spoken), feedback=_APPEALED
    )
