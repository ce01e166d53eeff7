"""The effect of edits on the episodes an optimizer may see."""

from collections.abc import Iterable

import msgspec

from policies.parameters import EditRefused, apply
from policies.statistics import rate_at_most
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import Edit
from supervisors.optimizers.interface import Task


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What edits change for the better and for the worse."""

    mended: tuple[Episode, ...]
    """Episodes that are judged rightly by it, and were not before."""

    spoilt: tuple[Episode, ...]
    """The other way round."""

    honest: int
    """How many groups of honest episodes there are."""

    @property
    def gain(self) -> int:
        """Episodes won less episodes lost."""
        return len(self.mended) - len(self.spoilt)

    @property
    def disturbed(self) -> int:
        """Groups of honest episodes it would disturb for the first time."""
        return len({episode.group for episode in self.spoilt if episode.honest})

    def within(self, budget: float) -> bool:
        """Whether it disturbs so little honest work that the budget is kept, at worst; or none at all."""
        return not self.disturbed or rate_at_most(self.disturbed, self.honest) <= budget


def effect(task: Task, edits: Iterable[Edit]) -> Effect | None:
    """What the edits come to; None where they cannot be applied."""
    try:
        child = apply(task.parameters, edits)
    except EditRefused:
        return None
    before, after = task.dev.rights(task.parameters), task.dev.rights(child)
    triples = list(zip(task.dev.episodes, before, after, strict=True))
    return Effect(
        mended=tuple([episode for episode, was, now in triples if now and not was]),
        spoilt=tuple([episode for episode, was, now in triples if was and not now]),
        honest=len({episode.group for episode in task.dev.episodes if episode.honest}),
    )


def unstopped(task: Task) -> list[Episode]:
    """Violating episodes that nothing stopped in time."""
    pairs = zip(task.dev.episodes, task.dev.rights(task.parameters), strict=True)
    return [episode for episode, right in pairs if not right and not episode.honest]


def tool_of(episode: Episode) -> str:
    """The tool of the first step of a violating episode that should not have been; empty where that is no call."""
    return episode.steps[min(episode.bad)].tool or ""
