"""Legal holds: sessions that are kept beyond their time, for a case, until somebody releases them."""

import secrets
from hashlib import sha256
from typing import NamedTuple, final

from policies.errors import StepwardenError
from policies.vocabulary.audit import BLIND_BYTES, LegalHoldReleased, LegalHoldSet, commitment
from storage.aliases import Aliases
from storage.ledger import Ledger, Statement

_SET = "INSERT INTO legal_hold (session_id, by, reason, blind, at_ns) VALUES (?, ?, ?, ?, ?)"
_RELEASE = """
UPDATE legal_hold SET released_by = ?, released_reason = ?, released_blind = ?, released_ns = ?
WHERE session_id = ? AND released_ns IS NULL
"""


class HeldAlready(StepwardenError):
    """A session would be kept twice."""

    status = 409

    def remedy(self) -> str:
        """One hold is enough."""
        return "Nothing was changed; the first hold stands until it is released."


class NotHeld(StepwardenError):
    """A hold would be released that there is not."""

    status = 409

    def remedy(self) -> str:
        """Nothing to do."""
        return "Nothing was changed; retention applies to it already."


class HoldChange(NamedTuple):
    """Who sets or releases a hold, and why."""

    app: str
    by: str
    reason: str
    actor: str
    """The key it came under, or `owner`."""


@final
class LegalHolds:
    """All of one directory, in `ledger.db`. Safe from any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._aliases = Aliases(ledger)

    def held(self) -> set[str]:
        """Ids of sessions that must be kept. Raises `StorageFailed`."""
        return {
            session_id
            for (session_id,) in self._ledger.read("SELECT session_id FROM legal_hold WHERE released_ns IS NULL")
        }

    def set(self, session_id: str, change: HoldChange, now_ns: int) -> None:
        """Keep a session. Raises `HeldAlready` or `StorageFailed`."""
        with self._ledger.lock:
            if session_id in self.held():
                raise HeldAlready("this session is kept already")
            told = self._told(session_id, change)
            entry = LegalHoldSet(
                actor=change.actor, tenant=change.app, session=told.session, by=told.person, reason=told.reason
            )
            work = (_SET, (session_id, change.by, change.reason, told.blind, now_ns))
            self._ledger.write([*told.named, work], entries=[entry])

    def release(self, session_id: str, change: HoldChange, now_ns: int) -> None:
        """Let retention take its course again. Raises `NotHeld` or `StorageFailed`."""
        with self._ledger.lock:
            if session_id not in self.held():
                raise NotHeld("this session is not kept beyond its time")
            told = self._told(session_id, change)
            entry = LegalHoldReleased(
                actor=change.actor, tenant=change.app, session=told.session, by=told.person, reason=told.reason
            )
            work = (_RELEASE, (change.by, change.reason, told.blind, now_ns, session_id))
            self._ledger.write([*told.named, work], entries=[entry])

    def _told(self, session_id: str, change: HoldChange) -> "_Told":
        session, first = self._aliases.of("session", session_id)
        person, second = self._aliases.of("person", change.by)
        blind = secrets.token_bytes(BLIND_BYTES)
        reason = commitment(blind, sha256(change.reason.encode()).digest())
        return _Told(session, person, blind, reason, [*first, *second])


class _Told(NamedTuple):
    """How the log says it."""

    session: str
    person: str
    blind: bytes
    reason: str
    named: list[Statement]
