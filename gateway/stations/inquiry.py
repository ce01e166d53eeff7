"""Inquiry: the questions of several steps, asked together and answered once."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.wire.memory import Recent
from policies.asking import NOT_ASKED, Answer, Answers, Asker, Asking, Question
from policies.guards.judge import Case, Charge
from policies.vocabulary.facts import Facts

_BYTES: Final = 1 << 20
_OF_AN_ANSWER: Final = 400


class Judge(Protocol):
    """Whoever puts proposed steps to the gate."""

    async def judge(self, case: Case) -> Sequence[Answer]:
        """An answer for each charge, in order; never raises but when it is cancelled."""
        ...


class NoJudge:
    """The gate where there is nobody to ask."""

    async def judge(self, case: Case) -> Sequence[Answer]:
        """No answer."""
        return [Answer(failure=NOT_ASKED) for _ in case.charges]


class Inquiry:
    """Who answers, with the memory of one worker.

    The same question gets the same answer: whoever sends a step again, streamed or not, is not told otherwise. What
    got no answer is asked again.
    """

    def __init__(self, asker: Asker, judge: Judge) -> None:
        self._asker = asker
        self._judge = judge
        self._known: Recent[bytes, Answer] = Recent(_BYTES)

    async def answers(self, asked: Sequence[Sequence[Question]], asking: Asking) -> list[Answers]:
        """The answers to the questions of each step, by the number of their guard; on whose account is told along."""
        return list(await asyncio.gather(*[self._of_step(questions, asking) for questions in asked]))

    async def _of_step(self, questions: Sequence[Question], asking: Asking) -> Answers:
        digests = {question.number: question.digest() for question in questions}
        found = {number: answer for number, digest in digests.items() if (answer := self._known.get(digest))}
        left = [question for question in questions if question.number not in found]
        charged = [question for question in left if isinstance(question.spec, Charge)]
        others = [question for question in left if not isinstance(question.spec, Charge)]
        judged, answers = await asyncio.gather(
            self._judged(charged, asking), asyncio.gather(*[self._asker.ask(question) for question in others])
        )
        numbers = [question.number for question in (*charged, *others)]
        fresh = dict(zip(numbers, (*judged, *answers), strict=True))
        for number, answer in fresh.items():
            if answer.failure is None:
                self._known.put(digests[number], answer, _OF_AN_ANSWER * (1 + len(answer.hits)))
        return found | fresh

    async def _judged(self, questions: Sequence[Question], asking: Asking) -> Sequence[Answer]:
        """What the gate says; all questions of a step show it the same."""
        charges = tuple([question.spec for question in questions if isinstance(question.spec, Charge)])
        if not charges:
            return ()
        scene, facts = questions[0].scene, questions[0].facts
        return await self._judge.judge(Case(charges=charges, scene=scene, facts=facts or Facts(), asking=asking))
