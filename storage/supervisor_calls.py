"""Supervisor calls: every call to a model of a supervisor, written down before it is sent, with what budgets spent.

An account's sum and the calls it adds up are one transaction of `ledger.db`. No call waits for that: until it is done,
a slot holds it (`storage/call_intents.py`), and what a process that was killed left there is carried over by the next
start. A call that never ended counts at its ceiling for good.
"""

import logging
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, final

import msgspec

from policies.vocabulary.audit import Receipt
from policies.vocabulary.supervisor_calls import CallEnd, CallSeat, CallState, Purpose, Spent, SupervisorCall
from storage.call_intents import CallIntents
from storage.errors import NeverTaken
from storage.ledger import Ledger, Statement
from storage.sequencer import Sequencer

_LOG: Final = logging.getLogger("stepwarden.storage")

_ENDS: Final = tuple([name for name in CallEnd.__struct_fields__ if name not in ("call_id", "state")])
_COLUMNS: Final = (*SupervisorCall.__struct_fields__, "state", *_ENDS)
_ADD: Final = """
INSERT INTO supervisor_account (account, at_ns, tokens, micro_usd)
SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM supervisor_call WHERE call_id = ?)
ON CONFLICT (account) DO UPDATE SET
    at_ns = max(at_ns, excluded.at_ns),
    tokens = tokens + excluded.tokens,
    micro_usd = micro_usd + excluded.micro_usd
"""
_SETTLE: Final = "UPDATE supervisor_account SET tokens = tokens + ?, micro_usd = micro_usd + ? WHERE account = ?"


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call with what became of it; all of `end` but its state is empty while that is not known."""

    call: SupervisorCall
    state: CallState
    end: CallEnd | None


class CallSum(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one slot of time that are alike; what is not known of a call counts at its ceiling, as in budgets."""

    slot: int
    """Counted from the beginning of the span that was asked for."""

    seat: CallSeat
    purpose: Purpose
    state: CallState
    why: str | None
    calls: int
    tokens: int
    micro_usd: int
    micros: int
    """How long they took together, microseconds."""


