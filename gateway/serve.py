"""Serving: the processes of a gateway, their sockets, their signals, and an orderly end.

One worker: one process relays and keeps. Several: the parent keeps the store and answers the control
plane, and each worker relays, speaking to it over a Unix socket; a worker that dies is started again.
SIGTERM stops taking requests, lets open streams finish within the drain time, and writes what waits. So does
SIGINT, and a second one waits for nobody: what is open is cut, and recorded so.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from gateway import logs, memory, sockets, struct_types
from gateway.activation import activation
from gateway.alerts.bell import Bell
from gateway.alerts.occurrences import Occurrence, State
from gateway.api.access import Access, over_socket
from gateway.api.answers import ProviderStatus
from gateway.api.assets import dashboard_routes
from gateway.api.backtests import Backtests, breather
from gateway.api.control import control_app, control_routes
from gateway.api.long_work import LongWork
from gateway.api.reading import Reader
from gateway.api.search import Searches
from gateway.api.supervision import status_of
from gateway.app import DataPlanes, create_app, open_keeper, open_telemetry
from gateway.at_the_gate import AtTheGate
from gateway.backtest.run import Laboratory
from gateway.config import Config, is_loopback
from gateway.contents import Reach
from gateway.control_relay import ControlRelay, mounted, relayed
from gateway.exchange import Gate
from gateway.first_key import person, show_first_key
from gateway.in_force import in_force, panel_of, standing_of
from gateway.keeper import Keeper, LocalKeeper, Pulse
from gateway.keeper_socket import KeeperSide, RemoteKeeper
from gateway.loop_lag import LoopLag
from gateway.notice_key import notice_key
from gateway.optimizing.desk import RevisionDesk
from gateway.searching import Search
from gateway.server import protocol_class
from gateway.stations.benches import Supervision
from gateway.tcp import keep_alive
from gateway.viewers import Rooms
from gateway.wire.dialects import dialects
from gateway.witness_address import read_address
from gateway.witnesses import Witnesses, WitnessState
from policies.errors import StepwardenError
from policies.evaluate import Ruleset
from policies.mistakes import BadPolicy
from policies.vocabulary.canaries import Sight
from policies.vocabulary.modes import Modes
from supervisors.panel import Panel

if TYPE_CHECKING:  # only those pay for it who name a model
    from gateway.standing import Standing
    from supervisors.monitor import Monitor

log = logging.getLogger("stepwarden.serve")

_BACKLOG = 2048
_SWITCH_SECONDS = 0.0005
"""How soon the writer thread yields to the event loop; the default of 5 ms shows in every first byte."""

_COLLECT = (20_000, 20, 50)
"""Collector thresholds: an exchange makes hundreds of short-lived objects and next to no cycles."""

_RESTART_SECONDS = 1.0

_BEAT_SECONDS = 1.0
_GRACE_SECONDS = 5.0
"""Beyond the drain time: for the exporter's last batch, and before a worker that does not end is killed."""


class Exposed(StepwardenError):
    """Asked to listen where strangers can reach it, with no key to tell them apart."""

    def remedy(self) -> str:
        """What to do first."""
        return "Create a key with `stepwarden keys create --role app`, or listen on 127.0.0.1."


class PortTaken(StepwardenError):
    """The address cannot be listened on."""

    def remedy(self) -> str:
        """What to try."""
        return "Choose another `port` in [gateway], or stop what listens there; `stepwarden doctor` looks for it."


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; 0 when all that was relayed is recorded, 1 when something was lost."""
    _settle_process()
    for note in config.notes:
        log.warning(note)
    return uvloop.run(_Gateway(config).serve())


def _settle_process() -> None:
    """What a long-lived process sets once: logs, thread switching, allocation."""
    logs.configure()
    struct_types.work_out()
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.share_one_arena()
    gc.set_threshold(*_COLLECT)


def _leave_alone() -> None:
    """Keep the collector off everything that was made to serve, policies included: it stays to the end."""
    struct_types.work_out()  # of what was loaded since
    gc.collect()
    gc.freeze()
    gc.enable()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the gateway ends in an order of its own, and with exit code 0."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the gateway."""
        yield


def _server(app: Any, config: Config, **where: Any) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            http=protocol_class(config.limits),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(config.limits.keepalive_seconds),
            timeout_graceful_shutdown=int(config.limits.drain_seconds),
            backlog=_BACKLOG,
            **where,
        )
    )


