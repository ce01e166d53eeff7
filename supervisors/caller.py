"""The caller: the one way to a supervisor's model, for the gate and the monitor alike.

Whoever calls says on whose account. The budget is reserved and the call written down before anything is sent; what it
took is settled after, whatever became of it. Nothing is tried twice here. Both seats share budget and ledger, and each
leaves a provider alone by itself that fails again and again or says that it is overloaded (`supervisors/lines.py`).
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from policies.trail import utf8
from policies.vocabulary.critiques import Consumed, View
from policies.vocabulary.supervisor_calls import CallEnd, CallSeat, Purpose, Spender, Spent, SupervisorCall
from supervisors.adapters.breaker import Pass
from supervisors.budget import Budget, BudgetGone, Ceiling, Reserved
from supervisors.lines import LeftAlone, Lines
from supervisors.models.interface import Completion, Model, Prompt, Unanswered
from supervisors.ports import Clock

FRAME_BYTES: Final = 4096
"""Room in a call for what a provider puts around a prompt, in bytes, and so in tokens at most."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is for, and on whose account it goes."""

    seat: CallSeat
    purpose: Purpose
    view: View | None = None
    clauses: tuple[str, ...]
    app: str
    session_id: str | None = None
    exchange_id: str | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, with what it took."""

    completion: Completion
    consumed: Consumed


class Unserved(Exception):
    """There is no answer; `why` is a low-cardinality word.

    Those of `Unanswered`, and `budget_session budget_app budget_day price_unknown breaker_open ledger_failed`.
    """

    def __init__(self, why: str, *, retry_after_seconds: float | None = None) -> None:
        """`retry_after_seconds`: how long the provider is left alone, where that is why."""
        super().__init__(why)
        self.why = why
        self.retry_after_seconds = retry_after_seconds

    @property
    def failure(self) -> str:
        """The word that is recorded."""
        return self.why


class LedgerFailed(Exception):
    """The ledger could not be read or written; nothing was sent."""


class Ledger(Protocol):
    """Where calls are written down."""

    async def spent(self, account: str) -> Spent:
        """What an account has spent, calls that never ended at their ceilings. Raises `LedgerFailed`."""
        ...

    async def begin(self, call: SupervisorCall) -> None:
        """Write a call down, and its ceiling on the accounts of its spender; on return no kill of the process loses it.

        Raises `LedgerFailed`.
        """
        ...

    def end(self, call: SupervisorCall, end: CallEnd) -> None:
        """Write down what became of it; returns at once, durable soon after."""
        ...


class Pricing(Protocol):
    """What calls to the configured model cost, in micro-USD; None where that is not known."""

    def ceiling(self, input_bytes: int, most_tokens: int) -> int | None:
        """The most that a call with so many bytes in and tokens out can cost."""
        ...

    def cost(self, completion: Completion) -> int | None:
        """What an answer cost."""
        ...


class Caller:
    """One model with its budget and ledger, and a line to it for each seat. Used from one event loop."""

    def __init__(
        self,
        model: Model,
        *,
        budget: Budget,
        ledger: Ledger,
        pricing: Pricing,
        lines: Lines,
        clock: Clock,
        now_ns: Clock,
        new_id: Callable[[], str],
    ) -> None:
        """`clock` is monotonic, `now_ns` the wall clock; both nanoseconds. `new_id` gives ULIDs."""
        self._model = model
        self._budget = budget
        self._ledger = ledger
        self._pricing = pricing
        self._lines = lines
        self._clock = clock
        self._now_ns = now_ns
        self._new_id = new_id

    @property
    def model(self) -> str:
        """The model, as configured."""
        return self._model.name

    async def complete(self, prompt: Prompt, errand: Errand, *, seconds: float) -> Answered:
        """The model's answer within so many seconds. Raises `Unserved`, and nothing else but `CancelledError`."""
        try:
            leave = self._lines.enter(errand.seat, self._clock())
        except LeftAlone as refused:
            raise Unserved(refused.why, retry_after_seconds=refused.retry_after_seconds) from None
        began_ns = self._clock()
        try:
            await self._ready(seconds)
            call, reserved = await self._begun(prompt, errand)
        except BaseException:
            self._lines.abandoned(errand.seat, leave)
            raise
        return await self._sent(prompt, call, reserved, leave, seconds - (self._clock() - began_ns) / 1e9)

    async def close(self) -> None:
        """Let go of the model's connections."""
        await self._model.close()

    async def _ready(self, seconds: float) -> None:
        """Wait for the model to be there. Raises `Unserved`."""
        try:
            async with asyncio.timeout(seconds):
                await self._model.ready()
        except TimeoutError:
            raise Unserved("timed_out") from None
        except Exception as error:  # noqa: BLE001 - an adapter that cannot be loaded is a failure like others
            raise Unserved(f"raised:{type(error).__name__}") from None

    async def _begun(self, prompt: Prompt, errand: Errand) -> tuple[SupervisorCall, Reserved]:
        """Reserve and write down. Raises `Unserved`, and then neither is done."""
        at_ns = self._now_ns()
        spender = Spender.at(at_ns, app=errand.app, session_id=errand.session_id)
        ceiling = self._ceiling(prompt)
        try:
            for account in self._budget.unknown(spender):
                self._budget.know(account, await self._ledger.spent(account))
            reserved = self._budget.reserve(spender, ceiling)
        except (BudgetGone, LedgerFailed) as failed:
            raise Unserved(failed.why if isinstance(failed, BudgetGone) else "ledger_failed") from None
        call = SupervisorCall(
            call_id=self._new_id(),
            at_ns=at_ns,
            model=self._model.name,
            prompt=prompt.revision,
            ceiling_tokens=ceiling.tokens,
            ceiling_micro_usd=ceiling.micro_usd,
            **msgspec.structs.asdict(errand),
        )
        try:
            await self._ledger.begin(call)
        except LedgerFailed:
            self._budget.settle(reserved, tokens=0, micro_usd=0)
            raise Unserved("ledger_failed") from None
        except asyncio.CancelledError:
            self._ended(call, reserved, _unbilled(call, "cancelled"))
            raise
        return call, reserved

    async def _sent(
        self, prompt: Prompt, call: SupervisorCall, reserved: Reserved, leave: Pass, seconds: float
    ) -> Answered:
        began_ns = self._clock()
        try:
            async with asyncio.timeout(seconds):
                completion = await self._model.complete(prompt, seconds=seconds)
        except TimeoutError:
            self._failed(call, reserved, leave, Unanswered("timed_out"), began_ns)
            raise Unserved("timed_out") from None
        except Unanswered as failed:
            self._failed(call, reserved, leave, failed, began_ns)
            raise Unserved(failed.why, retry_after_seconds=failed.retry_after_seconds) from None
        except asyncio.CancelledError:
            self._lines.abandoned(call.seat, leave)
            micros = self._since(began_ns)
            self._ended(call, reserved, CallEnd(call_id=call.call_id, state="failed", why="cancelled", micros=micros))
            raise
        except Exception as error:  # noqa: BLE001 - an adapter's fault must not leave a call without its end
            failed = Unanswered(f"raised:{type(error).__name__}")
            self._failed(call, reserved, leave, failed, began_ns)
            raise Unserved(failed.why) from None
        self._lines.succeeded(call.seat, leave)
        return self._done(prompt, call, reserved, completion, began_ns)

    def _done(
        self, prompt: Prompt, call: SupervisorCall, reserved: Reserved, completion: Completion, began_ns: int
    ) -> Answered:
        cost, micros = self._pricing.cost(completion), self._since(began_ns)
        end = CallEnd(
            call_id=call.call_id,
            state="done",
            answered_by=completion.model,
            input_tokens=completion.input_tokens,
            cached_tokens=completion.cached_tokens,
            output_tokens=completion.output_tokens,
            cost_micro_usd=cost,
            micros=micros,
        )
        self._ended(call, reserved, end)
        consumed = Consumed(
            model=completion.model,
            prompt=prompt.revision,
            input_tokens=completion.input_tokens,
            cached_tokens=completion.cached_tokens,
            output_tokens=completion.output_tokens,
            cost_micro_usd=cost,
            micros=micros,
        )
        return Answered(completion=completion, consumed=consumed)

    def _failed(self, call: SupervisorCall, reserved: Reserved, leave: Pass, failed: Unanswered, began_ns: int) -> None:
        self._lines.failed(call.seat, leave, failed, self._clock())
        micros = self._since(began_ns)
        if failed.sent:
            self._ended(call, reserved, CallEnd(call_id=call.call_id, state="failed", why=failed.why, micros=micros))
        else:
            self._ended(call, reserved, _unbilled(call, failed.why, micros))

    def _ended(self, call: SupervisorCall, reserved: Reserved, end: CallEnd) -> None:
        self._budget.settle(reserved, tokens=end.tokens, micro_usd=end.cost_micro_usd)
        self._ledger.end(call, end)

    def _ceiling(self, prompt: Prompt) -> Ceiling:
        """A token is at least one byte, so a prompt of n bytes holds at most n of them."""
        texts = (prompt.system, *prompt.history, prompt.question)
        schema = b"" if prompt.schema is None else msgspec.json.encode(prompt.schema)
        size = sum(len(utf8(text)) for text in texts) + len(schema) + FRAME_BYTES
        return Ceiling(tokens=size + prompt.most_tokens, micro_usd=self._pricing.ceiling(size, prompt.most_tokens))

    def _since(self, began_ns: int) -> int:
        return max(self._clock() - began_ns, 0) // 1000


def _unbilled(call: SupervisorCall, why: str, micros: int = 0) -> CallEnd:
    """The end of a call that failed and took nothing."""
    return CallEnd(
        call_id=call.call_id,
        state="failed",
        why=why,
        input_tokens=0,
        output_tokens=0,
        cost_micro_usd=0,
        micros=micros,
    )