@final
class CallBook:
    """All calls. Safe from any thread."""

    def __init__(self, ledger: Ledger, sequencer: Sequencer, intents: CallIntents) -> None:
        """Carries over what a process that died had begun. Raises `StorageFailed`."""
        self._ledger = ledger
        self._sequencer = sequencer
        self._intents = intents
        for call in intents.found:
            try:
                ledger.write(_begun(call), entries=())
            except NeverTaken as error:  # it was left out before, too, and must not keep every later start from opening
                _LOG.error("a call to the supervisor's model can never be written down", extra={"reason": str(error)})
        intents.wipe_found()

    def spent(self, account: str) -> Spent:
        """What an account has spent so far. Raises `StorageFailed`."""
        rows = self._ledger.read("SELECT tokens, micro_usd FROM supervisor_account WHERE account = ?", (account,))
        return Spent(tokens=rows[0][0], micro_usd=rows[0][1]) if rows else Spent()

    def begin(self, call: SupervisorCall) -> Future[Receipt] | None:
        """Write a call down at its ceiling, so that no kill of this process loses it.

        None: that is done, and `ledger.db` follows. Else it is once the future is done, which raises `StorageFailed`
        where it cannot be: nobody spends what the ledger does not take.
        """
        slot = self._intents.keep(call) if self._sequencer.state().failing is None else None
        if slot is None:
            return self._sequencer.commit(_begun(call))
        self._sequencer.put(work=_begun(call), then=partial(self._intents.wipe, slot))
        return None

    def end(self, call: SupervisorCall, end: CallEnd) -> None:
        """Write down how a call that was begun ended, once; what is not known stays at its ceiling."""
        ceiling = call.ceiling_micro_usd or 0
        tokens = 0 if end.tokens is None else end.tokens - call.ceiling_tokens
        cost = 0 if end.cost_micro_usd is None else end.cost_micro_usd - ceiling
        changes = {name: getattr(end, name) for name in ("state", *_ENDS)}
        sets = ", ".join([f"{name} = ?" for name in changes])
        update = f"UPDATE supervisor_call SET {sets} WHERE call_id = ?"  # noqa: S608 - our names
        settled = [(_SETTLE, (tokens, cost, account)) for account in call.spender.accounts()]
        self._sequencer.put(work=[(update, (*changes.values(), end.call_id)), *settled])

    def sums(self, since_ns: int, slot_ns: int, *, app: str | None = None) -> list[CallSum]:
        """Calls since a time, summed by slot and kind; with `app`, only its own. Raises `StorageFailed`."""
        query = """
        SELECT (at_ns - ?1) / ?2, seat, purpose, state, why, count(*),
            sum(ifnull(input_tokens + output_tokens, ceiling_tokens)),
            sum(ifnull(cost_micro_usd, ifnull(ceiling_micro_usd, 0))), sum(ifnull(micros, 0))
        FROM supervisor_call WHERE at_ns >= ?1 AND (?3 IS NULL OR app = ?3) GROUP BY 1, 2, 3, 4, 5 ORDER BY 1
        """
        names = CallSum.__struct_fields__
        rows = self._ledger.read(query, (since_ns, slot_ns, app))
        return [msgspec.convert(dict(zip(names, row, strict=True)), CallSum) for row in rows]

    def list(self, *, session_id: str | None = None, since_ns: int = 0, limit: int = 1000) -> list[RecordedCall]:
        """Calls, oldest first. Raises `StorageFailed`."""
        query = (
            f"SELECT {', '.join(_COLUMNS)} FROM supervisor_call "  # noqa: S608 - our names
            "WHERE at_ns >= ?1 AND (?2 IS NULL OR session_id = ?2) ORDER BY at_ns, call_id LIMIT ?3"
        )
        return [_recorded(row) for row in self._ledger.read(query, (since_ns, session_id, limit))]

    def forget(self, before_ns: int) -> None:
        """Let go of what is older. Raises `StorageFailed`."""
        work: list[Statement] = [
            ("DELETE FROM supervisor_call WHERE at_ns < ?", (before_ns,)),
            ("DELETE FROM supervisor_account WHERE at_ns < ?", (before_ns,)),
        ]
        self._ledger.write(work, entries=())


def forgetting(session_id: str) -> list[Statement]:
    """What makes the ledger of calls name a session no more; counts stay, for they were spent."""
    return [
        ("UPDATE supervisor_call SET session_id = NULL, exchange_id = NULL WHERE session_id = ?", (session_id,)),
        ("DELETE FROM supervisor_account WHERE account = ?", (f"session:{session_id}",)),
    ]


def _begun(call: SupervisorCall) -> list[Statement]:
    """What writes a call down, once however often it is carried out."""
    values = {**msgspec.structs.asdict(call), "clauses": msgspec.json.encode(call.clauses).decode()}
    marks = ", ".join("?" * len(values))
    insert = f"INSERT OR IGNORE INTO supervisor_call ({', '.join(values)}, state) VALUES ({marks}, 'begun')"  # noqa: S608
    ceiling = (call.ceiling_tokens, call.ceiling_micro_usd or 0)
    added = [(_ADD, (account, call.at_ns, *ceiling, call.call_id)) for account in call.spender.accounts()]
    return [*added, (insert, (*values.values(),))]


def _recorded(row: tuple[Any, ...]) -> RecordedCall:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["clauses"] = msgspec.json.decode(values["clauses"])
    call = msgspec.convert({name: values[name] for name in SupervisorCall.__struct_fields__}, SupervisorCall)
    if values["state"] == "begun":
        return RecordedCall(call=call, state="begun", end=None)
    end = msgspec.convert({name: values[name] for name in CallEnd.__struct_fields__}, CallEnd)
    return RecordedCall(call=call, state=end.state, end=end)
