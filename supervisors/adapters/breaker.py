"""A circuit breaker: who failed several times in a row is left alone for a while, and then tried once.

Closed, until so many failures come in a row; open, until the pause is over; then half open for one probe, whose outcome
closes it or opens it again.
"""

import msgspec


class Pass(msgspec.Struct, frozen=True):
    """Leave to ask once."""

    probe: bool
    """Whether everybody else waits for how this one turns out."""

    spell: int
    """Which closed spell it was given in: what it tells of a spell that is over counts no more."""


class Breaker:
    """The state of one service, as one worker sees it. Used from one thread; times are nanoseconds, handed in."""

    def __init__(self, *, failures: int, pause_ns: int) -> None:
        self._failures = failures
        self._pause_ns = pause_ns
        self._failed = 0
        self._spell = 0
        self._opened_ns: int | None = None
        self._probing = False

    def enter(self, now_ns: int) -> Pass | None:
        """Leave to ask; None while the service is left alone. Every pass is ended by one of the other three."""
        if self._opened_ns is None:
            return Pass(probe=False, spell=self._spell)
        if self._probing or now_ns - self._opened_ns < self._pause_ns:
            return None
        self._probing = True
        return Pass(probe=True, spell=self._spell)

    def succeeded(self, one: Pass) -> None:
        """There was an answer."""
        if one.probe:
            self._opened_ns, self._probing = None, False
        if one.spell == self._spell:
            self._failed = 0

    def failed(self, one: Pass, now_ns: int) -> None:
        """There was none."""
        if one.spell != self._spell:
            return
        self._failed += 1
        if one.probe or self._failed >= self._failures:
            self._opened_ns, self._probing, self._failed = now_ns, False, 0
            self._spell += 1

    def abandoned(self, one: Pass) -> None:
        """Nobody waited for the answer, so nothing is known; the next one may probe."""
        if one.probe:
            self._probing = False
