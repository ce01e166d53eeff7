"""What is kept back from optimizers: no episode of it reaches one, and its words are known apart from what it saw."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.contents import Reach
from gateway.optimizing import run
from gateway.optimizing.errands import AppErrand, Errand, Past
from gateway.optimizing.run import Workshop
from policies.copies import shingles
from policies.gate.memory import Memory
from policies.gate.trials import Ground
from policies.replay import Replay
from policies.vocabulary.episodes import Episode
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.steps import Part
from supervisors.optimizers.interface import Ideas, Task
from supervisors.optimizers.model import Spending
from tests.unit.policies.revised import parameters

EPISODES = tuple(
    [
        Episode(
            episode_id=f"s{at}", app="shop", group=f"s{at}", principal="k", at_ns=at,
            steps=(Part(kind="user_input", text=f"ship box number {at} to Leeds"),),
            bad=frozenset({0} if at % 2 else ()),
        )
        for at in range(40)
    ]
)  # fmt: skip


class Recorded:
    """A record in which these episodes are all there is."""

    def of(self, *_: object, **__: object) -> Sequence[Episode]:
        return EPISODES


class Office:
    """An office where nothing happened yet."""

    def past(self, app: str) -> Past:
        del app
        return Past(memory=Memory(), waiting=frozenset(), attempts=0, first=True, newest=0)


class Curious:
    """An optimizer that notes all it is given."""

    name = "curious"

    def __init__(self, given: list[Task]) -> None:
        self._given = given

    def propose(self, task: Task) -> Ideas:
        self._given.append(task)
        return Ideas()


def test_no_optimizer_is_given_an_episode_of_the_hold_out(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Task] = []
    monkeypatch.setattr(run, "OPTIMIZERS", (lambda: Curious(given),))
    errand = Errand(
        run=b"r" * 16, directory="", last=0, reach=Reach(),
        apps=(AppErrand(app="shop", parameters=parameters(), salt="s", instructs=False),),
        dry=True, ask=(), gate=GateSettings(), share=0.4, spending=Spending(), seconds=60, words=50,
    )  # fmt: skip
    recorded: Any = Recorded()
    office: Any = Office()
    made = Workshop(recorded, office, errand).run(errand.apps[0], progress=lambda *_: None, rest=lambda: None)
    shown = {episode.episode_id for task in given for episode in task.dev.episodes}
    assert 8 <= made.kept_back <= 24
    assert (made.episodes, len(shown)) == (40, 40 - made.kept_back)


def test_words_of_the_hold_out_are_those_that_stand_nowhere_else() -> None:
    dev, kept = EPISODES[:2], EPISODES[1:3]
    texts = [[each.steps[0].text for each in side] for side in (dev, kept)]
    shown, alone = Ground(Replay(dev), Replay(kept), parameters()).words(3)
    assert shown == shingles(texts[0], 3)
    assert alone == shingles(texts[1], 3) - shown
    assert alone
