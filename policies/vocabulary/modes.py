"""Modes: clauses that a named person took out of force for a while, and put back. Pure: time is handed in."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, final

import msgspec

Mode: TypeAlias = Literal["shadow", "enforce"]

EVERY: Final = "*"
"""In the place of an app: every one."""

LONGEST_NS: Final = 7 * 24 * 3600 * 1_000_000_000
"""How long a clause may be out of force on one word: break glass is no way to change a policy."""


class ModeChange(msgspec.Struct, frozen=True, kw_only=True):
    """One clause taken out of force, or put back, on one person's word. Never changed, only followed by another."""

    clause: str
    """`policy/clause`."""

    app: str
    """Which app's; `*` for every app's."""

    mode: Mode
    """`shadow`: out of force until a time. `enforce`: back as its policy has it."""

    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""

    until_ns: int | None
    """When it ends by itself; None for `enforce`, which only ends what was before."""

    by: str
    """The person, as named by whoever asked."""

    key_id: str | None
    """The gateway key it was asked with; None for the owner of the data directory."""

    reason: str


@final
class Modes:
    """What the changes so far come to at any moment."""

    def __init__(self, changes: Iterable[ModeChange]) -> None:
        """`changes` in the order in which they were made."""
        self._newest: dict[tuple[str, str], tuple[int, ModeChange]] = {}
        self._count = 0
        for change in changes:
            self.add(change)

    def add(self, change: ModeChange) -> None:
        """Take one more change; of those about one clause of one app the newest counts."""
        self._count += 1
        self._newest[change.clause, change.app] = (self._count, change)

    def shadowed(self, app: str, at_ns: int) -> dict[str, ModeChange]:
        """The clauses of an app that are out of force at a moment, each with the change that says so."""
        if not self._newest:
            return {}
        deciding: dict[str, tuple[int, ModeChange]] = {}
        for (clause, scope), (number, change) in self._newest.items():
            if scope in (app, EVERY) and number > deciding.get(clause, (0, None))[0]:
                deciding[clause] = (number, change)
        return {
            clause: change
            for clause, (_, change) in deciding.items()
            if change.mode == "shadow" and change.until_ns is not None and change.at_ns <= at_ns < change.until_ns
        }

    def touches(self, clause: str, app: str, at_ns: int) -> bool:
        """Whether a clause is out of force for an app, or with `*` for any one app, at a moment."""
        apps = {scope for name, scope in self._newest if name == clause} if app == EVERY else {app}
        return any(clause in self.shadowed(each, at_ns) for each in apps)