def _listen(config: Config, count: int) -> list[socket.socket]:
    """One listening socket a worker, on one port, so that the kernel shares connections out evenly."""
    host, port = config.gateway.host, config.gateway.port
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if count > 1:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            keep_alive(listener)
            listener.bind((host, port))
            port = listener.getsockname()[1]
            listeners.append(listener)
    except OSError as error:
        raise PortTaken(f"Cannot listen on {host}:{port} ({error.strerror}).") from error
    return listeners


class _Info:
    """What `/api/status` and `/readyz` tell of this gateway."""

    serving = True

    def __init__(self, config: Config, keeper: LocalKeeper, witnesses: Witnesses, port: int) -> None:
        self._keeper = keeper
        self._witnesses = witnesses
        self.started_ns: int | None = time.time_ns()
        host = f"[{config.gateway.host}]" if ":" in config.gateway.host else config.gateway.host
        self.listening: str | None = f"http://{host}:{port}"
        self.workers = config.gateway.workers
        self.providers = tuple(
            ProviderStatus(
                name=provider.name,
                dialect=provider.dialect,
                base_url=provider.base_url,
                key_present=provider.key(os.environ) is not None,
            )
            for provider in config.providers.values()
        )
        self.supervisor = status_of(config.supervisor)
        self.gate: Gate | None = None
        self.lag = LoopLag()
        self.draining = False

    def metrics(self) -> bytes:
        """What Prometheus scrapes."""
        lag = max([self.lag.worst(), *(each.late_seconds for each in self._keeper.pulses.values())])
        return self._keeper.metrics.text({**self.counters(), "event_loop_lag_seconds": lag})

    def _pulses(self) -> list[Pulse]:
        """How whoever relays fares: the workers, and this process where it relays itself."""
        own = [] if self.gate is None else [Pulse(in_flight=self.gate.in_flight, late_seconds=self.lag.worst())]
        return [*own, *self._keeper.pulses.values()]

    def witnesses(self) -> tuple[WitnessState, ...]:
        """How far each witness of the audit log is."""
        return self._witnesses.states()

    def counters(self) -> Mapping[str, int]:
        """Counts since start."""
        state = self._keeper.recorder.state()
        return {
            "recorded": state.recorded,
            "dropped": state.dropped,
            "waiting": state.waiting,
            "waiting_bytes": state.waiting_bytes,
            "holds_waiting": self._keeper.store.holds.waiting(time.time_ns()),
            "in_flight": sum([each.in_flight for each in self._pulses()]),
            "viewers": self._keeper.live.viewers,
            **self._keeper.intake.counters(),
            **self._keeper.store.audit.counters(),
            **self._read_along(),
            **self._keeper.bell.counts,
        }

    def _read_along(self) -> Mapping[str, int]:
        monitor = self._keeper.monitor
        if monitor is None:
            return {}
        from gateway.monitoring import counters  # noqa: PLC0415 - loaded by now

        return counters(monitor.state(), self.sights())

    def sights(self) -> tuple[Sight, ...]:
        """What the newest canaries of each seat say of the supervisor."""
        return self._keeper.sights()

    def unready(self) -> str | None:
        """Why new requests should go elsewhere."""
        if self.draining:
            return "shutting down"
        if self._keeper.recorder.state().failing:
            return "the store refuses to record"
        return "the audit log cannot be written" if self._keeper.store.audit.failing else None


def _state(keeper: LocalKeeper) -> State:
    """What alerts look at."""
    return State(
        audit_failing=keeper.store.audit.failing is not None,
        dropped=keeper.recorder.state().dropped,
        blind=tuple([sight.seat for sight in keeper.sights() if sight.blind]),
    )


