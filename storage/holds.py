"""Holds: what waits for a person, in `ledger.db`; what is asked is sealed, for it holds arguments."""

import secrets
from hashlib import sha256
from typing import Any, Literal, final

import msgspec

from policies.vocabulary.audit import (
    BLIND_BYTES,
    CLAUSES,
    GATEWAY,
    ActionEscalated,
    Entry,
    HumanReview,
    OverrideUsed,
    commitment,
)
from policies.vocabulary.holds import Hold, HoldAsk, HoldState, Review
from storage.aliases import Aliases
from storage.errors import HoldDecided, HoldNotFound
from storage.ledger import Ledger, Reading
from storage.seal import Sealer, derive
from storage.secret import Secret

_COLUMNS = "hold_id, ask, state, expires_ns, decided_by, decided_reason, decided_ns"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(HoldAsk).decode


class HoldReads:
    """All holds. Times are wall clock, Unix epoch, nanoseconds. Safe from any thread."""

    def __init__(self, ledger: Reading, seal_key: Secret) -> None:
        self._reading = ledger
        self._sealer = Sealer(derive(seal_key, "holds"))

    def list(self, *, state: HoldState | None = None, app: str | None = None, limit: int = 200) -> list[Hold]:
        """Holds, newest first."""
        query = (
            f"SELECT {_COLUMNS} FROM hold WHERE state = ifnull(?, state) AND app = ifnull(?, app) "  # noqa: S608
            "ORDER BY id DESC LIMIT ?"
        )
        return [self._hold(row) for row in self._reading.read(query, (state, app, limit))]

    def _hold(self, row: tuple[Any, ...]) -> Hold:
        hold_id, sealed, state, expires_ns, by, reason, decided_ns = row
        return Hold(
            hold_id=hold_id,
            ask=_decode(self._sealer.open(sealed, hold_id.encode())),
            state=state,
            expires_ns=expires_ns,
            decided_by=by,
            decided_reason=reason,
            decided_ns=decided_ns,
        )


@final
class HoldBook(HoldReads):
    """The same, with the pen."""

    def __init__(self, ledger: Ledger, seal_key: Secret) -> None:
        super().__init__(ledger, seal_key)
        self._ledger = ledger
        self._aliases = Aliases(ledger)

    def join(self, ask: HoldAsk, *, now_ns: int, expires_ns: int) -> Hold:
        """The hold of exactly this step: the newest there is, or a new one that waits.

        An approval that is still good is used up by this. Decided and expired holds stand until somebody decides
        otherwise, so a client that asks again gets the same answer.
        """
        with self._ledger.lock:
            found = self._newest(ask.binding)
            if found is not None and found.state == "approved" and found.expires_ns > now_ns:
                self._use(found, ask.exchange_id)
                return msgspec.structs.replace(found, state="approved")
            if found is not None and found.state == "waiting" and found.expires_ns <= now_ns:
                return self._expire(found)
            if found is not None and found.state in ("waiting", "rejected", "expired"):
                return found
            return self._open(ask, expires_ns)

    def use(self, hold_id: str, exchange_id: str) -> bool:
        """Use an approval up for an exchange; False where it is none, or was used already."""
        with self._ledger.lock:
            found = self.get(hold_id)
            if found.state != "approved":
                return False
            self._use(found, exchange_id)
            return True

    def expire(self, hold_id: str) -> Hold:
        """End waiting without an answer; a hold that was decided meanwhile stays as it is."""
        with self._ledger.lock:
            found = self.get(hold_id)
            return self._expire(found) if found.state == "waiting" else found

    def decide(self, hold_id: str, *, approve: bool, answer: Review, now_ns: int, expires_ns: int) -> Hold:
        """Approve or reject. Raises `HoldNotFound`, or `HoldDecided` where it was approved, used or rejected before."""
        with self._ledger.lock:
            found = self.get(hold_id)
            if found.state not in ("waiting", "expired"):
                raise HoldDecided(hold_id, found.state)
            state: HoldState = "approved" if approve else "rejected"
            query = (
                "UPDATE hold SET state = ?, expires_ns = ?, decided_by = ?, decided_reason = ?, decided_ns = ?, "
                "decided_blind = ? WHERE hold_id = ?"
            )
            by, reason, blind = answer.by or answer.actor, answer.reason, secrets.token_bytes(BLIND_BYTES)
            alias, named = self._aliases.of("person", answer.by) if answer.by else (None, [])
            entry = _review(found, "approved" if approve else "rejected", actor=answer.actor)
            entry = msgspec.structs.replace(
                entry, by=alias, reason=None if reason is None else commitment(blind, sha256(reason.encode()).digest())
            )
            work = [*named, (query, (state, expires_ns, by, reason, now_ns, blind, hold_id))]
            self._ledger.write(work, entries=[entry])
            return self.get(hold_id)

    def get(self, hold_id: str) -> Hold:
        """One hold. Raises `HoldNotFound`."""
        rows = self._ledger.read(f"SELECT {_COLUMNS} FROM hold WHERE hold_id = ?", (hold_id,))  # noqa: S608 - our names
        if not rows:
            raise HoldNotFound(hold_id)
        return self._hold(rows[0])

    def waiting(self, now_ns: int) -> int:
        """How many wait for a person."""
        query = "SELECT count(*) FROM hold WHERE state = 'waiting' AND expires_ns > ?"
        return int(self._ledger.read(query, (now_ns,))[0][0])

    def _newest(self, binding: bytes) -> Hold | None:
        query = f"SELECT {_COLUMNS} FROM hold WHERE binding = ? ORDER BY id DESC LIMIT 1"  # noqa: S608 - our names
        rows = self._ledger.read(query, (binding,))
        return self._hold(rows[0]) if rows else None

    def _open(self, ask: HoldAsk, expires_ns: int) -> Hold:
        hold_id = f"hold_{secrets.token_hex(6)}"
        sealed = self._sealer.seal(_encode(ask), hold_id.encode())
        query = "INSERT INTO hold (hold_id, binding, ask, app, state, expires_ns) VALUES (?, ?, ?, ?, 'waiting', ?)"
        entry = ActionEscalated(
            actor=GATEWAY,
            tenant=ask.app,
            exchange=ask.exchange_id,
            hold=hold_id,
            reason=ask.reason,
            clauses=ask.clauses[:CLAUSES],
        )
        self._ledger.write([(query, (hold_id, ask.binding, sealed, ask.app, expires_ns))], entries=[entry])
        return Hold(hold_id=hold_id, ask=ask, state="waiting", expires_ns=expires_ns)

    def _expire(self, hold: Hold) -> Hold:
        self._set(hold.hold_id, "expired", _review(hold, "expired", actor=GATEWAY))
        return msgspec.structs.replace(hold, state="expired")

    def _use(self, hold: Hold, exchange_id: str) -> None:
        entry = OverrideUsed(actor=GATEWAY, tenant=hold.ask.app, hold=hold.hold_id, exchange=exchange_id)
        self._set(hold.hold_id, "used", entry)

    def _set(self, hold_id: str, state: HoldState, entry: Entry) -> None:
        self._ledger.write([("UPDATE hold SET state = ? WHERE hold_id = ?", (state, hold_id))], entries=[entry])


def _review(hold: Hold, decision: Literal["approved", "rejected", "expired"], *, actor: str) -> HumanReview:
    return HumanReview(
        actor=actor, tenant=hold.ask.app, hold=hold.hold_id, exchange=hold.ask.exchange_id, decision=decision
    )
