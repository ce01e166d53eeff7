"""Budget: what supervision may take, by session, app and day, in tokens and money.

A call's ceiling is set aside before it is sent and settled by what it took, so that calls in flight count in full and
the budget is never overspent. Arithmetic only: what was spent before is handed in, and kept elsewhere.
"""

from collections import OrderedDict
from typing import Final, Literal, TypeAlias

import msgspec

from policies.vocabulary.supervisor_calls import Spender, Spent

BudgetWhy: TypeAlias = Literal["budget_session", "budget_app", "budget_day", "price_unknown"]

_ACCOUNTS: Final = 8192
"""Accounts that are known at a time; what others have spent is asked for again."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How much one account may take; None: as much as it likes."""

    tokens: int | None = None
    micro_usd: int | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit there is."""

    day: Limit = Limit()
    """Of all apps together on one day, UTC."""

    app: Limit = Limit()
    """Of each app on one day, UTC."""

    session: Limit = Limit()
    """Of each session, for as long as it lasts."""

    @property
    def counts_money(self) -> bool:
        """Whether any limit is one of money."""
        return any(limit.micro_usd is not None for limit in (self.day, self.app, self.session))

    @property
    def counts_tokens(self) -> bool:
        """Whether any limit is one of tokens."""
        return any(limit.tokens is not None for limit in (self.day, self.app, self.session))


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """What one call can take at most."""

    tokens: int
    micro_usd: int | None
    """None where the model has no known price."""


class Reserved(msgspec.Struct, frozen=True):
    """A ceiling that is set aside."""

    spender: Spender
    ceiling: Ceiling


class BudgetGone(Exception):
    """A call does not fit; `why` is a `BudgetWhy`."""

    def __init__(self, why: BudgetWhy) -> None:
        super().__init__(why)
        self.why: BudgetWhy = why


class Budget:
    """What every account has spent, as far as anybody asked. Used from one thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._spent: OrderedDict[str, Spent] = OrderedDict()

    def unknown(self, spender: Spender) -> tuple[str, ...]:
        """Accounts of a spender whose state has to be told first, with `know`: those that have a limit."""
        return tuple(
            [
                account
                for account in spender.accounts()
                if account not in self._spent and self._limit(account)[1] != Limit()
            ]
        )

    def know(self, account: str, spent: Spent) -> None:
        """Note what an account has spent so far; what is known already stands."""
        self._spent.setdefault(account, spent)
        self._spent.move_to_end(account)
        while len(self._spent) > _ACCOUNTS:
            self._spent.popitem(last=False)

    def reserve(self, spender: Spender, ceiling: Ceiling) -> Reserved:
        """Set a ceiling aside on every account of the spender, or on none. Raises `BudgetGone`.

        A call whose price is not known is refused where money alone is limited; where tokens are limited too, those
        limits hold it.
        """
        if ceiling.micro_usd is None and self._limits.counts_money and not self._limits.counts_tokens:
            raise BudgetGone("price_unknown")
        for account in reversed(spender.accounts()):
            kind, limit = self._limit(account)
            spent = self._spent.get(account, Spent())
            if not _fits(limit.tokens, spent.tokens, ceiling.tokens):
                raise BudgetGone(kind)
            if not _fits(limit.micro_usd, spent.micro_usd, ceiling.micro_usd or 0):
                raise BudgetGone(kind)
        self._add(spender, ceiling.tokens, ceiling.micro_usd or 0)
        return Reserved(spender, ceiling)

    def settle(self, reserved: Reserved, *, tokens: int | None, micro_usd: int | None) -> None:
        """Replace what was set aside by what was taken; what is not known keeps all of it."""
        ceiling = reserved.ceiling
        took = ceiling.tokens if tokens is None else tokens
        cost = (ceiling.micro_usd if micro_usd is None else micro_usd) or 0
        self._add(reserved.spender, took - ceiling.tokens, cost - (ceiling.micro_usd or 0))

    def _limit(self, account: str) -> tuple[BudgetWhy, Limit]:
        kind = account.partition(":")[0]
        if kind == "session":
            return "budget_session", self._limits.session
        return ("budget_app", self._limits.app) if kind == "app" else ("budget_day", self._limits.day)

    def _add(self, spender: Spender, tokens: int, micro_usd: int) -> None:
        """Count on accounts that are known; the others are told anew, with this in it."""
        for account in spender.accounts():
            spent = self._spent.get(account)
            if spent is not None:
                self._spent[account] = Spent(tokens=spent.tokens + tokens, micro_usd=spent.micro_usd + micro_usd)
                self._spent.move_to_end(account)


def _fits(limit: int | None, spent: int, more: int) -> bool:
    return limit is None or spent + more <= limit
