"""A worker that dies owes nothing for ever: what it had open is spent in full, and its sessions go on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from gateway import keeper_socket, sockets
from gateway.alerts.bell import Bell
from gateway.app import open_keeper
from gateway.config import Config
from gateway.ids import new_id
from gateway.keeper import LocalKeeper, Opening
from gateway.keeper_socket import KeeperLost, KeeperSide, RemoteKeeper
from gateway.refusals import BudgetExhausted, SessionTerminated
from gateway.stations.asks import Ask
from policies.vocabulary.audit import RequestAccepted
from policies.vocabulary.erasures import Order
from policies.vocabulary.exchanges import Body, Exchange, Recording

BUDGET = 100


class Side(KeeperSide):
    """The keeper's side of a connection, which tells when it has seen the end of it."""

    def __init__(self, keeper: LocalKeeper) -> None:
        super().__init__(keeper)
        self.over = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.set()


class Keeping:
    """A keeper with its socket in the data directory, and the workers connected to it."""

    def __init__(self, folder: Path, keeper: LocalKeeper) -> None:
        self.keeper = keeper
        self._socket = folder / "data" / sockets.WORKERS
        self._links: dict[RemoteKeeper, Side] = {}
        self._newest: asyncio.Future[Side] = asyncio.get_running_loop().create_future()

    async def serve(self) -> asyncio.AbstractServer:
        return await asyncio.get_running_loop().create_unix_server(self._side, sock=sockets.bound(self._socket))

    def _side(self) -> Side:
        side = Side(self.keeper)
        self._newest.set_result(side)
        return side

    def recorded(self) -> int:
        return self.keeper.recorder.state().recorded

    def dropped(self) -> int:
        return self.keeper.recorder.state().dropped

    async def worker(self, queue_bytes: int = 1 << 20) -> RemoteKeeper:
        link = RemoteKeeper(queue_bytes=queue_bytes, on_lost=lambda: None)
        with sockets.reachable(self._socket) as short:
            await asyncio.get_running_loop().create_unix_connection(lambda: link, short)
        self._links[link] = await self._newest
        self._newest = asyncio.get_running_loop().create_future()
        return link

    async def end(self, link: RemoteKeeper) -> None:
        """Break a worker's connection as its death would, and wait until the keeper has seen it."""
        assert link.transport is not None
        link.transport.abort()
        await self._links.pop(link).over.wait()

    async def end_all(self) -> None:
        for link in list(self._links):
            await self.end(link)

    async def bound_key(self) -> str:
        return (await self.keeper.create_key(name="bound", role="app", app="default", budget_micro_usd=BUDGET))[1]

    async def spent(self) -> int:
        await self.keeper.settled()
        return self.keeper.keys.list()[0].spent_micro_usd


@asynccontextmanager
async def keeping(folder: Path) -> AsyncGenerator[Keeping]:
    keeper = open_keeper(
        Config.load(None, environ={}, overrides={"gateway.data_dir": str(folder / "data")}), Bell((), {}, str)
    )
    keep = Keeping(folder, keeper)
    server = await keep.serve()
    try:
        yield keep
    finally:
        await keep.end_all()
        server.close()
        await asyncio.to_thread(keeper.recorder.stop, 10.0)
        keeper.store.close()


def opening(secret: str, ceiling: int) -> Opening:
    exchange_id = new_id()
    ask = Ask(
        exchange_id=exchange_id,
        at_ns=1,
        scope=b"s" * 16,
        explicit_session="mine",
        voices=("user",),
        digests=(b"d" * 16,),
        opening=b"o" * 16,
    )
    return Opening(
        accepted=accepted(exchange_id),
        secret=secret,
        ceiling_micro_usd=ceiling,
        priced=True,
        ask=ask,
    )


def accepted(exchange_id: str) -> RequestAccepted:
    return RequestAccepted(actor="owner", tenant="default", exchange=exchange_id, provider="p", operation="chat")


def closing(opened: Opening, cost: int) -> Recording:
    exchange = Exchange(
        exchange_id=opened.accepted.exchange,
        app="default",
        provider="p",
        dialect="raw",
        operation="chat",
        method="POST",
        path="/",
        outcome="complete",
        started_ns=1,
        ended_ns=2,
        cost_micro_usd=cost,
        server_span_id=b"s" * 8,
        client_span_id=b"c" * 8,
    )
    nothing = Body(raw=b"", length=0)
    return Recording(exchange=exchange, request=nothing, response=nothing, steps=())


def test_a_refusal_says_the_same_on_both_sides_of_the_socket(tmp_path: Path) -> None:
    async def told() -> None:
        async with keeping(tmp_path) as keep:
            worker = await keep.worker()
            joined = await worker.open(opening(await keep.bound_key(), 1))
            assert joined.join is not None
            await keep.keeper.terminate(joined.join.session_id)
            refused: list[SessionTerminated] = []
            for side in (keep.keeper, worker):
                with pytest.raises(SessionTerminated) as raised:
                    await side.open(opening(await keep.bound_key(), 1))
                refused.append(raised.value)
            here, there = refused
            assert (str(here), here.headers) == (str(there), there.headers)
            assert dict(here.headers) == {b"stepwarden-session": joined.join.session_id.encode()}

    asyncio.run(told())


