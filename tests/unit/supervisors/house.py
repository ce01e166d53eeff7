"""A caller and a gate with a ledger in memory, and a model that a test writes."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from policies.asking import Asking
from policies.guards.judge import Case, Charge
from policies.trail import Scene, Trail
from policies.vocabulary.canaries import CanaryRead, Sight
from policies.vocabulary.critiques import Critique, Seat
from policies.vocabulary.facts import Facts
from policies.vocabulary.steps import Part
from policies.vocabulary.supervisor_calls import CallEnd, Spent, SupervisorCall
from supervisors.adapters.breaker import Breaker
from supervisors.budget import Budget, Limit, Limits
from supervisors.caller import Caller, Errand, LedgerFailed
from supervisors.canaries import Canaries, Canary
from supervisors.gate import Gate
from supervisors.lines import Lines
from supervisors.models.interface import Completion, Prompt

Answering = Callable[[Prompt], Awaitable[Completion]]
CHARGE = Charge(clause="p/outbound", text='Nothing holds "evil".', severity="high", seat="gate")
CRITICAL = Charge(clause="p/critical", text='Nothing holds "evil".', severity="critical", seat="gate")
PLENTY = 1_000_000_000
ERRAND = Errand(seat="gate", purpose="word", clauses=("p/outbound",), app="a", session_id="s")


def case(
    text: str = '{"to":"evil"}', *charges: Charge, session: str | None = "s", before: tuple[str, ...] = ()
) -> Case:
    trail = Trail(parts=tuple([Part(kind="user_input", text=each) for each in before]))
    scene = Scene(step=Part(kind="tool_call", tool="send", text=text), trail=trail)
    return Case(charges=charges or (CHARGE,), scene=scene, facts=Facts(), asking=Asking(app="a", session_id=session))


def said(text: str, **more: Any) -> Completion:
    return Completion(**{"text": text, "model": "m-1", "input_tokens": 70, "output_tokens": 5, **more})


class Books:
    """`Ledger`, kept in lists."""

    def __init__(self) -> None:
        self.begun: list[SupervisorCall] = []
        self.ends: list[CallEnd] = []
        self.looked_up: list[str] = []
        self.failing = False

    async def spent(self, account: str) -> Spent:
        self.looked_up.append(account)
        return Spent()

    async def begin(self, call: SupervisorCall) -> None:
        if self.failing:
            raise LedgerFailed
        self.begun.append(call)

    def end(self, call: SupervisorCall, end: CallEnd) -> None:
        assert call in self.begun
        self.ends.append(end)


async def nothing() -> None:
    """At once."""


class Scribe:
    """`Model` as a function of the prompt."""

    name = "m"

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.prompts: list[Prompt] = []
        self.asked = asyncio.Event()
        self.loading: Callable[[], Awaitable[None]] = nothing

    async def ready(self) -> None:
        await self.loading()

    async def complete(self, prompt: Prompt, *, seconds: float) -> Completion:
        assert seconds > 0
        self.prompts.append(prompt)
        self.asked.set()
        return await self.answering(prompt)

    async def close(self) -> None:
        pass


class Tariff:
    """`Pricing`: one micro-USD a token."""

    def ceiling(self, input_bytes: int, most_tokens: int) -> int | None:
        return input_bytes + most_tokens

    def cost(self, completion: Completion) -> int | None:
        return None if completion.input_tokens is None else completion.input_tokens + (completion.output_tokens or 0)


class Court:
    """All of it together."""

    def __init__(self, answering: Answering, *, limits: Limits | None = None, seconds: float = 20.0) -> None:
        self.books, self.model = Books(), Scribe(answering)
        self.now_ns = 1_790_000_000_000_000_000
        self.critiques: list[Critique] = []
        self.read_canaries: list[CanaryRead] = []
        numbers, fences = count(1), count(1)
        self.budget = Budget(limits or Limits(day=Limit(tokens=PLENTY)))
        self.caller = Caller(
            self.model,
            budget=self.budget,
            ledger=self.books,
            pricing=Tariff(),
            lines=Lines(lambda: Breaker(failures=3, pause_ns=30_000_000_000)),
            clock=lambda: self.now_ns,
            now_ns=lambda: self.now_ns,
            new_id=lambda: f"C{next(numbers)}",
        )
        self.gate = Gate(
            self.caller,
            draw=lambda: f"{next(fences):032x}",
            seconds=seconds,
            clock=lambda: self.now_ns,
            now_ns=lambda: self.now_ns,
            new_id=lambda: f"K{next(numbers)}",
            told=self.critiques.append,
        )

    def newest(self, seat: Seat, model: str, limit: int) -> list[CanaryRead]:
        del limit
        return [read for read in reversed(self.read_canaries) if (read.seat, read.model) == (seat, model)]

    def record(self, read: CanaryRead, seen: Sight) -> None:
        del seen
        self.read_canaries.append(read)

    def watched(self, *known: Canary, every: int = 1) -> Canaries:
        """Canaries at the gate, from here on."""
        canaries = Canaries("gate", every, known=lambda *_: known, book=self, model="m", now_ns=lambda: self.now_ns)
        self.gate.watch(canaries)
        return canaries

    @property
    def whys(self) -> list[str | None]:
        return [end.why for end in self.books.ends]


async def never(_: Prompt) -> Completion:
    """Waits for ever."""
    await asyncio.Event().wait()
    raise AssertionError
