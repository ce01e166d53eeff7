"""What every optimizer is given, and what it may answer: typed edits within a budget, never anything else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from policies.gate.memory import Memory
from policies.replay import Replay
from policies.vocabulary.clauses import Clause
from policies.vocabulary.episodes import Episode
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.revisions import Aim, Choice, Edit, Parameters, Proposal, Support

FailureWhy: TypeAlias = Literal["model_failed", "not_typed", "no_edits", "wrong_component", "budget_spent"]

Scorer: TypeAlias = Callable[[Parameters, Sequence[int] | None], Sequence[float]]
"""How well parameters do on episodes, 0 to 1 each, in order: on those at these places, or on all there are."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What an optimizer works on."""

    parameters: Parameters
    """What is in force."""

    dev: Replay
    """The episodes it may see; the others are not in here."""

    score: Scorer | None = None
    """Where a replay cannot say how well parameters do: of instructions, say."""

    library: Mapping[str, Clause] = {}
    """Clauses that people wrote, by `policy/clause`, to pick from."""

    choices: tuple[Choice, ...] = ()
    """Items of instructions that people wrote, to pick from."""

    memory: Memory = Memory()
    settings: GateSettings = GateSettings()
    seed: int = 0
    now_ns: int = 0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that kept an optimizer from proposing, or an answer that was thrown away."""

    why: FailureWhy
    note: str = ""
    """For operators. Never an answer's own text."""


class Ideas(msgspec.Struct, frozen=True, kw_only=True):
    """All an optimizer came up with."""

    proposals: tuple[Proposal, ...] = ()
    """The best first."""

    failures: tuple[Failure, ...] = ()


class Optimizer(Protocol):
    """Proposes changes."""

    @property
    def name(self) -> str:
        """As it stands in a proposal's author: `optimizer:NAME`."""
        ...

    def propose(self, task: Task) -> Ideas:
        """Changes worth a try; none where it knows of none. Without a model the same task gives the same answer."""
        ...


def suggest(
    optimizer: Optimizer, task: Task, edits: Iterable[Edit], *, support: Support, why: str, aim: Aim = "mends"
) -> Proposal:
    """A proposal of an optimizer."""
    return Proposal(
        app=task.parameters.app,
        parent=task.parameters.digest,
        author=f"optimizer:{optimizer.name}",
        edits=tuple(edits),
        support=support,
        why=why,
        aim=aim,
        at_ns=task.now_ns,
    )


def behind(episodes: Iterable[Episode]) -> Support:
    """Who stands behind what some episodes show: those who labelled them, or, where nobody did, those who ran them."""
    chosen = list(episodes)
    return Support(
        sessions=tuple(sorted({episode.episode_id for episode in chosen})),
        principals=tuple(sorted({voice for episode in chosen for voice in episode.voices or (episode.principal,)})),
    )
