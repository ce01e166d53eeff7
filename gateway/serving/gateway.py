"""The process that keeps: it opens what a gateway consists of, joins it, and ends it in order."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import uvloop

from gateway import memory, sockets
from gateway.activation import activation
from gateway.alerts.bell import Bell
from gateway.alerts.occurrences import Occurrence
from gateway.api.access import Access, over_socket
from gateway.api.assets import dashboard_routes
from gateway.api.backtests import Backtests, breather
from gateway.api.control import control_app, control_routes
from gateway.api.long_work import LongWork
from gateway.api.reading import Reader
from gateway.api.search import Searches
from gateway.app import DataPlanes, create_app, open_keeper, open_telemetry
from gateway.at_the_gate import AtTheGate
from gateway.backtest.run import Laboratory
from gateway.config import Config, is_loopback
from gateway.contents import Reach
from gateway.control_relay import mounted, relayed
from gateway.first_key import person, show_first_key
from gateway.in_force import in_force, panel_of, standing_of
from gateway.keeper import LocalKeeper
from gateway.keeper_socket import KeeperSide
from gateway.notice_key import notice_key
from gateway.optimizing.desk import RevisionDesk
from gateway.searching import Search
from gateway.serving.condition import Condition, for_alerts
from gateway.serving.crew import GRACE_SECONDS, Crew
from gateway.serving.listening import BACKLOG, Server, cut, listen, server_of
from gateway.serving.process import leave_alone, settle
from gateway.serving.signals import either, on_hangup, on_interrupt, stop_signals
from gateway.stations.benches import Supervision
from gateway.wire.dialects import dialects
from gateway.witness_address import read_address
from gateway.witnesses import Witnesses
from policies.errors import StepwardenError
from policies.evaluate import Ruleset
from policies.vocabulary.modes import Modes
from supervisors.panel import Panel

if TYPE_CHECKING:  # only those pay for it who name a model
    from gateway.standing import Standing
    from supervisors.monitor import Monitor

log = logging.getLogger("stepwarden.serve")


class Exposed(StepwardenError):
    """Asked to listen where strangers can reach it, with no key to tell them apart."""

    def remedy(self) -> str:
        """What to do first."""
        return "Create a key with `stepwarden keys create --role app`, or listen on 127.0.0.1."


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; 0 when all that was relayed is recorded, 1 when something was lost."""
    settle()
    for note in config.notes:
        log.warning(note)
    return uvloop.run(Gateway(config).serve())


class _Relaying(NamedTuple):
    """What relaying takes, whether this process does it or a crew."""

    keeper: LocalKeeper
    panel: Panel | None
    listeners: list[socket.socket]
    info: Condition
    open_things: AsyncExitStack
    stopping: asyncio.Event
    ending: Callable[[], None]
    """To be called once it is to stop, before open requests are waited for."""


