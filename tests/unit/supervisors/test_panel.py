"""The panel lets go of adapters that no clause asks any more, once they have answered."""

import asyncio
from typing import Any

import msgspec

from policies.asking import Answer, Question
from policies.trail import Scene
from policies.vocabulary.steps import Part
from supervisors.panel import Panel


class Spec(msgspec.Struct, frozen=True):
    name: str


class Slow:
    """An adapter that answers when it is told to."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.closed = False

    async def ask(self, scene: Scene) -> Answer:
        del scene
        assert not self.closed
        self.asked.set()
        await self.may_answer.wait()
        return Answer(failure="deadline")

    async def close(self) -> None:
        self.closed = True


class Made:
    """A panel and every adapter it made, in order."""

    def __init__(self) -> None:
        self.adapters: list[Slow] = []
        self.made = asyncio.Event()
        self.panel = Panel(lambda: {Spec: self._make})

    def _make(self, spec: Any) -> Slow:
        self.adapters.append(Slow(spec))
        self.made.set()
        return self.adapters[-1]


def question(spec: Spec) -> Question:
    return Question(number=0, spec=spec, scene=Scene(step=Part(kind="model_text", text="x")))


def test_adapters_of_removed_clauses_are_closed_and_the_others_stay() -> None:
    async def changed() -> None:
        made = Made()
        made.panel.expect([Spec("stays"), Spec("goes")])
        await made.panel.keep([Spec("stays"), Spec("new")])
        assert [each.closed for each in made.adapters] == [False, True]
        made.panel.expect([Spec("stays"), Spec("new")])
        assert [each.spec.name for each in made.adapters] == ["stays", "goes", "new"]

    asyncio.run(changed())


def test_one_that_is_being_asked_answers_first_and_a_late_question_leaves_nothing_open() -> None:
    async def changed() -> None:
        made = Made()
        asking = asyncio.create_task(made.panel.ask(question(Spec("goes"))))
        await made.made.wait()
        first = made.adapters[0]
        await first.asked.wait()
        await made.panel.keep([])
        assert not first.closed
        first.may_answer.set()
        assert (await asking).failure == "deadline"
        assert first.closed
        made.made.clear()
        late = asyncio.create_task(made.panel.ask(question(Spec("goes"))))
        await made.made.wait()
        made.adapters[1].may_answer.set()
        await late
        assert made.adapters[1].closed

    asyncio.run(changed())
