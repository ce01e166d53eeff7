"""What the monitor needs of the floors above: what waits, what is recorded, what is in force, where critiques go."""

from collections.abc import Collection, Sequence
from typing import Protocol

from policies.guards.judge import Charge
from policies.vocabulary.critiques import Opinion
from policies.vocabulary.monitoring import Awaiting, Filed
from policies.vocabulary.verdicts import Verdict
from supervisors.transcript import Seen


class Queue(Protocol):
    """Steps that wait, durably. Every method raises `StepwardenError` where the store cannot be read or written."""

    async def fill(self) -> bool:
        """Queue what was recorded since; whether there is more."""
        ...

    async def depth(self) -> int:
        """How many steps wait."""
        ...

    async def next(self, limit: int, busy: Collection[str]) -> list[Awaiting]:
        """The riskiest, with others of its session that are read for the same clauses, in the order of recording."""
        ...

    async def least_risky(self, count: int, busy: Collection[str]) -> list[Awaiting]:
        """Those that matter least."""
        ...

    async def postpone(self, steps: Sequence[Awaiting], until_ns: int) -> None:
        """Let steps wait until a time."""
        ...

    async def forget(self, steps: Sequence[Awaiting]) -> None:
        """Let go of steps that are no longer recorded."""
        ...


class Record(Protocol):
    """What is recorded of sessions."""

    async def steps(self, session_id: str, *, after: int, wanted: Sequence[str], most: int) -> list[Seen]:
        """Steps of a session beyond exchange number `after`, up to the last of those wanted by id, in order.

        Of what comes before the first of these, at most `most` bytes of text: the newest, and the instructions.
        """
        ...


class Clauses(Protocol):
    """The clauses in force."""

    def charges(self, app: str, clauses: Collection[str]) -> tuple[Charge, ...]:
        """What to hold steps against; clauses that are in force no more are left out."""
        ...

    def ruling(self, app: str, opinions: Sequence[Opinion]) -> Verdict:
        """What the bands of the clauses make of opinions."""
        ...


class Book(Protocol):
    """Where critiques are kept, and acted on."""

    async def settle(self, several: Sequence[Filed]) -> Sequence[Filed]:
        """Keep what came of steps that waited, and act on it; what was kept: not what was settled before, or erased."""
        ...
