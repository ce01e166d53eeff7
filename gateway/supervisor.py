"""The supervisor: the model that judges, joined to configuration, environment, prices and the ledger. One per gateway.

Its calls go straight to the configured address and never through this gateway.
"""

import asyncio
import datetime as dt
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from decimal import Decimal
from importlib import import_module
from typing import Final

import msgspec

from gateway.config import Config
from gateway.config import Supervisor as Settings
from gateway.endpoint import Endpoint
from gateway.ids import new_id
from gateway.prices import Price, Prices
from policies.vocabulary.critiques import Critique
from policies.vocabulary.supervisor_calls import CallEnd, Spent, SupervisorCall
from policies.vocabulary.usage import Usage
from storage.errors import StorageFailed
from storage.supervisor_calls import CallBook
from supervisors.adapters.breaker import Breaker
from supervisors.budget import Budget, Limit, Limits
from supervisors.caller import Caller, Ledger, LedgerFailed
from supervisors.gate import Gate, Told
from supervisors.lines import Lines
from supervisors.models.interface import Completion, Model
from supervisors.models.key import LookUp

log = logging.getLogger("stepwarden.supervisor")

UNPRICED: Final = (
    "the supervisor's model has no known price, so that a budget in money alone refuses every call; give "
    "input_usd_per_million and output_usd_per_million, or a budget in tokens"
)

_FAILURES: Final = 5
_PAUSE_NS: Final = 30_000_000_000
"""After so many failures in a row the model is left alone for so long; then one call is tried."""

_FENCE_BYTES: Final = 16
_EPOCH: Final = dt.date(1970, 1, 1)
_MICRO: Final = 1_000_000


class Supervisor(msgspec.Struct, frozen=True):
    """What judges in this gateway."""

    caller: Caller
    """The one way to the model, with its budget, ledger and breaker."""

    gate: Gate

    async def close(self) -> None:
        """Wait for no answer any more, and let go of connections."""
        await self.gate.close()
        await self.caller.close()


def noted(critique: Critique) -> None:
    """Say what the gate's model said, for operators; never its words."""
    worst = max(critique.opinions, key=lambda opinion: opinion.score)
    log.info(
        "the gate's critique",
        extra={
            "critique": critique.critique_id,
            "app": critique.app,
            "session": critique.session_id,
            "view": critique.view,
            "clause": worst.clause,
            "label": worst.label,
            "score": worst.score,
        },
    )


def open_supervisor(config: Config, ledger: Ledger, environ: Mapping[str, str], told: Told = noted) -> Supervisor:
    """The supervisor that the configuration names. Nothing is sent yet. Raises `PriceFileInvalid`.

    `told` keeps what the gate says.
    The key is looked up in `environ` for each call, and kept nowhere.
    """
    settings = config.supervisor
    pricing = pricing_of(settings, Prices.load(config.prices.file))
    limits = limits_of(settings)
    if not pricing.known and limits.counts_money and not limits.counts_tokens:
        log.warning(UNPRICED, extra={"model": settings.model})
    caller = Caller(
        model_of(settings, environ),
        budget=Budget(limits),
        ledger=ledger,
        pricing=pricing,
        lines=Lines(lambda: Breaker(failures=_FAILURES, pause_ns=_PAUSE_NS)),
        clock=time.monotonic_ns,
        now_ns=time.time_ns,
        new_id=new_id,
    )
    gate = Gate(
        caller,
        draw=new_fence,
        seconds=settings.deadline_seconds,
        clock=time.monotonic_ns,
        now_ns=time.time_ns,
        new_id=new_id,
        told=told,
    )
    return Supervisor(caller, gate)


def new_fence() -> str:
    """128 random bits."""
    return secrets.token_hex(_FENCE_BYTES)


