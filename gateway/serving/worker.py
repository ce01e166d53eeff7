"""A data-plane worker: it relays, and asks the keeper over a Unix socket."""

import asyncio
import os
import signal
import socket

import uvloop

from gateway import memory, sockets
from gateway.activation import activation
from gateway.api.assets import dashboard_routes
from gateway.app import DataPlanes, create_app
from gateway.at_the_gate import AtTheGate
from gateway.config import Config
from gateway.control_relay import ControlRelay
from gateway.exchange import Gate
from gateway.in_force import in_force, panel_of
from gateway.keeper import Pulse
from gateway.keeper_socket import RemoteKeeper
from gateway.loop_lag import LoopLag
from gateway.serving.listening import cut, server_of
from gateway.serving.process import leave_alone, settle
from gateway.serving.signals import either, on_hangup, stop_signals
from gateway.viewers import Rooms

_BEAT_SECONDS = 1.0


def work(config: Config, listener: socket.socket) -> None:
    """The whole life of one data-plane worker process."""
    settle()
    uvloop.run(_work(config, listener))


async def _work(config: Config, listener: socket.socket) -> None:
    stopping = stop_signals()
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
    on_hangup(config, panel, keeper, planes.supervise)
    rooms = Rooms(keeper.watch, keeper.unwatch)
    keeper.tell = rooms.tell
    relay = ControlRelay(data_dir / sockets.RELAYED, config.limits, rooms)
    server = server_of(create_app({**planes.mounts, **relay.segments()}, [dashboard_routes()]), config)
    loop.add_signal_handler(signal.SIGUSR1, lambda: cut(server))
    leave_alone()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await either(stopping.wait(), serving)
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
