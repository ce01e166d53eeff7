"""Episodes: recorded runs with what people or outcomes said of their steps, to hold candidates against."""

import msgspec

from policies.vocabulary.steps import Part


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded session, whole."""

    episode_id: str
    app: str

    group: str
    """What must not be torn apart when episodes are split: the session, or the task of near copies."""

    principal: str
    """The key it ran under."""

    at_ns: int
    """When it began: Unix epoch, nanoseconds, UTC."""

    steps: tuple[Part, ...]
    """Every step in order, tool definitions first."""

    bad: frozenset[int] = frozenset()
    """Steps that were violations: the run should have been stopped at or before the first."""

    undecided: frozenset[int] = frozenset()
    """Steps that nobody can call either: to stop there is neither right nor wrong."""

    voices: tuple[str, ...] = ()
    """On whose word its steps were decided; empty: nobody labelled it, and whoever ran it is all there is."""

    lines: tuple[str, ...] = ()
    """Ids of the items that a revision added to the instructions in its requests."""

    anchor: bool = False
    """True: a change that judges this run less rightly than before is refused, whatever else it wins."""

    @property
    def honest(self) -> bool:
        """Whether nothing in it should have been stopped."""
        return not self.bad
