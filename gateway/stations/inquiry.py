"""Inquiry: the questions of several steps, asked together and answered once."""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.wire.memory import Recent
from policies.asking import Answer, Answers, Asker, Question

_BYTES: Final = 1 << 20
_OF_AN_ANSWER: Final = 400


class Inquiry:
    """Who answers, with the memory of one worker.

    The same question gets the same answer: whoever sends a step again, streamed or not, is not told otherwise. What
    got no answer is asked again.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._known: Recent[bytes, Answer] = Recent(_BYTES)

    async def answers(self, asked: Sequence[Sequence[Question]]) -> list[Answers]:
        """The answers to the questions of each step, by the number of their guard."""
        found = iter(await asyncio.gather(*[self._answer(each) for questions in asked for each in questions]))
        return [{question.number: next(found) for question in questions} for questions in asked]

    async def _answer(self, question: Question) -> Answer:
        digest = question.digest()
        known = self._known.get(digest)
        if known is not None:
            return known
        answer = await self._asker.ask(question)
        if answer.failure is None:
            self._known.put(digest, answer, _OF_AN_ANSWER * (1 + len(answer.hits)))
        return answer
