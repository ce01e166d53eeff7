"""Admission: who calls, and whether their budget covers what the call may cost.

A budget is reserved before a request leaves and settled by what it cost, so calls in flight count in
full and a thousand at once cannot overspend. What a call may cost is bounded from its size: a token is
at least a byte. Lives in the keeper, on its event loop; nothing here waits.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.refusals import BudgetExhausted, Unauthenticated
from policies.vocabulary.keys import Key, Principal, Role


class Keys(Protocol):
    """The slice of the key ring admission needs; `storage.keys.KeyRing` satisfies it."""

    def find(self, secret: str) -> Key | None:
        """The stored key of this secret, whatever its state; None for an unknown one."""
        ...

    def any(self, role: Role | None = None) -> bool:
        """Whether an active key (of this role) exists."""
        ...


class Admission:
    """Decides who a caller is and keeps the running balance of every key with a budget."""

    def __init__(self, keys: Keys, *, loopback: bool, now_ns: Callable[[], int]) -> None:
        self._keys = keys
        self._loopback = loopback
        self._now_ns = now_ns
        self._found: dict[str, Key] = {}
        self._guarded: bool | None = None
        self._balance: dict[str, int] = {}
        self._reserved: dict[str, tuple[str, int]] = {}

    def changed(self) -> None:
        """Forget what was remembered of the key ring; called after every change to it."""
        self._found.clear()
        self._guarded = None

    def admit(self, secret: str | None) -> Principal:
        """The principal of a data-plane call. Raises `Unauthenticated`, in one wording for every cause."""
        if secret is None:
            if self._open():
                return Principal(role="app", app="default")
            raise Unauthenticated("This gateway wants one of its own keys, and the request shows none.")
        key = self._find(secret)
        if key is None or key.role != "app" or not key.is_valid(self._now_ns()):
            raise Unauthenticated("The gateway key is unknown, revoked, expired or not for applications.")
        return Principal(role="app", app=key.app, key_id=key.key_id, budgeted=key.budget_micro_usd is not None)

    def reserve(self, exchange_id: str, secret: str | None, ceiling_micro_usd: int | None) -> None:
        """Set aside what this call may cost at most. Raises `BudgetExhausted`."""
        key = self._find(secret) if secret else None
        if key is None or key.budget_micro_usd is None:
            return
        if ceiling_micro_usd is None:
            raise BudgetExhausted(
                "This key has a budget, and what the request may cost is unknown: its model has no price here, "
                "or it asks for another tier, speed or region than the price is for."
            )
        balance = self._balance.setdefault(key.key_id, key.spent_micro_usd)
        if balance + ceiling_micro_usd > key.budget_micro_usd:
            raise BudgetExhausted("What this request may cost is more than is left of its key's budget.")
        self._balance[key.key_id] = balance + ceiling_micro_usd
        self._reserved[exchange_id] = (key.key_id, ceiling_micro_usd)

    def settle(self, exchange_id: str, cost_micro_usd: int | None) -> tuple[str, int] | None:
        """Replace a reservation by the cost; an unknown cost keeps the whole reservation.

        Returns (key id, micro-USD spent) for the ledger, or None where nothing was reserved.
        """
        held = self._reserved.pop(exchange_id, None)
        if held is None:
            return None
        key_id, ceiling = held
        spent = ceiling if cost_micro_usd is None else cost_micro_usd
        self._balance[key_id] += spent - ceiling
        return key_id, spent

    def _open(self) -> bool:
        if self._guarded is None:
            self._guarded = self._keys.any("app")
        return self._loopback and not self._guarded

    def _find(self, secret: str) -> Key | None:
        key = self._found.get(secret) or self._keys.find(secret)
        if key is not None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[secret] = key
        return key


_REMEMBERED = 4096
"""Known keys held in memory, so that a busy caller costs no look-up; unknown ones are never remembered."""
