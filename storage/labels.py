"""Labels: what persons say of recorded steps, in `ledger.db`."""

import secrets
from collections.abc import Collection
from hashlib import sha256
from typing import Final, final

import msgspec

from policies.vocabulary.audit import BLIND_BYTES, OWNER, LabelRecorded, commitment
from policies.vocabulary.labels import LabelGiven
from storage.aliases import Aliases
from storage.ledger import Ledger, Reading
from storage.partitions import DAY_NS

_A_DAY: Final = 1000
"""Labels of one voice that are read of a day."""

_COLUMNS: Final = ", ".join(LabelGiven.__struct_fields__)


class LabelReads:
    """Every label ever given, but for erased sessions. Safe from any thread; every method raises `StorageFailed`."""

    def __init__(self, ledger: Reading) -> None:
        self._reading = ledger

    def of_session(self, session_id: str) -> list[LabelGiven]:
        """Labels of a session's steps, in the order in which they were given."""
        return self._given("WHERE session_id = ? ORDER BY id", session_id)

    def of_exchange(self, exchange_id: str) -> list[LabelGiven]:
        """Labels of an exchange's steps, in the order in which they were given."""
        return self._given("WHERE step_id >= ? AND step_id < ? ORDER BY id", f"{exchange_id}.", f"{exchange_id}/")

    def heard(self, app: str, *, limit: int) -> "list[LabelGiven]":
        """Labels of an app, newest first; of each key, and each of the owner's people, so many a day at most.

        So whoever gives very many keeps nobody else's from being read.
        """
        numbered = (
            "SELECT *, row_number() OVER (PARTITION BY actor, CASE actor WHEN ? THEN by END, at_ns / ? "
            "ORDER BY id DESC) AS place FROM label WHERE app = ?"
        )
        kept = "WHERE place <= ? ORDER BY id DESC LIMIT ?"
        return self._given(kept, OWNER, DAY_NS, app, _A_DAY, limit, among=f"({numbered})")

    def list(self, *, app: str | None = None, limit: int = 1000) -> list[LabelGiven]:
        """Labels, newest first."""
        return self._given("WHERE app = ifnull(?, app) ORDER BY id DESC LIMIT ?", app, limit)

    def _given(self, where: str, *values: str | int | None, among: str = "label") -> "list[LabelGiven]":
        names = LabelGiven.__struct_fields__
        rows = self._reading.read(f"SELECT {_COLUMNS} FROM {among} {where}", values)  # noqa: S608 - our names
        return [msgspec.convert(dict(zip(names, row, strict=True)), LabelGiven) for row in rows]


@final
class LabelBook(LabelReads):
    """The same, with the pen."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._ledger = ledger
        self._aliases = Aliases(ledger)

    def record(self, given: LabelGiven) -> None:
        """Keep a label, with its audit entry."""
        exchange_id, _, seq = given.step_id.partition(".")
        with self._ledger.lock:
            alias, named = self._aliases.of("person", given.by)
            blind = None if given.reason is None else secrets.token_bytes(BLIND_BYTES)
            entry = LabelRecorded(
                actor=given.actor,
                tenant=given.app,
                exchange=exchange_id,
                step=int(seq),
                label=given.label,
                clause=given.clause,
                by=alias,
                reason=_committed(blind, given.reason),
            )
            values = (*msgspec.structs.astuple(given), blind)
            query = f"INSERT INTO label ({_COLUMNS}, blind) VALUES ({', '.join('?' * len(values))})"  # noqa: S608 - ours
            self._ledger.write([*named, (query, values)], entries=[entry])

    def expire(self, before_ns: int, held: Collection[str]) -> None:
        """Delete labels from before a time, except for sessions in `held`."""
        where = "at_ns < ? AND ifnull(session_id, '') NOT IN (SELECT value FROM json_each(?))"
        values = (before_ns, msgspec.json.encode(list(held)).decode())
        if self._ledger.read(f"SELECT 1 FROM label WHERE {where} LIMIT 1", values):  # noqa: S608 - literals
            self._ledger.write([(f"DELETE FROM label WHERE {where}", values)], entries=())  # noqa: S608 - literals


def _committed(blind: bytes | None, reason: str | None) -> str | None:
    return None if blind is None or reason is None else commitment(blind, sha256(reason.encode()).digest())
