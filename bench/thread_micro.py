"""What joining a request costs: a resent history of 40 messages, an opening, and a first look at a long history.

    python bench/thread_micro.py

Each figure is the median of the best of several rounds, microseconds a call, ending the exchange not included.
"""

import os
import time
from collections.abc import Sequence
from itertools import count, pairwise
from statistics import median

from gateway.ids import new_id, new_span
from gateway.stations.asks import Ask, Done, SessionRow, StateRow
from gateway.stations.states import scope_of
from gateway.stations.thread import Threader

ROUNDS, CALLS = 7, 2_000
SCOPE = scope_of("bench", None)
NUMBERS = count()


class Nothing:
    """A store that remembers nothing."""

    def find_states(self, _states: Sequence[bytes]) -> list[StateRow]:
        """Nothing."""
        return []

    def find_response(self, _response_id: str) -> StateRow | None:
        """Nothing."""
        return None

    def find_named(self, _session_id: str) -> SessionRow | None:
        """Nothing."""
        return None


def conversation(messages: int, opening: bytes | None, explicit: str | None) -> list[Ask]:
    """The requests of one conversation, the last with so many messages, each resending all before it."""
    digests = [opening or os.urandom(16), *(os.urandom(16) for _ in range(messages - 1))]
    voices = ("user", "assistant") * (messages // 2 + 1)
    return [
        Ask(
            exchange_id=f"x{next(NUMBERS)}",
            at_ns=0,
            scope=SCOPE,
            explicit_session=explicit,
            voices=voices[:size],
            digests=tuple(digests[:size]),
            last_run=(size - 2, digests[size - 2]) if size > 1 else None,
        )
        for size in range(messages % 2 or 2, messages + 1, 2)
    ]


def answer(threader: Threader, ask: Ask, fingerprint: bytes) -> None:
    threader.finish(Done(exchange_id=ask.exchange_id, complete=True, fingerprints=(fingerprint,)))


def measure(name: str, messages: int, *, opening: bytes | None = None, is_named: bool = False) -> None:
    """Thread whole conversations; time only the last join of each."""
    best = float("inf")
    threader = Threader(Nothing(), new_id=new_id, new_span=new_span, capacity=50_000)
    calls = CALLS if messages < 10 else CALLS // 5
    for _ in range(ROUNDS):
        spent: list[int] = []
        for number in range(calls):
            asks = conversation(messages, opening, f"run-{next(NUMBERS)}-{number}" if is_named else None)
            last = asks[-1]
            for ask, following in pairwise(asks):
                threader.join(ask)
                assert following.last_run
                answer(threader, ask, following.last_run[1])
            started = time.perf_counter_ns()
            threader.join(last)
            spent.append(time.perf_counter_ns() - started)
            answer(threader, last, os.urandom(16))
        best = min(best, median(spent) / 1000)
    print(f"{name:<44}{best:8.1f} us")


if __name__ == "__main__":
    measure("opening, 1 message", 1)
    measure("the same opening by thousands, 1 message", 1, opening=bytes(16))
    measure("resent history, 41 messages", 41)
    measure("resent history, 41 messages, named session", 41, is_named=True)
