"""Canaries: steps with known labels among the others, to find out whether the supervisor still sees.

They are the examples that a clause's author decided by hand, violations and others, and are put to the model like any
other step, under the same clauses as what they go with. What a model makes of them is what its word is worth.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

import msgspec

from policies.trail import Scene
from policies.vocabulary.canaries import NEWEST, CanaryRead, Expected, Sight, sight
from policies.vocabulary.critiques import Seat
from policies.vocabulary.facts import Facts
from policies.vocabulary.findings import Score
from supervisors.ports import Clock

log = logging.getLogger("stepwarden.canaries")


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A case that a clause's author decided."""

    clause: str
    """`policy/clause`."""

    expected: Expected
    least: Score
    """The score from which on the clause acts."""

    scene: Scene
    """As far as its seat is shown it."""

    facts: Facts = Facts()
    """What is known of its step; `gate` only."""


Known = Callable[[Seat, str, Collection[str]], Sequence[Canary]]
"""The canaries of a seat there are for an app, out of these clauses."""


class CanaryBook(Protocol):
    """Where it is kept what became of canaries. Nothing here is waited for, and nothing here fails."""

    def newest(self, seat: Seat, model: str, limit: int) -> Sequence[CanaryRead]:
        """The last ones, the newest first."""
        ...

    def record(self, read: CanaryRead, seen: Sight) -> None:
        """Keep one; `seen` is what the newest say with it."""
        ...


class Canaries:
    """One seat's: when the next is due, and what became of the last ones. Used from one thread."""

    def __init__(self, seat: Seat, every: int, *, known: Known, book: CanaryBook, model: str, now_ns: Clock) -> None:
        """One call in `every` goes with a canary; 0 for none. What is known of another model does not count."""
        self._seat: Final[Seat] = seat
        self._every = every
        self._known = known
        self._book = book
        self._model = model
        self._now_ns = now_ns
        self._calls = self._turn = 0
        self._newest = deque(book.newest(seat, model, NEWEST), maxlen=NEWEST)

    @property
    def sight(self) -> Sight:
        """What the newest say."""
        return sight(self._seat, list(self._newest))

    def due(self, app: str, clauses: Collection[str]) -> Canary | None:
        """Count a call; the canary that goes with it, if any. The first has one, so that blindness is told soon."""
        due = bool(self._every) and self._calls % self._every == 0
        self._calls += 1
        among = _mixed(self._known(self._seat, app, clauses)) if due else ()
        if not among:
            return None
        self._turn += 1
        return among[(self._turn - 1) % len(among)]

    def judged(self, canary: Canary, app: str, score: Score, *, prompt: str) -> None:
        """Note what became of one: the score it was given under its clause, 0 where it was called ok."""
        read = CanaryRead(
            at_ns=self._now_ns(),
            seat=self._seat,
            app=app,
            clause=canary.clause,
            expected=canary.expected,
            score=score,
            missed=(score >= canary.least) != (canary.expected == "violation"),
            model=self._model,
            prompt=prompt,
        )
        self._newest.appendleft(read)
        seen = self.sight
        if read.missed:
            log.warning(
                "the supervisor judged a canary wrongly%s",
                ": it is blind" if seen.blind else "",
                extra={"seat": self._seat, "clause": canary.clause, "expected": canary.expected, "score": score},
            )
        self._book.record(read, seen)


def _mixed(among: Sequence[Canary]) -> Sequence[Canary]:
    """Violations and others in turn, a violation first."""
    bad = [each for each in among if each.expected == "violation"]
    good = [each for each in among if each.expected == "ok"]
    pairs = max(len(bad), len(good))
    return [several[at % len(several)] for at in range(pairs) for several in (bad, good) if several]
