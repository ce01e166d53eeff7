"""Trials by replay: what guards do to recorded episodes, which needs no model and gives the same answer every time."""

from collections.abc import Sequence
from typing import Final

from policies.copies import Shingles, shingles
from policies.examples import parts_of
from policies.gate.case import Opinion, Pair
from policies.replay import Replay
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import Parameters


class Ground:
    """The episodes of one split, and what no change may lose."""

    def __init__(self, dev: Replay, holdout: Replay, base: Parameters) -> None:
        """`base`: the parameters whose examples are anchors, beside the episodes that are marked."""
        self.dev: Final = dev
        self.holdout: Final = holdout
        marked = [episode for side in (dev, holdout) for episode in side.episodes if episode.anchor]
        self.anchors: Final = Replay([*_decided(base), *marked])
        self._words: dict[int, tuple[Shingles, Shingles]] = {}

    def words(self, longest: int) -> tuple[Shingles, Shingles]:
        """Runs of `longest` words that an optimizer may see, and those that stand in the hold-out alone."""
        if longest not in self._words:
            shown, kept = (
                shingles((step.text for episode in side.episodes for step in episode.steps), longest)
                for side in (self.dev, self.holdout)
            )
            self._words[longest] = shown, kept - shown
        return self._words[longest]


class ReplayTrials:
    """One candidate held against one ground."""

    def __init__(self, ground: Ground, parent: Parameters, child: Parameters) -> None:
        self._ground = ground
        self._parent = parent
        self._child = child

    def headroom(self) -> tuple[int, int]:
        """Episodes that are judged wrongly now, and all of them; of those an optimizer may see."""
        rights = self._ground.dev.rights(self._parent)
        return rights.count(False), len(rights)

    def minibatch(self) -> Sequence[Pair]:
        """All that an optimizer may see: replaying it costs little."""
        return self._pairs(self._ground.dev)

    def holdout(self) -> Sequence[Pair]:
        """What was kept back."""
        return self._pairs(self._ground.holdout)

    def anchors(self) -> Sequence[Pair]:
        """Marked episodes, and every example that a person decided."""
        return self._pairs(self._ground.anchors)

    def honest(self) -> Sequence[Pair]:
        """The honest episodes of both sides."""
        sides = (self._ground.dev, self._ground.holdout)
        return [pair for side in sides for pair in self._pairs(side, honest=True)]

    def second(self) -> Sequence[Opinion] | None:
        """None: the replay is held against what people said of these very steps."""
        return None

    def _pairs(self, replay: Replay, *, honest: bool = False) -> list[Pair]:
        triples = zip(replay.episodes, replay.rights(self._parent), replay.rights(self._child), strict=True)
        return [
            Pair(item=episode.episode_id, before=float(before), after=float(after), group=episode.group)
            for episode, before, after in triples
            if episode.honest or not honest
        ]


def _decided(base: Parameters) -> list[Episode]:
    """Every example of the policies as an episode of its own."""
    found: list[Episode] = []
    for policy in base.policies:
        for clause in policy.clause:
            for place, example in enumerate(clause.example):
                steps = tuple(parts_of(example))
                name = f"{policy.policy.id}/{clause.id}#{place}"
                bad = frozenset({len(steps) - 1}) if example.expect == "violation" else frozenset[int]()
                found.append(
                    Episode(
                        episode_id=name, app=base.app, group=name, principal="author", at_ns=0, steps=steps, bad=bad
                    )
                )
    return found