def test_what_a_dead_worker_had_open_is_spent_in_full_and_the_rest_as_it_cost(tmp_path: Path) -> None:
    async def told() -> None:
        async with keeping(tmp_path) as keep:
            secret = await keep.bound_key()
            victim, survivor = await keep.worker(), await keep.worker()
            closed, lost, kept = opening(secret, 30), opening(secret, 40), opening(secret, 20)
            for link, one in ((victim, closed), (victim, lost), (survivor, kept)):
                await link.open(one)
            victim.close(closing(closed, 10))
            await victim.flush()
            assert await keep.spent() == 10
            await keep.end(victim)
            assert await keep.spent() == 50
            survivor.close(closing(kept, 5))
            await survivor.flush()
            assert await keep.spent() == 55
            await survivor.open(opening(secret, BUDGET - 55))
            with pytest.raises(BudgetExhausted):
                await survivor.open(opening(secret, 1))

    asyncio.run(told())


def test_what_a_dead_worker_carried_and_never_closed_counts_as_dropped(tmp_path: Path) -> None:
    async def told() -> None:
        async with keeping(tmp_path) as keep:
            secret = await keep.bound_key()
            victim = await keep.worker()
            closed, lost = opening(secret, 1), opening(secret, 1)
            for one in (closed, lost):
                await victim.open(one)
            await victim.open(Opening(accepted=accepted("01-an-upload")))
            victim.close(closing(closed, 1))
            await victim.flush()
            await keep.end(victim)
            await keep.keeper.settled()
            assert (keep.recorded(), keep.dropped()) == (1, 2)

    asyncio.run(told())


def test_what_a_stalled_keeper_cannot_take_counts_as_dropped_and_is_spent_in_full(tmp_path: Path) -> None:
    async def told() -> None:
        async with keeping(tmp_path) as keep:
            secret = await keep.bound_key()
            link = await keep.worker(queue_bytes=-1)
            one = opening(secret, 40)
            await link.open(one)
            link.close(closing(one, 1))
            await link.flush()
            assert await keep.spent() == 40
            assert (keep.recorded(), keep.dropped()) == (0, 1)
            await keep.end(link)
            assert keep.dropped() == 1

    asyncio.run(told())


def test_what_is_too_large_for_the_socket_counts_as_dropped_and_ends_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_socket, "_LARGEST", 64 << 10)

    async def told() -> None:
        async with keeping(tmp_path) as keep:
            secret = await keep.bound_key()
            link = await keep.worker()
            large, small = opening(secret, 40), opening(secret, 30)
            await link.open(large)
            await link.open(small)
            body = Body(raw=bytes(64 << 10), length=64 << 10)
            link.close(msgspec.structs.replace(closing(large, 1), request=body))
            link.close(closing(small, 2))
            await link.flush()
            assert await keep.spent() == 40 + 2
            assert (keep.recorded(), keep.dropped()) == (1, 1)
            with pytest.raises(KeeperLost):
                await link.admit("swk_" + "x" * (64 << 10))
            assert (await link.admit(secret)).app == "default"

    asyncio.run(told())


def test_asked_again_after_its_worker_died_a_request_is_a_retry_and_no_fork(tmp_path: Path) -> None:
    async def told() -> None:
        async with keeping(tmp_path) as keep:
            secret = await keep.bound_key()
            victim, survivor = await keep.worker(), await keep.worker()
            first = opening(secret, 1)
            joined = (await victim.open(first)).join
            await keep.end(victim)
            after = (await survivor.open(opening(secret, 1))).join
            assert joined is not None
            assert after is not None
            assert (after.session_id, after.branch_id, after.relation) == (
                joined.session_id,
                joined.branch_id,
                "retries",
            )

    asyncio.run(told())


def test_an_exchange_closed_before_its_opening_was_answered_holds_no_budget(tmp_path: Path) -> None:
    async def told() -> None:
        async with keeping(tmp_path) as keep:
            secret = await keep.bound_key()
            link = await keep.worker()
            early = opening(secret, 60)
            asking = asyncio.ensure_future(link.open(early))
            await asyncio.sleep(0)
            asking.cancel()
            link.close(closing(early, 0))
            await link.flush()
            assert await keep.spent() in {0, 60}
            await link.open(opening(secret, BUDGET - await keep.spent()))

    asyncio.run(told())


def test_every_worker_hears_of_sessions_that_are_erased(tmp_path: Path) -> None:
    async def told() -> None:
        async with keeping(tmp_path) as keep:
            links = [await keep.worker(), await keep.worker()]
            secret = await keep.bound_key()
            begun = opening(secret, 1)
            opened = await links[0].open(begun)
            assert opened.join is not None
            recording = closing(begun, 1)
            exchange = msgspec.structs.replace(recording.exchange, join=opened.join)
            links[0].close(msgspec.structs.replace(recording, exchange=exchange))
            await links[0].flush()
            await keep.keeper.settled()
            heard: list[asyncio.Future[Sequence[str]]] = [asyncio.get_running_loop().create_future() for _ in links]
            for link, future in zip(links, heard, strict=True):
                link.forget = future.set_result
            await keep.keeper.erase(
                Order(scope=f"session:{opened.join.session_id}", basis="GDPR Art. 17", by="the officer", actor="owner")
            )
            assert [list(await future) for future in heard] == [[opened.join.session_id]] * 2
            await keep.end(links[1])
            assert len(keep.keeper.forgetting) == 1

    asyncio.run(told())
