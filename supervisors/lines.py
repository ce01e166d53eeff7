"""Lines: each seat's own way to the provider, so that what the monitor runs into does not keep the gate from asking.

A provider that fails several times in a row, or says that it is overloaded, is left alone for a while by the seat that
it happened to. What the gate is told the monitor heeds too, and an optimizer heeds both: nobody waits for them, and all
share one account.
"""

from collections.abc import Callable
from typing import Final

from policies.vocabulary.supervisor_calls import CallSeat
from supervisors.adapters.breaker import Breaker, Pass
from supervisors.models.interface import Unanswered

_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
"""How long an overloaded provider is left alone: by default, and at most whatever it asks for."""

_ABOUT_THE_CALL: Final = frozenset({"status:400", "status:413", "status:422"})
"""Failures by which a provider speaks of what it was sent, and so is there: a step that it will not read must not keep
it from being asked about others."""

_HEEDED: Final[dict[CallSeat, tuple[CallSeat, ...]]] = {
    "gate": ("gate",),
    "monitor": ("gate", "monitor"),
    "optimizer": ("gate", "monitor", "optimizer"),
}
"""Whose pauses a seat keeps."""


class LeftAlone(Exception):
    """Nothing is to be sent now; `why` is `overloaded` or `breaker_open`."""

    def __init__(self, why: str, *, retry_after_seconds: float | None = None) -> None:
        """`retry_after_seconds`: for how long, where that is known."""
        super().__init__(why)
        self.why = why
        self.retry_after_seconds = retry_after_seconds


class Lines:
    """The state of one provider, as each seat sees it. Used from one thread; times are nanoseconds, handed in."""

    def __init__(self, breaker: Callable[[], Breaker]) -> None:
        """`breaker` makes one for each seat."""
        self._breakers: dict[CallSeat, Breaker] = {seat: breaker() for seat in _HEEDED}
        self._paused_until_ns: dict[CallSeat, int] = dict.fromkeys(self._breakers, 0)

    def enter(self, seat: CallSeat, now_ns: int) -> Pass:
        """Leave to ask. Raises `LeftAlone`. Every pass is ended by one of the other three."""
        until_ns = max([self._paused_until_ns[heeded] for heeded in _HEEDED[seat]])
        if now_ns < until_ns:
            raise LeftAlone("overloaded", retry_after_seconds=(until_ns - now_ns) / 1e9)
        leave = self._breakers[seat].enter(now_ns)
        if leave is None:
            raise LeftAlone("breaker_open")
        return leave

    def succeeded(self, seat: CallSeat, leave: Pass) -> None:
        """There was an answer."""
        self._breakers[seat].succeeded(leave)

    def failed(self, seat: CallSeat, leave: Pass, failed: Unanswered, now_ns: int) -> None:
        """There was none."""
        if failed.why in _ABOUT_THE_CALL:
            self._breakers[seat].succeeded(leave)
        else:
            self._breakers[seat].failed(leave, now_ns)
        if failed.why == "overloaded":
            asked = _PAUSE_SECONDS if failed.retry_after_seconds is None else failed.retry_after_seconds
            pause_ns = int(min(max(asked, 0.0), _LONGEST_PAUSE_SECONDS) * 1e9)
            self._paused_until_ns[seat] = max(self._paused_until_ns[seat], now_ns + pause_ns)

    def abandoned(self, seat: CallSeat, leave: Pass) -> None:
        """Nobody waited for the answer, so nothing is known."""
        self._breakers[seat].abandoned(leave)
