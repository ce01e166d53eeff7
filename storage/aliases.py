"""Aliases: random words that stand for names in the audit log, kept in `ledger.db` beside it."""

import secrets
from typing import Literal, TypeAlias, final

from storage.ledger import Ledger, Statement

Named: TypeAlias = Literal["person", "session"]


@final
class Aliases:
    """One alias for each name. An alias is random: once its row is gone, nobody can tell whom it meant."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, kind: Named, name: str) -> tuple[str, list[Statement]]:
        """The alias of a name, and what must be written together with its first use. Hold the ledger's lock.

        Raises `StorageFailed`.
        """
        found = self._ledger.read("SELECT alias FROM audit_alias WHERE kind = ? AND name = ?", (kind, name))
        if found:
            return str(found[0][0]), []
        alias = f"{kind}_{secrets.token_hex(6)}"
        return alias, [("INSERT INTO audit_alias (alias, kind, name) VALUES (?, ?, ?)", (alias, kind, name))]

    def name(self, alias: str) -> str | None:
        """Whom an alias means; None where that was deleted. Raises `StorageFailed`."""
        found = self._ledger.read("SELECT name FROM audit_alias WHERE alias = ?", (alias,))
        return str(found[0][0]) if found else None
