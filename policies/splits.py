"""Splits: which episodes an optimizer may see, and which are kept from it to test what it proposes.

By group, never by row: near copies of one task stand on one side. By time: what is newer than the split was made is
kept back, so that a change is tested on what came after it as well. A split is content: it cannot be drawn again
unseen.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from blake3 import blake3
from msgspec import Meta

from policies.digests import digest
from policies.replay import Replay
from policies.vocabulary.episodes import Episode


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How episodes are told apart."""

    salt: str
    """Drawn once, kept from whoever proposes."""

    share: Annotated[float, Meta(gt=0, lt=1)] = 0.4
    """Of the groups of an app, that are kept back."""

    frozen_ns: int | None = None
    """Groups with an episode at or after this moment are kept back whole; None: time does not matter."""

    @property
    def digest(self) -> str:
        """Its name: attempts are counted against it."""
        return digest(self)

    def kept_back(self, app: str, group: str) -> bool:
        """Whether a group is kept back by lot."""
        drawn = int.from_bytes(blake3(f"{self.salt}\0{app}\0{group}".encode()).digest(length=8), "big")
        return drawn < self.share * (1 << 64)


class Halves(msgspec.Struct, frozen=True, kw_only=True):
    """The episodes on either side."""

    dev: tuple[Episode, ...]
    """What optimizers may see."""

    holdout: tuple[Episode, ...]


def divide(episodes: Iterable[Episode], split: Split) -> Halves:
    """Put every episode on its side."""
    every = tuple(episodes)
    late = {
        (episode.app, episode.group)
        for episode in every
        if split.frozen_ns is not None and episode.at_ns >= split.frozen_ns
    }
    back = {key for key in {(episode.app, episode.group) for episode in every} if key in late or split.kept_back(*key)}
    return Halves(
        dev=tuple([episode for episode in every if (episode.app, episode.group) not in back]),
        holdout=tuple([episode for episode in every if (episode.app, episode.group) in back]),
    )


def replays(episodes: Iterable[Episode], split: Split) -> tuple[Replay, Replay]:
    """Both sides, ready to be judged; they share nothing, so that nothing of one can be read off the other."""
    halves = divide(episodes, split)
    return Replay(halves.dev), Replay(halves.holdout)