class Gateway:
    """The process that keeps, and relays too where it is the only one."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._supervision = Supervision({})
        self._modes = Modes(())
        self._standing: Standing | None = None
        self._dashboard = ""
        """Where people open the dashboard."""

    async def serve(self) -> int:
        """Serve until a signal says stop; the exit code of the process."""
        config = self._config
        bell = Bell(tuple(config.alerts.values()), os.environ, lambda: self._dashboard)
        keeper = open_keeper(config, bell)
        witnesses = Witnesses([read_address(each) for each in config.audit.witnesses], keeper.store.audit)
        try:
            self._refuse_exposure(keeper)
            await show_first_key(config.gateway, keeper, has_admin=keeper.keys.any("admin"), to=person())
            async with AsyncExitStack() as open_things:
                if keeper.supervisor is not None:
                    open_things.push_async_callback(keeper.supervisor.close)
                panel = self._panel(open_things)
                self._supervision = in_force(config, panel, AtTheGate(keeper), keeper)
                self._modes = keeper.modes
                keeper.standing = self._standing = await asyncio.to_thread(standing_of, config, keeper.store)
                await keeper.activate(activation(config, self._supervision))
                keeper.store.publisher.start()
                witnesses.start()
                keeper.monitor = await self._read_along(keeper, open_things)
                bell.start(lambda: for_alerts(keeper), None if keeper.standing is None else keeper.store.revisions)
                open_things.push_async_callback(bell.stop)
                self._climb(keeper, open_things)
                await self._serve(keeper, panel, witnesses, open_things)
        finally:
            whole = await asyncio.to_thread(keeper.recorder.stop, max(config.limits.drain_seconds, 10.0))
            await witnesses.stop()
            keeper.store.close()
        state = keeper.recorder.state()
        log.info("stopped", extra={"recorded": state.recorded, "dropped": state.dropped})
        return 0 if whole and not state.dropped else 1

    async def _read_along(self, keeper: LocalKeeper, open_things: AsyncExitStack) -> "Monitor | None":
        """Let the supervisor read what is recorded; None where there is none."""
        if keeper.supervisor is None:
            return None
        from gateway.monitoring import open_monitor  # noqa: PLC0415 - only those pay for it who name a model

        monitor = await asyncio.to_thread(open_monitor, self._config, keeper, keeper.supervisor, self.rulesets)
        reading = asyncio.create_task(monitor.run())

        async def stop() -> None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

        open_things.push_async_callback(stop)
        return monitor

    def _climb(self, keeper: LocalKeeper, open_things: AsyncExitStack) -> None:
        """Let proposals climb on live traffic, where an app names policies."""
        if keeper.standing is None:
            return
        from gateway.optimizing.live import open_live  # noqa: PLC0415 - with the policies, which are here by now

        loop = asyncio.get_running_loop()

        def revise(change: "Callable[[Standing], None]") -> None:
            asyncio.run_coroutine_threadsafe(keeper.revise(change), loop).result()

        live = open_live(self._config, keeper.store, keeper.standing, revise)
        live.start()
        open_things.push_async_callback(asyncio.to_thread, live.stop)

    def _every_night(self, desk: RevisionDesk, open_things: AsyncExitStack) -> None:
        """Propose on schedule, where one is configured and an app names policies."""
        schedule = self._config.optimizer.schedule
        if schedule is None or self._standing is None:
            return
        from gateway.optimizing.nightly import nightly  # noqa: PLC0415 - only those pay for it who want it

        task = asyncio.create_task(nightly(schedule, lambda: desk.optimize(None, dry=False)))
        open_things.callback(task.cancel)

    def _panel(self, open_things: AsyncExitStack) -> Panel | None:
        """Who answers for guards that are asked, where this process relays; where others do, they have their own."""
        if self._config.gateway.workers > 1:
            return None
        panel = panel_of(os.environ)
        open_things.push_async_callback(panel.close)
        return panel

    def rulesets(self) -> Mapping[str, Ruleset]:
        """The clauses in force by app, as they were last put in force."""
        now_ns = time.time_ns()
        revised = {} if self._standing is None else self._standing.rulesets(self._modes, now_ns)
        return {**self._supervision.rulesets(self._modes, now_ns), **revised}

    def _changed(self, supervision: Supervision, supervise: Callable[[Supervision], None]) -> None:
        """Put other policies in force, here and where steps are judged."""
        self._supervision = supervision
        supervise(supervision)

    def _refuse_exposure(self, keeper: LocalKeeper) -> None:
        host = self._config.gateway.host
        if not is_loopback(host) and not keeper.keys.any("app"):
            raise Exposed(f"{host} can be reached from other machines, and there is no gateway key.")

    async def _serve(
        self, keeper: LocalKeeper, panel: Panel | None, witnesses: Witnesses, open_things: AsyncExitStack
    ) -> None:
        config = self._config
        listeners = listen(config, config.gateway.workers)
        port: int = listeners[0].getsockname()[1]
        info = Condition(config, keeper, witnesses, port)
        named = config.gateway.allowed_hosts
        self._dashboard = f"https://{named[0]}" if named else info.listening or ""
        open_things.callback(asyncio.create_task(info.lag.watch()).cancel)
        work = LongWork()
        backtests = self._backtests(keeper, work)
        revisions = self._revisions(keeper, work)
        self._every_night(revisions, open_things)
        routes = self._routes(keeper, backtests, revisions, self._searches(keeper, work), info, port)
        control = control_app(routes)
        servers = [await self._serve_socket(over_socket(control), sockets.CONTROL, open_things)]
        stopping = stop_signals()

        def ending() -> None:
            seconds = config.limits.drain_seconds
            log.info("stopping", extra={"in_flight": info.counters()["in_flight"], "drain_seconds": seconds})
            info.draining = True
            keeper.live.close()
            work.close()

        exporters = info.exporters = open_telemetry(config, keeper)
        relaying = _Relaying(keeper, panel, listeners, info, open_things, stopping, ending)
        if config.gateway.workers == 1:
            await self._relay_here(relaying, control)
        else:
            servers.append(await self._serve_socket(relayed(control), sockets.RELAYED, open_things))
            await self._relay_by_crew(relaying)
        for exporter in exporters:
            await asyncio.to_thread(exporter.stop, GRACE_SECONDS)
        for other, task in servers:
            other.should_exit = True
            await task

    async def _relay_here(self, relaying: _Relaying, control: Any) -> None:
        """Relay in this process until it is stopped."""
        keeper, panel, listeners, info, open_things, stopping, ending = relaying
        config = self._config
        planes = DataPlanes(config, keeper, environ=os.environ, supervision=self._supervision)
        keeper.forgetting.add(planes.forget)
        open_things.push_async_callback(planes.close)
        info.gate = planes.gate
        tidying = asyncio.create_task(memory.tidy(planes.gate.carried))
        open_things.callback(tidying.cancel)
        on_hangup(config, panel, keeper, lambda changed: self._changed(changed, planes.supervise))
        server = server_of(create_app({**planes.mounts, **mounted(control)}, [dashboard_routes()]), config)
        on_interrupt(stopping, lambda: cut(server))
        leave_alone()
        serving = asyncio.create_task(server.serve(sockets=listeners))
        self._announce(info)
        await either(stopping.wait(), serving)
        ending()
        planes.gate.draining = True
        server.should_exit = True
        await serving

    async def _relay_by_crew(self, relaying: _Relaying) -> None:
        """Have workers relay until they are stopped."""
        keeper, panel, listeners, info, open_things, stopping, ending = relaying
        config = self._config
        await self._serve_workers_socket(keeper, open_things)
        leave_alone()
        crew = Crew(config, listeners)
        crew.start()
        on_hangup(config, panel, keeper, lambda changed: self._changed(changed, lambda _: crew.hang_up()))
        on_interrupt(stopping, crew.cut)
        self._announce(info)
        await crew.watch(stopping)
        ending()
        await crew.stop()

    def _backtests(self, keeper: LocalKeeper, work: LongWork) -> Backtests:
        laboratory = Laboratory(keeper.store, keeper.store.holds, self._config, notice_key=notice_key(self._config))
        return Backtests(laboratory, rest=breather(keeper.is_busy), work=work)

    def _revisions(self, keeper: LocalKeeper, work: LongWork) -> RevisionDesk:
        return RevisionDesk(
            keeper.store,
            self._config,
            standing=lambda: keeper.standing,
            revise=keeper.revise,
            work=work,
            rest=breather(keeper.is_busy),
            busy=keeper.is_busy,
            caller=None if keeper.supervisor is None else keeper.supervisor.caller,
        )

    def _searches(self, keeper: LocalKeeper, work: LongWork) -> Searches:
        config = self._config
        reader = Reader(keeper.store, dialects().by_name(), Reach.within(config.limits))
        search = Search(keeper.store, reader, searchable=lambda app: config.app(app).search)
        return Searches(search, work=work, rest=breather(keeper.is_busy))

    def _routes(
        self,
        keeper: LocalKeeper,
        backtests: Backtests,
        revisions: RevisionDesk,
        searches: Searches,
        info: Condition,
        port: int,
    ) -> list[Any]:
        config = self._config
        grants = keeper.grants
        assert grants is not None
        access = Access(
            keeper.keys,
            keeper.store.sign_ins,
            host=config.gateway.host,
            port=port,
            allowed_hosts=config.gateway.allowed_hosts,
            now_ns=time.time_ns,
        )
        return list(
            control_routes(
                records=keeper.store,
                key_ring=keeper.keys,
                hold_book=keeper.store.holds,
                mode_book=keeper.store.modes,
                critique_book=keeper.store.critiques,
                label_book=keeper.store.labels,
                monitor_queue=keeper.store.monitor_queue,
                call_book=keeper.store.supervisor_calls,
                pin_book=keeper.store.pins,
                in_force=self,
                live_feed=keeper.live,
                gateway=info,
                desk=keeper,
                logins=grants,
                backtest_desk=backtests,
                search_desk=searches,
                revision_desk=revisions,
                audit_log=keeper.store.audit,
                dialects=dialects().by_name(),
                unverified=lambda: keeper.bell.hear(Occurrence(occasion="not_verified")),
                access=access,
                sign_ins=keeper.store.sign_ins,
                reach=Reach.within(config.limits),
                body_seconds=config.limits.body_seconds,
            )
        )

    async def _serve_socket(
        self, app: Any, name: str, open_things: AsyncExitStack
    ) -> tuple[Server, asyncio.Task[None]]:
        """Serve HTTP on a Unix socket in the data directory, which only its owner can enter."""
        path = self._config.gateway.data_dir / name
        listener = sockets.bound(path)
        open_things.callback(path.unlink, missing_ok=True)
        listener.listen(BACKLOG)
        server = server_of(app, self._config, fd=listener.detach())
        task = asyncio.create_task(server.serve())
        return server, task

    async def _serve_workers_socket(self, keeper: LocalKeeper, open_things: AsyncExitStack) -> None:
        path = self._config.gateway.data_dir / sockets.WORKERS
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: KeeperSide(keeper), sock=sockets.bound(path))
        open_things.callback(path.unlink, missing_ok=True)
        open_things.callback(server.close)

    def _announce(self, info: Condition) -> None:
        log.info(
            "listening",
            extra={
                "url": info.listening,
                "workers": info.workers,
                "data_dir": str(self._config.gateway.data_dir),
                "providers": [provider.name for provider in info.providers],
            },
        )