def model_of(settings: Settings, environ: Mapping[str, str]) -> Model:
    """The adapter for the configured model."""
    name, base_url = settings.model or "", settings.address

    def key() -> str | None:
        return environ.get(settings.key_env or "", "").strip() or None

    look_up: LookUp | None = key if settings.key_env else None
    if settings.provider == "scripted":
        from supervisors.models.scripted import ScriptedModel  # noqa: PLC0415 - a stand-in that few name

        return ScriptedModel(name)
    if settings.provider == "openai":
        from supervisors.models.openai_compatible import PATH, OpenAiCompatibleModel  # noqa: PLC0415 - one of several

        return OpenAiCompatibleModel(name, base_url=base_url, post=Endpoint(base_url + PATH), key=look_up)
    from supervisors.models import anthropic_sdk  # noqa: PLC0415 - one of several

    threading.Thread(target=import_module, args=(anthropic_sdk.SDK,), name="stepwarden-sdk", daemon=True).start()
    return anthropic_sdk.AnthropicModel(name, post=Endpoint(base_url + anthropic_sdk.PATH), key=key)


def limits_of(settings: Settings) -> Limits:
    """The budgets as the caller counts them."""
    return Limits(
        day=_limit(settings.budget_tokens_per_day, settings.budget_usd_per_day),
        app=_limit(settings.budget_tokens_per_app, settings.budget_usd_per_app),
        session=_limit(settings.budget_tokens_per_session, settings.budget_usd_per_session),
    )


def _limit(tokens: int | None, usd: float | None) -> Limit:
    return Limit(tokens=tokens, micro_usd=None if usd is None else round(usd * _MICRO))


class ModelPricing:
    """What calls to one model cost; satisfies `Pricing`."""

    def __init__(self, prices: Prices, *, model: str, provider: str) -> None:
        self._prices = prices
        self._model = model
        self._provider = provider

    @property
    def known(self) -> bool:
        """Whether the model has a price."""
        return self._prices.find(self._model, self._provider) is not None

    def ceiling(self, input_bytes: int, most_tokens: int) -> int | None:
        """See `Pricing.ceiling`."""
        return self._prices.ceiling(self._model, input_bytes, most_tokens, self._provider)

    def cost(self, completion: Completion) -> int | None:
        """See `Pricing.cost`."""
        usage = Usage(
            input_tokens=completion.input_tokens,
            output_tokens=completion.output_tokens,
            cache_read_tokens=completion.cached_tokens,
            cache_write_tokens=completion.cache_write_tokens,
        )
        return self._prices.cost(self._model, usage, self._provider)


def pricing_of(settings: Settings, prices: Prices) -> ModelPricing:
    """The prices the configuration itself gives; else those of the price file. What is scripted costs nothing."""
    model = settings.model or ""
    free = Decimal(0) if settings.provider == "scripted" else None
    given_in = free if settings.input_usd_per_million is None else Decimal(str(settings.input_usd_per_million))
    given_out = free if settings.output_usd_per_million is None else Decimal(str(settings.output_usd_per_million))
    if given_in is None or given_out is None:
        return ModelPricing(prices, model=model, provider=settings.provider)
    row = Price(
        id=model,
        provider=settings.provider,
        input=given_in,
        output=given_out,
        cache_read=given_in,
        cache_write=given_in,
        source="https://configuration.invalid/supervisor",
        date=_EPOCH,
    )
    return ModelPricing(Prices([row], "configuration"), model=model, provider=settings.provider)


class StoredCalls:
    """The ledger of calls in `ledger.db`; satisfies `Ledger`."""

    def __init__(self, calls: CallBook) -> None:
        self._calls = calls

    async def spent(self, account: str) -> Spent:
        """See `Ledger.spent`."""
        try:
            return await asyncio.to_thread(self._calls.spent, account)
        except StorageFailed as error:
            raise LedgerFailed from error

    async def begin(self, call: SupervisorCall) -> None:
        """See `Ledger.begin`."""
        try:
            waiting = self._calls.begin(call)
            if waiting is not None:
                await asyncio.wrap_future(waiting)
        except StorageFailed as error:
            raise LedgerFailed from error

    def end(self, call: SupervisorCall, end: CallEnd) -> None:
        """See `Ledger.end`."""
        self._calls.end(call, end)


class PassingCalls:
    """A ledger that is kept no longer than the process, for calls of no gateway; satisfies `Ledger`."""

    async def spent(self, account: str) -> Spent:
        """Nothing yet."""
        del account
        return Spent()

    async def begin(self, call: SupervisorCall) -> None:
        """Kept nowhere."""

    def end(self, call: SupervisorCall, end: CallEnd) -> None:
        """Kept nowhere."""
