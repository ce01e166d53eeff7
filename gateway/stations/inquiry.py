"""Inquiry: the questions of several steps, asked together and answered once."""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.wire.memory import Recent
from policies.asking import Answer, Answers, Asker, Asking, Question
from policies.guards.judge import Judge, put

_BYTES: Final = 1 << 20
_OF_AN_ANSWER: Final = 400


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
        fresh = await put(left, self._judge, self._asker, asking)
        for number, answer in fresh.items():
            if answer.failure is None:
                self._known.put(digests[number], answer, _OF_AN_ANSWER * (1 + len(answer.hits)))
        return {**found, **fresh}
