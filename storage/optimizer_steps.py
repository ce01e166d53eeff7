"""Optimizer steps: each optimizer that a run heard and what came of it, in `ledger.db`, with an audit entry each."""

from typing import Final, final

import msgspec

from policies.vocabulary.audit import GATEWAY, OptimizerHeard
from storage.ledger import Ledger, Statement


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer that was heard for one app. Times: Unix epoch, nanoseconds, UTC."""

    run: bytes
    """16 random bytes: the steps of one run share them."""

    app: str
    optimizer: str
    proposals: int
    """That it filed."""

    known: int
    """That were made before, and not again."""

    failures: int
    calls: int
    """To a model."""

    tokens: int
    began_ns: int
    ended_ns: int
    number: int = 0
    """Ascending; 0 before it is kept."""


_COLUMNS: Final = ", ".join(Heard.__struct_fields__[:-1])


@final
class StepBook:
    """Every step within the time the record is kept. Safe from any thread; every method raises `StorageFailed`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def keep(self, heard: Heard) -> None:
        """Keep a step, with its audit entry."""
        entry = OptimizerHeard(
            actor=GATEWAY,
            tenant=heard.app,
            optimizer=heard.optimizer,
            proposals=heard.proposals,
            known=heard.known,
            failures=heard.failures,
            calls=heard.calls,
            tokens=heard.tokens,
        )
        values = msgspec.structs.astuple(heard)[:-1]
        insert = f"INSERT INTO optimizer_step ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608 - ours
        self._ledger.write([(insert, values)], entries=[entry])

    def after(self, number: int, limit: int) -> list[Heard]:
        """Steps beyond a number, in order, at most so many."""
        query = f"SELECT {_COLUMNS}, id FROM optimizer_step WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 - ours
        names = Heard.__struct_fields__
        return [Heard(**dict(zip(names, row, strict=True))) for row in self._ledger.read(query, (number, limit))]


def expired_steps(before_ns: int) -> list[Statement]:
    """Let go of steps from before a time."""
    return [("DELETE FROM optimizer_step WHERE ended_ns < ?", (before_ns,))]
