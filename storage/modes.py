"""Modes: who took which clause out of force, until when and why, in `ledger.db`."""

import secrets
from hashlib import sha256
from typing import Final, final

import msgspec

from policies.vocabulary.audit import BLIND_BYTES, OWNER, ClauseModeChanged, commitment
from policies.vocabulary.modes import EVERY, ModeChange
from storage.aliases import Aliases
from storage.entry_lines import rfc3339_nanoseconds
from storage.ledger import Ledger

_COLUMNS: Final = "clause, app, mode, at_ns, until_ns, who, key_id, reason"


@final
class ModeBook:
    """Every change ever made. Safe from any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._aliases = Aliases(ledger)

    def record(self, change: ModeChange) -> None:
        """Commit one change with who, when and why, and its audit entry. Raises `StorageFailed`."""
        blind = secrets.token_bytes(BLIND_BYTES)
        query = f"INSERT INTO clause_mode ({_COLUMNS}, blind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        with self._ledger.lock:
            alias, named = self._aliases.of("person", change.by)
            entry = ClauseModeChanged(
                actor=change.key_id or OWNER,
                tenant=None if change.app == EVERY else change.app,
                clause=change.clause,
                mode=change.mode,
                until=None if change.until_ns is None else rfc3339_nanoseconds(change.until_ns),
                by=alias,
                reason=commitment(blind, sha256(change.reason.encode()).digest()),
            )
            self._ledger.write([*named, (query, (*msgspec.structs.astuple(change), blind))], entries=[entry])

    def changes(self) -> list[ModeChange]:
        """All of them, oldest first."""
        rows = self._ledger.read(f"SELECT {_COLUMNS} FROM clause_mode ORDER BY id")  # noqa: S608 - our names
        names = ModeChange.__struct_fields__
        return [msgspec.convert(dict(zip(names, row, strict=True)), ModeChange) for row in rows]
