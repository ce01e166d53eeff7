"""Whom the bench asks: the scripted model, or a live one within a spending cap; every call through the one caller.

The scripted model is no model: its figures show that the machinery counts and joins things rightly. Its tokens are
counted at four characters each and priced as if a named model had been asked, and the report says so.
"""

import asyncio
import os
import time
from typing import Any, Final

import msgspec

from gateway.config import Supervisor as Settings
from gateway.ids import new_id
from gateway.prices import Prices
from gateway.supervisor import ModelPricing, model_of, pricing_of
from policies.vocabulary.supervisor_calls import CallEnd, Spent, SupervisorCall
from supervisors.adapters.breaker import Breaker
from supervisors.budget import Budget, Limit, Limits
from supervisors.caller import Answered, Caller, Errand, Unserved
from supervisors.lines import Lines
from supervisors.models.interface import Model, Prompt
from supervisors.models.scripted import ScriptedModel

PRICED_AS: Final = "claude-haiku-4-5"
"""What the scripted model's tokens are priced as."""

_MICRO: Final = 1_000_000
_SECONDS: Final = 60.0
_AT_ONCE: Final = 4


class Tally(msgspec.Struct, kw_only=True):
    """What was asked, in all."""

    calls: int = 0
    failed: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    input_tokens: int = 0
    output_tokens: int = 0
    micro_usd: int = 0
    unpriced: int = 0
    """Calls whose cost is not known."""


class MemoryLedger:
    """Calls of one run of the bench, kept for as long as it takes."""

    def __init__(self) -> None:
        self.tally = Tally()

    async def spent(self, account: str) -> Spent:
        """Nothing: a cap holds for one run."""
        del account
        return Spent()

    async def begin(self, call: SupervisorCall) -> None:
        """Count it."""
        del call
        self.tally.calls += 1

    def end(self, call: SupervisorCall, end: CallEnd) -> None:
        """Add what it took."""
        del call
        tally = self.tally
        if end.why is not None:
            tally.failed[end.why] = tally.failed.get(end.why, 0) + 1
        tally.input_tokens += end.input_tokens or 0
        tally.output_tokens += end.output_tokens or 0
        tally.micro_usd += end.cost_micro_usd or 0
        tally.unpriced += end.cost_micro_usd is None


def listed(model: str, provider: str) -> ModelPricing:
    """Prices out of the shipped list."""
    return ModelPricing(Prices.load(), model=model, provider=provider)


class Asker:
    """A model behind a caller, and what it has taken so far."""

    def __init__(self, model: Model, pricing: ModelPricing, *, cap_usd: float | None) -> None:
        limit = None if cap_usd is None else int(cap_usd * _MICRO)
        self.ledger = MemoryLedger()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.caller = Caller(
            model,
            budget=Budget(Limits(day=Limit(micro_usd=limit))),
            ledger=self.ledger,
            pricing=pricing,
            lines=Lines(lambda: Breaker(failures=5, pause_ns=30_000_000_000)),
            clock=time.monotonic_ns,
            now_ns=time.time_ns,
            new_id=new_id,
        )

    async def ask(self, prompt: Prompt, errand: Errand) -> Answered | None:
        """The answer; None where there is none, which the tally counts. Raises `Unserved` once the cap is reached."""
        async with self._gate:
            try:
                return await self.caller.complete(prompt, errand, seconds=_SECONDS)
            except Unserved as failed:
                if failed.why.startswith("budget") or failed.why == "price_unknown":
                    raise
                return None


def scripted() -> Asker:
    """The scripted model, without a cap: nothing is spent."""
    return Asker(ScriptedModel(), listed(PRICED_AS, "anthropic"), cap_usd=None)


def live(settings: Settings, *, cap_usd: float) -> Asker:
    """A live model. Its key is looked up when it is needed, and kept nowhere; one without a price is not asked."""
    return Asker(model_of(settings, os.environ), pricing_of(settings, Prices.load()), cap_usd=cap_usd)


def told(tally: Tally) -> dict[str, Any]:
    """The tally for a report."""
    return msgspec.to_builtins(tally) | {"usd": round(tally.micro_usd / _MICRO, 4)}
