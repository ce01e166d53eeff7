"""The condition of a running gateway: what it tells of itself."""

import os
import time
from collections.abc import Mapping
from typing import Protocol

from gateway.alerts.occurrences import State
from gateway.api.answers import ProviderStatus
from gateway.api.supervision import status_of
from gateway.config import Config
from gateway.exchange import Gate
from gateway.keeper import LocalKeeper, Pulse
from gateway.loop_lag import LoopLag
from gateway.witnesses import Witnesses, WitnessState
from policies.vocabulary.canaries import Sight


class Exporter(Protocol):
    """What sends records to a collector, as this sees it."""

    def counters(self) -> Mapping[str, int]:
        """How it fares."""
        ...


class Condition:
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
        self.exporters: tuple[Exporter, ...] = ()
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
            **{name: count for each in self.exporters for name, count in each.counters().items()},
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

    def failing(self) -> str | None:
        """What keeps it from recording, or from publishing its audit log."""
        if self._keeper.recorder.state().failing:
            return "the store refuses to record"
        found = self._keeper.store.audit.failing
        return None if found is None else f"the audit log cannot be written: {found}"

    def unready(self) -> str | None:
        """Why new requests should go elsewhere."""
        if self.draining:
            return "shutting down"
        if self._keeper.recorder.state().failing:
            return "the store refuses to record"
        return "the audit log cannot be written" if self._keeper.store.audit.failing else None


def for_alerts(keeper: LocalKeeper) -> State:
    """What alerts look at."""
    return State(
        audit_failing=keeper.store.audit.failing is not None,
        dropped=keeper.recorder.state().dropped,
        blind=tuple([sight.seat for sight in keeper.sights() if sight.blind]),
    )
