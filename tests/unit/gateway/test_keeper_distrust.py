"""What a critique says of a session holds at the keeper, across restarts, until a person says otherwise."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.alerts.bell import Bell
from gateway.app import open_keeper
from gateway.config import Config
from gateway.ids import new_id
from gateway.keeper import LocalKeeper, Opened, Opening
from gateway.refusals import SessionTerminated
from gateway.stations.asks import Ask
from policies.vocabulary.audit import RequestAccepted
from policies.vocabulary.critiques import Critique
from policies.vocabulary.exchanges import Body, Exchange, Recording
from policies.vocabulary.holds import HoldAsk, Review
from policies.vocabulary.monitoring import DISTRUSTED, Awaiting, Filed
from policies.vocabulary.verdicts import VerdictName

SEEN_NS = 1


@asynccontextmanager
async def keeping(folder: Path) -> AsyncGenerator[LocalKeeper]:
    config = Config.load(None, environ={}, overrides={"gateway.data_dir": str(folder / "data")})
    keeper = open_keeper(config, Bell((), {}, str))
    try:
        yield keeper
    finally:
        await asyncio.to_thread(keeper.recorder.stop, 10.0)
        keeper.store.close()


async def opened(keeper: LocalKeeper, session: str = "mine") -> Opened:
    exchange_id = new_id()
    ask = Ask(
        exchange_id=exchange_id,
        at_ns=1,
        scope=b"s" * 16,
        explicit_session=session,
        voices=("user",),
        digests=(b"d" * 16,),
        opening=b"o" * 16,
    )
    accepted = RequestAccepted(actor="owner", tenant="default", exchange=exchange_id, provider="p", operation="chat")
    return await keeper.open(Opening(accepted=accepted, ask=ask))


async def closed(keeper: LocalKeeper, one: Opened) -> None:
    """Let the exchange of an opening be recorded; now, or its time would be over."""
    now_ns = time.time_ns()
    exchange = Exchange(
        exchange_id=new_id(),
        join=one.join,
        app="default",
        provider="p",
        dialect="raw",
        operation="chat",
        method="POST",
        path="/",
        outcome="complete",
        started_ns=now_ns,
        ended_ns=now_ns,
        server_span_id=b"s" * 8,
        client_span_id=b"c" * 8,
    )
    nothing = Body(raw=b"", length=0)
    keeper.close(Recording(exchange=exchange, request=nothing, response=nothing, steps=()))
    await keeper.settled()


async def read(keeper: LocalKeeper, session_id: str, verdict: VerdictName, *, waits: bool = True) -> int:
    """Let a critique of a step come in; how many were kept."""
    step_id = f"{new_id()}.0000"
    step = Awaiting(
        step_id=step_id,
        session_id=session_id,
        app="default",
        ruleset="r",
        clauses=("house/mail",),
        risk=1,
        size=1,
        since_ns=1,
    )
    if waits:
        keeper.store.monitor_queue.take([step], SEEN_NS)
    critique = Critique(
        critique_id=new_id(),
        seat="monitor",
        app="default",
        session_id=session_id,
        steps=(step_id,),
        ruleset="r",
        opinions=(),
        calls=(),
        at_ns=1,
    )
    return len(await keeper.settle([Filed(critique=critique, verdict=verdict, clauses=("house/mail",))]))


async def answered(keeper: LocalKeeper, session_id: str, clause: str, *, approve: bool) -> None:
    """Let a call of a session wait under a clause, and a person answer."""
    ask = HoldAsk(
        binding=clause.encode().ljust(32, b".") if approve else bytes(32),
        exchange_id=new_id(),
        session_id=session_id,
        app="default",
        kind="tool_call",
        tool="pay",
        text="{}",
        clauses=(clause,),
        reason="needs_approval",
        at_ns=1,
    )
    hold = keeper.store.holds.join(ask, now_ns=1, expires_ns=1 << 62)
    await keeper.decide_hold(hold.hold_id, approve=approve, review=Review(actor="owner", by="Eve"))


def told(folder: Path, story: Callable[[LocalKeeper], Awaitable[None]]) -> None:
    async def once() -> None:
        async with keeping(folder) as keeper:
            await story(keeper)

    asyncio.run(once())


def session_of(one: Opened) -> str:
    assert one.join is not None
    return one.join.session_id


@pytest.mark.parametrize("verdict", ["hold", "reject"])
def test_a_distrusted_session_stays_so_across_a_restart_and_others_do_not(tmp_path: Path, verdict: VerdictName) -> None:
    async def before(keeper: LocalKeeper) -> None:
        first = await opened(keeper)
        assert not first.distrusted
        assert await read(keeper, session_of(first), verdict) == 1
        assert (await opened(keeper)).distrusted

    async def after(keeper: LocalKeeper) -> None:
        assert (await opened(keeper)).distrusted
        assert not (await opened(keeper, "another")).distrusted
        await keeper.trust(session_of(await opened(keeper)), by="Eve", actor="owner")
        assert not (await opened(keeper)).distrusted

    told(tmp_path, before)
    told(tmp_path, after)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_session_that_was_ended_stays_so_across_a_restart(tmp_path: Path, *, recorded: bool) -> None:
    async def before(keeper: LocalKeeper) -> None:
        first = await opened(keeper)
        if recorded:
            await closed(keeper, first)
        assert await read(keeper, session_of(first), "terminate") == 1
        if not recorded:
            await closed(keeper, first)
        with pytest.raises(SessionTerminated):
            await opened(keeper)

    async def after(keeper: LocalKeeper) -> None:
        with pytest.raises(SessionTerminated):
            await opened(keeper)
        assert not (await opened(keeper, "another")).distrusted

    told(tmp_path, before)
    told(tmp_path, after)


@pytest.mark.parametrize("verdict", ["hold", "reject", "terminate"])
def test_a_critique_of_steps_that_wait_no_more_does_nothing(tmp_path: Path, verdict: VerdictName) -> None:
    async def story(keeper: LocalKeeper) -> None:
        assert await read(keeper, session_of(await opened(keeper)), verdict, waits=False) == 0
        assert not (await opened(keeper)).distrusted

    told(tmp_path, story)


def test_only_an_approval_that_is_about_the_distrust_ends_it(tmp_path: Path) -> None:
    async def story(keeper: LocalKeeper) -> None:
        session_id = session_of(await opened(keeper))
        await read(keeper, session_id, "hold")
        await answered(keeper, session_id, "house/pay", approve=True)
        assert (await opened(keeper)).distrusted
        await answered(keeper, session_id, DISTRUSTED, approve=False)
        assert (await opened(keeper)).distrusted
        await answered(keeper, session_id, DISTRUSTED, approve=True)
        assert not (await opened(keeper)).distrusted
        assert keeper.store.critiques.distrusted() == []

    told(tmp_path, story)
