"""The control plane without a gateway: this process takes the directory's lock and serves itself."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from gateway.api.access import Access, over_socket
from gateway.api.answers import ProviderStatus, SupervisorStatus
from gateway.api.backtests import Backtests
from gateway.api.control import control_app, control_routes
from gateway.api.live import LiveFeed
from gateway.api.long_work import LongWork
from gateway.api.reading import Reader
from gateway.api.search import Searches
from gateway.api.supervision import status_of
from gateway.backtest.run import Laboratory
from gateway.config import Config
from gateway.contents import Reach
from gateway.in_force import in_force, standing_of
from gateway.keeper import NoPolicies, NoSupervisor
from gateway.mcp.grants import Grants
from gateway.notice_key import notice_key
from gateway.optimizing.desk import RevisionDesk
from gateway.searching import Search
from gateway.wire.dialects import dialects
from gateway.witnesses import WitnessState
from policies.evaluate import Ruleset
from policies.vocabulary.canaries import NEWEST, Sight, sight
from policies.vocabulary.critiques import SEATS
from policies.vocabulary.erasures import Erasure, Order
from policies.vocabulary.holds import APPROVAL_NS, Hold, Review
from policies.vocabulary.keys import Key, Role
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.modes import ModeChange, Modes
from policies.vocabulary.monitoring import DISTRUSTED, Awaiting
from policies.vocabulary.pins import ToolPin
from storage.legal_holds import HoldChange
from storage.store import Store

if TYPE_CHECKING:
    from gateway.standing import Standing


def opened(config: Config) -> tuple[Any, Callable[[], None]]:
    """The application over the opened store, and what closes it. Raises `DirectoryInUse` and the store's errors."""
    store = Store.open(
        config.gateway.data_dir,
        content=config.capture.content,
        retention_days=config.capture.retention_days,
        origin=config.audit.origin,
    )
    return _application(config, store), store.close


class DirectDesk:
    """The writes of the control plane where no gateway runs: this process holds the lock, this thread writes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create_key(
        self, *, name: str, role: Role, app: str, expires_ns: int | None, budget_micro_usd: int | None, actor: str
    ) -> tuple[Key, str]:
        """A new key and its secret."""
        return self._store.keys.create(
            name=name,
            role=role,
            app=app,
            expires_ns=expires_ns,
            budget_micro_usd=budget_micro_usd,
            now_ns=time.time_ns(),
            actor=actor,
        )

    async def revoke_key(self, key_id: str, *, actor: str) -> Key:
        """The key, revoked now."""
        return self._store.keys.revoke(key_id, time.time_ns(), actor=actor)

    async def terminate(self, session_id: str, *, actor: str) -> None:
        """Refuse every later request of a session."""
        self._store.terminate(session_id, time.time_ns(), actor=actor)

    async def change_mode(self, change: ModeChange) -> None:
        """Take a clause out of force for a while, or put it back: as a gateway has it that starts from now on."""
        self._store.modes.record(change)

    async def erase(self, order: Order) -> Erasure:
        """Destroy what is recorded of a scope."""
        return self._store.erase(order, time.time_ns())

    async def keep(self, session_id: str, change: HoldChange) -> None:
        """Keep a session beyond its time."""
        self._store.legal_holds.set(session_id, change, time.time_ns())

    async def release(self, session_id: str, change: HoldChange) -> None:
        """Keep it no longer than others."""
        self._store.legal_holds.release(session_id, change, time.time_ns())

    async def demand(self, steps: Sequence[Awaiting]) -> None:
        """Nobody reads while no gateway runs."""
        del steps
        raise NoSupervisor("no gateway is running here, so nobody would read this session")

    async def trust(self, session_id: str, *, by: str, actor: str) -> bool:
        """End the distrust of a session; whether there was any."""
        return self._store.critiques.trust(session_id, by=by, actor=actor) is not None

    async def label(self, given: LabelGiven) -> None:
        """Keep a person's label of a step."""
        self._store.labels.record(given)

    async def approve_tool(self, server: str, tool: str, review: Review) -> ToolPin:
        """Accept a tool as it is now."""
        return self._store.pins.approve(server, tool, review, time.time_ns())

    async def decide_hold(self, hold_id: str, *, approve: bool, review: Review) -> Hold:
        """A person's answer; whoever asks again within the hour gets it."""
        now_ns = time.time_ns()
        hold = self._store.holds.decide(
            hold_id, approve=approve, answer=review, now_ns=now_ns, expires_ns=now_ns + APPROVAL_NS
        )
        if approve and hold.ask.session_id is not None and DISTRUSTED in hold.ask.clauses:
            who = review.by or review.actor
            self._store.critiques.trust(hold.ask.session_id, by=who, actor=review.actor, hold_id=hold_id)
        return hold


