"""Backtests: recorded history against a candidate policy, as server-sent events: how far it is, then the report."""

import asyncio
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from litestar.response import Stream
from msgspec import Meta

from gateway.api.access import NotAllowed, requires, scope_of, sees
from gateway.api.events import EVENTS, streamed
from gateway.api.long_work import LongWork, Watcher
from gateway.api.looks import look
from gateway.api.numbers import Numbered
from gateway.api.ports import Audit
from gateway.backtest.history import Wanted
from gateway.backtest.run import EXAMPLES, Candidate, Laboratory
from gateway.times import moment_ns
from policies.mistakes import BadPolicy, Mistake
from policies.vocabulary.backtests import Backtest
from policies.vocabulary.keys import Principal
from storage.errors import ProposalNotFound

if TYPE_CHECKING:
    from gateway.optimizing.desk import RevisionDesk
    from policies.vocabulary.clauses import Policy
else:
    RevisionDesk = Any

MOST: Final = 10_000
"""Exchanges that are replayed unless another number is asked for."""


class CandidateFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy of the candidate."""

    name: Annotated[str, Meta(min_length=1, max_length=300)]
    """What to call it where it does not check: its path, say."""

    text: Annotated[str, Meta(max_length=500_000)]
    """The TOML of it."""


class BacktestAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to try, and on which part of the record."""

    policies: Annotated[list[CandidateFile], Meta(min_length=1, max_length=32)]
    since: Annotated[str, Meta(max_length=64)] | None = None
    """RFC 3339, or `2h` back from now."""

    sessions: Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(max_length=1000)] = []
    app: Annotated[str, Meta(max_length=200)] | None = None
    enforce: bool = True
    """False: as an app with `enforce = false` has it."""

    most: Annotated[int, Meta(ge=1, le=1_000_000)] = MOST
    """About how many exchanges are replayed."""

    examples: Annotated[int, Meta(ge=0, le=50)] = EXAMPLES
    """Flips shown for each clause and change."""


class Backtests:
    """Runs one backtest at a time, in a thread beside the event loop; whoever leaves ends it."""

    def __init__(self, laboratory: Laboratory, *, rest: Callable[[], None], work: LongWork) -> None:
        """`rest` is called after each exchange: it gives the processor back to live traffic."""
        self._laboratory = laboratory
        self._rest = rest
        self._work = work

    def begin(self, candidate: Candidate, wanted: Wanted, *, examples: int) -> AsyncIterator[bytes]:
        """Start one and follow it. Raises `WorkRunning`."""

        def work(watcher: Watcher) -> Backtest:
            return self._laboratory.run(
                candidate, wanted, progress=watcher.told, gone=watcher.gone, rest=self._rest, examples=examples
            )

        return self._work.begin(work)

    def close(self) -> None:
        """End what runs: the gateway stops."""
        self._work.close()


def breather(busy: Callable[[], bool]) -> Callable[[], None]:
    """A rest as long as the work before it, but at most 50 ms: half of one processor is left to others.

    While live traffic is `busy` it is nine times as long: then a tenth of one processor is all that is taken.
    """
    since = [time.monotonic()]

    def rest() -> None:
        worked = time.monotonic() - since[0]
        time.sleep(min(9 * worked, 0.5) if busy() else min(worked, 0.05))
        since[0] = time.monotonic()

    return rest


@post("/api/backtests", opt=requires("operator"), media_type=EVENTS, status_code=200)
async def run_backtest(
    data: JSONBody[BacktestAsk],
    backtests: NamedDependency[SkipValidation[Backtests]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Stream:
    """Try a candidate on recorded history: `progress` events, then one `report`, or one `error`. Activates nothing."""
    since_ns = None if data.since is None else moment_ns(data.since, now_ns=time.time_ns())
    app = scope_of(principal, data.app)
    if principal.role != "admin" and any(_names_code(file.text) for file in data.policies):
        raise NotAllowed("a candidate with an `own` guard names code to run, which takes the role `admin`")
    policies = await asyncio.to_thread(_loaded, data.policies)
    wanted = Wanted(since_ns=since_ns, sessions=tuple(data.sessions), app=app, most=data.most)
    candidate = Candidate(policies=policies, enforce=data.enforce)
    if data.examples:
        await asyncio.to_thread(look, audit, principal, "steps", app=app)
    events = backtests.begin(candidate, wanted, examples=data.examples)
    return streamed(events)


class ProposalBacktestAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On which part of its app's record a proposal is tried."""

    since: Annotated[str, Meta(max_length=64)] | None = None
    """RFC 3339, or `2h` back from now."""

    most: Annotated[int, Meta(ge=1, le=1_000_000)] = MOST
    """About how many exchanges are replayed."""

    examples: Annotated[int, Meta(ge=0, le=50)] = EXAMPLES
    """Flips shown for each clause and change."""


@post("/api/proposals/{number:int}/backtest", opt=requires("operator"), media_type=EVENTS, status_code=200)
async def backtest_proposal(
    number: Numbered,
    data: JSONBody[ProposalBacktestAsk],
    backtests: NamedDependency[SkipValidation[Backtests]],
    revision_desk: NamedDependency[SkipValidation[RevisionDesk]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Stream:
    """Try what a proposal would put in force on its app's recorded history, as `POST /api/backtests` tries a policy."""
    proposal = await revision_desk.proposal(number)
    if not sees(principal, proposal.app):
        raise ProposalNotFound(str(number))
    parameters = await revision_desk.candidate(number)
    since_ns = None if data.since is None else moment_ns(data.since, now_ns=time.time_ns())
    if data.examples:
        await asyncio.to_thread(look, audit, principal, "steps", app=parameters.app)
    wanted = Wanted(since_ns=since_ns, sessions=(), app=parameters.app, most=data.most)
    return streamed(backtests.begin(Candidate(policies=parameters.policies), wanted, examples=data.examples))


def _names_code(text: str) -> bool:
    """Whether reading a policy would import a class, however wrong the rest of it is; `load` says what is no TOML."""
    try:
        left: list[Any] = [tomllib.loads(text)]
    except (ValueError, RecursionError):
        return False
    while left:
        value = left.pop()
        if isinstance(value, dict):
            table = cast("dict[str, Any]", value)
            if table.get("kind") == "own":
                return True
            left += table.values()
        elif isinstance(value, list):
            left += cast("list[Any]", value)
    return False


def _loaded(files: list[CandidateFile]) -> "tuple[Policy, ...]":
    """The candidate's policies. Raises `BadPolicy` with every mistake of all of them."""
    from policies.loader import load  # noqa: PLC0415 - brings every guard along, which a gateway without policies does without

    policies: list[Policy] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            policies.append(load(file.text, file.name).policy)
        except BadPolicy as bad:
            mistakes += bad.mistakes
    if mistakes:
        raise BadPolicy(mistakes)
    return tuple(policies)
