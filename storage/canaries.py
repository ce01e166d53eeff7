"""Canaries: what the supervisor made of steps whose label is known, in `ledger.db`. No content."""

from typing import Any, Final, final

import msgspec

from policies.vocabulary.audit import GATEWAY, CanaryMissed
from policies.vocabulary.canaries import CanaryRead, Sight
from policies.vocabulary.critiques import Seat
from storage.ledger import Ledger
from storage.sequencer import Sequencer

_COLUMNS: Final = CanaryRead.__struct_fields__
_NAMES: Final = ", ".join(_COLUMNS)
_INSERT: Final = f"INSERT INTO canary ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - our names


@final
class CanaryBook:
    """All canaries. Safe from any thread."""

    def __init__(self, ledger: Ledger, sequencer: Sequencer) -> None:
        self._ledger = ledger
        self._sequencer = sequencer

    def newest(self, seat: Seat, model: str, limit: int) -> list[CanaryRead]:
        """The last ones of a seat and a model, the newest first. Raises `StorageFailed`."""
        query = f"SELECT {_NAMES} FROM canary WHERE seat = ? AND model = ? ORDER BY id DESC LIMIT ?"  # noqa: S608
        return [_read(row) for row in self._ledger.read(query, (seat, model, limit))]

    def record(self, read: CanaryRead, seen: Sight) -> None:
        """Keep one, with an entry where it was judged wrongly; returns at once, durable soon after."""
        work = [(_INSERT, tuple([getattr(read, name) for name in _COLUMNS]))]
        if not read.missed:
            self._sequencer.put(work=work)
            return
        entry = CanaryMissed(
            actor=GATEWAY,
            seat=read.seat,
            clause=read.clause,
            expected=read.expected,
            model=read.model,
            prompt=read.prompt,
            missed=seen.missed + seen.cried,
            of=seen.read,
        )
        self._sequencer.put(entry, work=work)

    def forget(self, before_ns: int) -> None:
        """Let go of what is older. Raises `StorageFailed`."""
        self._ledger.write([("DELETE FROM canary WHERE at_ns < ?", (before_ns,))], entries=())


def _read(row: tuple[Any, ...]) -> CanaryRead:
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), CanaryRead, strict=False)
