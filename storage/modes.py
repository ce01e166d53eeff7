"""Modes: who took which clause out of force, until when and why, in `ledger.db`."""

from typing import Final, final

import msgspec

from policies.vocabulary.modes import ModeChange
from storage.ledger import Ledger

_COLUMNS: Final = "clause, app, mode, at_ns, until_ns, who, key_id, reason"


@final
class ModeBook:
    """Every change ever made. Safe from any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, change: ModeChange) -> None:
        """Commit one change with who, when and why; on return it survives a crash. Raises `StorageFailed`."""
        query = f"INSERT INTO clause_mode ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our names
        self._ledger.write([(query, msgspec.structs.astuple(change))])

    def changes(self) -> list[ModeChange]:
        """All of them, oldest first."""
        rows = self._ledger.read(f"SELECT {_COLUMNS} FROM clause_mode ORDER BY id")  # noqa: S608 - our names
        names = ModeChange.__struct_fields__
        return [msgspec.convert(dict(zip(names, row, strict=True)), ModeChange) for row in rows]