class DirectRevisions:
    """What would be in force if a gateway started now, read once it is asked for."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store

    @cached_property
    def standing(self) -> "Standing | None":
        """None where no app names a policy."""
        return standing_of(self._config, self._store)

    async def revise(self, change: "Callable[[Standing], Any]") -> Any:
        """Change what a gateway has in force that starts from now on."""
        if self.standing is None:
            raise NoPolicies("no app names a policy, so there is nothing to revise")
        return await asyncio.to_thread(change, self.standing)


class ReadNow:
    """The clauses that a gateway would have in force if it started now."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store

    def rulesets(self) -> Mapping[str, Ruleset]:
        """By app. Raises `BadPolicy` with what keeps it from starting."""
        modes, now_ns = Modes(self._store.modes.changes()), time.time_ns()
        standing = standing_of(self._config, self._store)
        revised = {} if standing is None else standing.rulesets(modes, now_ns)
        return {**in_force(self._config).rulesets(modes, now_ns), **revised}


class NotServing:
    """What there is to say of a gateway that does not run."""

    serving = False
    started_ns: int | None = None
    listening: str | None = None
    workers = 0

    def __init__(
        self, store: Store, providers: tuple[ProviderStatus, ...], supervisor: SupervisorStatus | None
    ) -> None:
        self.providers = providers
        self.supervisor = supervisor
        self._store = store

    def counters(self) -> Mapping[str, int]:
        """None."""
        return {}

    def sights(self) -> tuple[Sight, ...]:
        """What the newest canaries said while it ran."""
        if self.supervisor is None:
            return ()
        newest = partial(self._store.canaries.newest, model=self.supervisor.model, limit=NEWEST)
        return tuple([sight(seat, newest(seat)) for seat in SEATS])

    def metrics(self) -> bytes:
        """None."""
        return b""

    def witnesses(self) -> tuple[WitnessState, ...]:
        """None are asked."""
        return ()

    def failing(self) -> str | None:
        """Nothing that could be told without one."""
        return None

    def unready(self) -> str | None:
        """Always."""
        return "no gateway is running"


def _laboratory(config: Config, store: Store) -> Laboratory:
    return Laboratory(store, store.holds, config, notice_key=notice_key(config))


async def _written(job: Callable[[], Any]) -> Any:
    """This thread writes."""
    return job()


def _nobody_waits() -> None:
    """No traffic to make way for."""


def _application(config: Config, store: Store) -> Any:
    providers = tuple(
        ProviderStatus(name=each.name, dialect=each.dialect, base_url=each.base_url, key_present=False)
        for each in config.providers.values()
    )
    known = dialects().by_name()
    access = Access(store.keys, store.sign_ins, host="localhost", port=0, allowed_hosts=(), now_ns=time.time_ns)
    work, revisions = LongWork(), DirectRevisions(config, store)
    desk = RevisionDesk(
        store,
        config,
        standing=lambda: revisions.standing,
        revise=revisions.revise,
        work=work,
        rest=_nobody_waits,
        busy=lambda: False,
    )
    reader = Reader(store, known, Reach.within(config.limits))
    search = Search(store, reader, searchable=lambda app: config.app(app).search)
    routes = control_routes(
        records=store,
        key_ring=store.keys,
        hold_book=store.holds,
        mode_book=store.modes,
        critique_book=store.critiques,
        label_book=store.labels,
        monitor_queue=store.monitor_queue,
        call_book=store.supervisor_calls,
        pin_book=store.pins,
        in_force=ReadNow(config, store),
        live_feed=LiveFeed(known),
        gateway=NotServing(store, providers, status_of(config.supervisor)),
        desk=DirectDesk(store),
        logins=Grants(config.mcp, store.grants, os.environ, written=_written),
        backtest_desk=Backtests(_laboratory(config, store), rest=_nobody_waits, work=work),
        search_desk=Searches(search, work=work, rest=_nobody_waits),
        revision_desk=desk,
        audit_log=store.audit,
        dialects=known,
        access=access,
        sign_ins=store.sign_ins,
        reach=Reach.within(config.limits),
    )
    return over_socket(control_app(routes))
