"""Signals: a gateway ends in an order of its own, and reads its policies anew without ending."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from gateway.activation import activation
from gateway.at_the_gate import AtTheGate
from gateway.config import Config
from gateway.config.written import ConfigError
from gateway.in_force import in_force
from gateway.keeper import Keeper, LocalKeeper
from gateway.stations.benches import Supervision
from policies.errors import StepwardenError
from policies.mistakes import BadPolicy
from supervisors.panel import Panel

log = logging.getLogger("stepwarden.serve")


def on_hangup(config: Config, panel: Panel | None, keeper: Keeper, supervise: Callable[[Supervision], None]) -> None:
    """On SIGHUP read the policy files anew, and put them in force if they check; else what is in force stays.

    The audit log holds what they are before anything is judged by them. The configuration, which names them, is read at
    a start alone: where it was changed, that is said, or a policy added there would be believed in force.
    """

    async def read_anew() -> None:
        if isinstance(keeper, LocalKeeper):
            await asyncio.to_thread(_warn_of_changes, config)
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


def _warn_of_changes(config: Config) -> None:
    """Say where the configuration is written otherwise than it was read."""
    try:
        changed = config.outdated(os.environ)
    except ConfigError as wrong:
        log.warning("the configuration would not be read any more", extra={"mistakes": [*map(str, wrong.mistakes)]})
        return
    if changed:
        log.warning("the configuration was changed: it is read at the next start", extra={"changed": changed})


def stop_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def on_interrupt(stopping: asyncio.Event, cut: Callable[[], None]) -> None:
    """SIGINT stops as SIGTERM does; a second one cuts, for whoever sits at the terminal has seen enough.

    A second SIGTERM says nothing new: service managers send one to each process, and so does the parent to its workers.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: cut() if stopping.is_set() else stopping.set())


async def either(waiting: Any, serving: asyncio.Task[None]) -> None:
    """Wait until one of the two is done."""
    stopped = asyncio.ensure_future(waiting)
    await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