class _Gateway:
    """The process that keeps, and relays too where it is the only one."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._supervision = Supervision({})
        self._modes = Modes(())
        self._standing: Standing | None = None
        self._dashboard = ""
        """Where people open the dashboard."""

    async def serve(self) -> int:
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
                bell.start(lambda: _state(keeper), None if keeper.standing is None else keeper.store.revisions)
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
        listeners = _listen(config, config.gateway.workers)
        port: int = listeners[0].getsockname()[1]
        info = _Info(config, keeper, witnesses, port)
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
        stopping = _stop_signals()

        def ending() -> None:
            seconds = config.limits.drain_seconds
            log.info("stopping", extra={"in_flight": info.counters()["in_flight"], "drain_seconds": seconds})
            info.draining = True
            keeper.live.close()
            work.close()

        exporters = open_telemetry(config, keeper)
        if config.gateway.workers == 1:
            await self._relay_here(keeper, panel, control, listeners, info, open_things, stopping, ending)
        else:
            servers.append(await self._serve_socket(relayed(control), sockets.RELAYED, open_things))
            await self._relay_by_crew(keeper, panel, listeners, info, open_things, stopping, ending)
        for exporter in exporters:
            await asyncio.to_thread(exporter.stop, _GRACE_SECONDS)
        for other, task in servers:
            other.should_exit = True
            await task

    async def _relay_here(
        self,
        keeper: LocalKeeper,
        panel: Panel | None,
        control: Any,
        listeners: list[socket.socket],
        info: _Info,
        open_things: AsyncExitStack,
        stopping: asyncio.Event,
        ending: Callable[[], None],
    ) -> None:
        """Relay in this process until it is stopped; `ending` is called before open requests are waited for."""
        config = self._config
        planes = DataPlanes(config, keeper, environ=os.environ, supervision=self._supervision)
        keeper.forgetting.add(planes.forget)
        open_things.push_async_callback(planes.close)
        info.gate = planes.gate
        tidying = asyncio.create_task(memory.tidy(planes.gate.carried))
        open_things.callback(tidying.cancel)
        _on_hangup(config, panel, keeper, lambda changed: self._changed(changed, planes.supervise))
        server = _server(create_app({**planes.mounts, **mounted(control)}, [dashboard_routes()]), config)
        _on_interrupt(stopping, lambda: _cut(server))
        _leave_alone()
        serving = asyncio.create_task(server.serve(sockets=listeners))
        self._announce(info)
        await _either(stopping.wait(), serving)
        ending()
        planes.gate.draining = True
        server.should_exit = True
        await serving

    async def _relay_by_crew(
        self,
        keeper: LocalKeeper,
        panel: Panel | None,
        listeners: list[socket.socket],
        info: _Info,
        open_things: AsyncExitStack,
        stopping: asyncio.Event,
        ending: Callable[[], None],
    ) -> None:
        """Have workers relay until they are stopped; `ending` as for `_relay_here`."""
        config = self._config
        await self._serve_workers_socket(keeper, open_things)
        _leave_alone()
        crew = _Crew(config, listeners)
        crew.start()
        _on_hangup(config, panel, keeper, lambda changed: self._changed(changed, lambda _: crew.hang_up()))
        _on_interrupt(stopping, crew.cut)
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
        info: _Info,
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
            )
        )

    async def _serve_socket(
        self, app: Any, name: str, open_things: AsyncExitStack
    ) -> tuple[_Server, asyncio.Task[None]]:
        """Serve HTTP on a Unix socket in the data directory, which only its owner can enter."""
        path = self._config.gateway.data_dir / name
        listener = sockets.bound(path)
        open_things.callback(path.unlink, missing_ok=True)
        listener.listen(_BACKLOG)
        server = _server(app, self._config, fd=listener.detach())
        task = asyncio.create_task(server.serve())
        return server, task

    async def _serve_workers_socket(self, keeper: LocalKeeper, open_things: AsyncExitStack) -> None:
        path = self._config.gateway.data_dir / sockets.WORKERS
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: KeeperSide(keeper), sock=sockets.bound(path))
        open_things.callback(path.unlink, missing_ok=True)
        open_things.callback(server.close)

    def _announce(self, info: _Info) -> None:
        log.info(
            "listening",
            extra={
                "url": info.listening,
                "workers": info.workers,
                "data_dir": str(self._config.gateway.data_dir),
                "providers": [provider.name for provider in info.providers],
            },
        )


class _Crew:
    """The data-plane workers of one gateway."""

    def __init__(self, config: Config, listeners: list[socket.socket]) -> None:
        self._config = config
        self._listeners = listeners
        self._spawning = multiprocessing.get_context("spawn")
        self._workers: list[BaseProcess] = []

    def start(self) -> None:
        """Start one worker on each listening socket."""
        self._workers = [self._spawn(number) for number in range(len(self._listeners))]

    def _spawn(self, number: int) -> BaseProcess:
        arguments = (self._config, self._listeners[number])
        worker = self._spawning.Process(target=work, args=arguments, name=f"stepwarden-worker-{number}")
        worker.start()
        return worker

    def hang_up(self) -> None:
        """Let every worker read its policies anew."""
        self._signal(signal.SIGHUP)

    def cut(self) -> None:
        """Let no worker wait for its open requests any more."""
        self._signal(signal.SIGUSR1)

    def _signal(self, which: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, which)

    async def watch(self, stopping: asyncio.Event) -> None:
        """Start dead workers again until told to stop."""
        while not stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RESTART_SECONDS)
            for number, worker in enumerate(self._workers):
                if not worker.is_alive() and not stopping.is_set():
                    log.error("a worker died and is started again", extra={"exit_code": worker.exitcode})
                    self._workers[number] = self._spawn(number)

    async def stop(self) -> None:
        """Let every worker drain; one that outlives its time is ended."""
        for listener in self._listeners:
            listener.close()  # else the kernel goes on taking connections that no worker will serve
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + self._config.limits.drain_seconds + _GRACE_SECONDS
        for worker in self._workers:
            await asyncio.to_thread(worker.join, max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                log.error("a worker did not drain in time")
                worker.kill()
                await asyncio.to_thread(worker.join)


def work(config: Config, listener: socket.socket) -> None:
    """The whole life of one data-plane worker process."""
    _settle_process()
    uvloop.run(_work(config, listener))


async def _work(config: Config, listener: socket.socket) -> None:
    stopping = _stop_signals()
    data_dir = config.gateway.data_dir
    loop = asyncio.get_running_loop()
    keeper = RemoteKeeper(queue_bytes=config.limits.queue_bytes, on_lost=stopping.set)
    with sockets.reachable(data_dir / sockets.WORKERS) as short:
        await loop.create_unix_connection(lambda: keeper, short)
    panel = panel_of(os.environ)
    supervision = in_force(config, panel, AtTheGate(keeper), keeper)
    await keeper.activate(activation(config, supervision))
    planes = DataPlanes(config, keeper, environ=os.environ, supervision=supervision)
    keeper.forget = planes.forget
    tidying = asyncio.create_task(memory.tidy(planes.gate.carried))
    lag = LoopLag()
    beating = [asyncio.create_task(lag.watch()), asyncio.create_task(_beat(keeper, planes.gate, lag))]
    _on_hangup(config, panel, keeper, planes.supervise)
    rooms = Rooms(keeper.watch, keeper.unwatch)
    keeper.tell = rooms.tell
    relay = ControlRelay(data_dir / sockets.RELAYED, config.limits, rooms)
    server = _server(create_app({**planes.mounts, **relay.segments()}, [dashboard_routes()]), config)
    loop.add_signal_handler(signal.SIGUSR1, lambda: _cut(server))
    _leave_alone()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await _either(stopping.wait(), serving)
    planes.gate.draining = True
    server.should_exit = True
    await serving
    if keeper.connected:
        await keeper.flush()
    for task in (tidying, *beating):
        task.cancel()
    await relay.close()
    await planes.close()
    await panel.close()


async def _beat(keeper: RemoteKeeper, gate: Gate, lag: LoopLag) -> None:
    """Tell the keeper how this worker fares; ends with its task."""
    while True:
        keeper.pulse(Pulse(in_flight=gate.in_flight, late_seconds=lag.worst()))
        await asyncio.sleep(_BEAT_SECONDS)


def _on_hangup(config: Config, panel: Panel | None, keeper: Keeper, supervise: Callable[[Supervision], None]) -> None:
    """On SIGHUP read the policy files anew, and put them in force if they check; else what is in force stays.

    The audit log holds what they are before anything is judged by them.
    """

    async def read_anew() -> None:
        try:
            supervision = await asyncio.to_thread(in_force, config, panel, AtTheGate(keeper), keeper)
            if isinstance(keeper, LocalKeeper) and keeper.standing is not None:
                await keeper.revise(lambda standing: standing.settle())
            await keeper.activate(activation(config, supervision))
        except BadPolicy as bad:
            wrong = [str(mistake) for mistake in bad.mistakes]
        except StepwardenError as error:
            wrong = [f"the audit log cannot say so: {error}"]
        else:
            supervise(supervision)
            if panel is not None:
                await panel.keep(supervision.asked)
            log.info("policies read anew")
            return
        log.error("policies not changed", extra={"mistakes": wrong})

    def hung_up() -> None:
        reading = asyncio.get_running_loop().create_task(read_anew())
        under_way.add(reading)
        reading.add_done_callback(under_way.discard)

    under_way: set[asyncio.Task[None]] = set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)


def _stop_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _on_interrupt(stopping: asyncio.Event, cut: Callable[[], None]) -> None:
    """SIGINT stops as SIGTERM does; a second one cuts, for whoever sits at the terminal has seen enough.

    A second SIGTERM says nothing new: service managers send one to each process, and so does the parent to its workers.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: cut() if stopping.is_set() else stopping.set())


def _cut(server: _Server) -> None:
    """End every open request now, as the end of the drain time does."""
    for task in list(server.server_state.tasks):
        task.cancel()


async def _either(waiting: Any, serving: asyncio.Task[None]) -> None:
    """Wait until one of the two is done."""
    stopped = asyncio.ensure_future(waiting)
    await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
