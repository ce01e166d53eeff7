"""What every optimizer is given, and what it may answer: typed edits within a budget, never anything else."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from policies.gate.memory import Memory
from policies.replay import Replay
from policies.vocabulary.clauses import Clause
from policies.vocabulary.episodes import Episode
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.revisions import Edit, Parameters, Proposal, Support
from policies.vocabulary.signals import Signal


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What an optimizer works on."""

    parameters: Parameters
    """What is in force."""

    dev: Replay
    """The episodes it may see; the others are not in here."""

    signals: tuple[Signal, ...] = ()
    """What was said of steps of these episodes."""

    library: Mapping[str, Clause] = {}
    """Clauses that people wrote, by `policy/clause`, to pick from."""

    memory: Memory = Memory()
    settings: GateSettings = GateSettings()
    seed: int = 0
    now_ns: int = 0


class Optimizer(Protocol):
    """Proposes changes."""

    @property
    def name(self) -> str:
        """As it stands in a proposal's author: `optimizer:NAME`."""
        ...

    def propose(self, task: Task) -> tuple[Proposal, ...]:
        """Changes worth a try, the best first; none where it knows of none. The same task gives the same answer."""
        ...


def suggest(
    optimizer: Optimizer, task: Task, edits: Iterable[Edit], *, support: Support, why: str, confirm: bool = False
) -> Proposal:
    """A proposal of an optimizer."""
    return Proposal(
        app=task.parameters.app,
        parent=task.parameters.digest,
        author=f"optimizer:{optimizer.name}",
        edits=tuple(edits),
        support=support,
        why=why,
        confirm=confirm,
        at_ns=task.now_ns,
    )


def behind(episodes: Iterable[Episode]) -> Support:
    """Who stands behind what some episodes show."""
    chosen = list(episodes)
    return Support(
        sessions=tuple(sorted({episode.episode_id for episode in chosen})),
        principals=tuple(sorted({episode.principal for episode in chosen})),
    )
