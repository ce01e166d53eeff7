"""The keeper: all shared state in one place, behind the interface every data-plane worker speaks.

With one worker it lives in the same process (`LocalKeeper`); with several, workers reach it over a Unix
socket (`gateway/keeper_socket.py`). Sessions, budgets, keys, the recorder's queue and the live feed are
owned here and nowhere else.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from gateway.admission import Admission
from gateway.alerts.bell import Bell
from gateway.alerts.occurrences import Occurrence
from gateway.api.live import LiveFeed
from gateway.mcp.grants import Grants
from gateway.metrics import Metrics
from gateway.recorder import Recorder
from gateway.refusals import AuditUnavailable, BudgetExhausted, LoginNeeded, RevisionMissing, SessionTerminated
from gateway.reported.intake import Intake
from gateway.stations.asks import Ask, Done, Glimpse
from gateway.stations.errands import Errand
from gateway.stations.thread import Threader
from gateway.sticky import Sticky
from policies.asking import NOT_ASKED, Answer
from policies.errors import StepwardenError
from policies.guards.judge import Case
from policies.vocabulary.audit import GATEWAY, OWNER, ConfigActivated, Receipt, RequestAccepted
from policies.vocabulary.canaries import Sight
from policies.vocabulary.erasures import Erasure, Order
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.grants import ToolToken
from policies.vocabulary.holds import APPROVAL_NS, Hold, HoldAsk, Review
from policies.vocabulary.keys import Key, Principal, Role
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.modes import ModeChange, Modes
from policies.vocabulary.monitoring import DISTRUSTED, Awaiting, Filed
from policies.vocabulary.pins import Listing, Pinned, ToolPin
from policies.vocabulary.reports import Report
from policies.vocabulary.sessions import Join
from storage.critiques import DISTRUSTS
from storage.eraser import ErasureUnfinished
from storage.keys import KeyRing
from storage.legal_holds import HoldChange
from storage.store import Store

if TYPE_CHECKING:  # only those pay for it who name a model
    from gateway.standing import Standing
    from gateway.supervisor import Supervisor
    from supervisors.monitor import Monitor

T = TypeVar("T")

_REMEMBERED_SESSIONS = 2_000

_BUSY_SECONDS = 1.0

_MOMENT_SECONDS = 0.005
_PATIENCE = 400
"""Moments an admitted request waits for a lagging writer at most: two seconds, then it goes on as it is."""


class NoSupervisor(StepwardenError):
    """Nobody would read what is put before a supervisor."""

    status = 409

    def remedy(self) -> str:
        """What makes somebody read."""
        return "Add a [supervisor] with a model and its key to the configuration, and start `stepwarden serve`."


class NoPolicies(StepwardenError):
    """There is nothing that a revision could change."""

    status = 409

    def remedy(self) -> str:
        """What makes something to revise."""
        return 'Name a policy in the configuration first: [app.default] `policy = ["agent-baseline"]`.'


class Opening(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a worker asks of the keeper before it forwards a request."""

    accepted: RequestAccepted
    """What the audit log says of it, before anything is forwarded; it names the exchange."""

    secret: str | None = None
    """The gateway key shown, for its budget."""

    ceiling_micro_usd: int | None = None
    """What the call may cost at most; None where that is unknown."""

    priced: bool = False
    """True for calls that cost tokens: only these are held against a budget."""

    ask: Ask | None = None
    """None for requests without steps."""

    errand: Errand | None = None
    """Of a message to a tool server."""


class Pulse(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How a worker fares, told every second."""

    in_flight: int
    """Requests it carries."""

    late_seconds: float
    """The longest its event loop was late in the last fifteen seconds."""


class Opened(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The keeper's answer: where the exchange belongs."""

    join: Join | None = None
    state: bytes | None = None
    shadowed: tuple[str, ...] = ()
    """Clauses that a person took out of force, for the caller's app and now."""

    revision: str | None = None
    """What is in force for the caller's app in place of its policy files; None: they are."""

    distrusted: bool = False
    """Whether a critique wants a person to look at the session's next tool call."""

    receipt: Receipt | None = None
    """Of the `accepted` entry, where that is durable by now: for a strict app."""

    call_id: str | None = None
    """Of an errand: the model's id of the call that it carries out."""

    withheld: bool = False
    """Of an errand: whether its tool changed since a person last saw it."""

    watched: bool = False
    """Whether somebody watches this app live, and wants to see an exchange while it is under way."""

    given: tuple[tuple[str, str], ...] = ()
    """Of a request: what tool servers gave in answer to calls whose results it brings, by call id."""


class Keeper(Protocol):
    """What a data-plane worker needs of the keeper."""

    @property
    def here(self) -> bool:
        """Whether it runs on the worker's own loop: what it is told is known to all that the loop takes later."""
        ...

    async def admit(self, secret: str | None) -> Principal:
        """Who calls. Raises `Unauthenticated`."""
        ...

    async def open(self, opening: Opening) -> Opened:
        """Join the session, reserve the budget, and log that the request was accepted: durably for a strict app.

        Raises `BudgetExhausted`, `SessionTerminated` or `AuditUnavailable`.
        """
        ...

    async def activate(self, active: Sequence[ConfigActivated]) -> None:
        """Log what is about to be in force, app by app; durable on return. Raises `StepwardenError`."""
        ...

    async def parameters(self, revision: str) -> bytes:
        """What a revision puts in force, encoded. Raises `StepwardenError`."""
        ...

    def finish(self, done: Done) -> None:
        """Note how a reply ended before its caller's next request is opened: that may follow the last bytes at once."""
        ...

    def show(self, glimpse: Glimpse) -> None:
        """Show those who watch what is new of an exchange under way."""
        ...

    def close(self, recording: Recording) -> None:
        """Settle and record; returns at once."""
        ...

    def lose(self, exchange_id: str, why: str) -> None:
        """Count an exchange that was carried and cannot be recorded."""
        ...

    async def hold(self, ask: HoldAsk) -> bool:
        """Wait for a person; whether the step may go on. An approval is used up by this."""
        ...

    async def terminate(self, session_id: str) -> None:
        """Refuse every later request of a session."""
        ...

    async def supervise(self, case: Case) -> Sequence[Answer]:
        """What the gateway's one supervisor says of a proposed step: an answer for each charge, in order."""
        ...

    async def pin(self, listing: Listing) -> Pinned:
        """Hold a tool server's definitions against those it had before."""
        ...

    async def withheld(self, server: str, tool: str) -> bool:
        """Whether a tool is another one than a person last saw, now."""
        ...

    async def tool_token(self, server: str, refused: str | None) -> ToolToken:
        """The gateway's own token for a tool server; `refused`: one that the server did not take.

        Raises `LoginNeeded` or `AuthorizationFailed`.
        """
        ...

    async def report(self, report: Report) -> None:
        """Keep spans an application tells of itself; on return they are on the disk.

        Raises `TooManyReports` or `ReportsNotStored`.
        """
        ...


class LocalKeeper:
    """The keeper in this process."""

    here = True

    def __init__(  # noqa: PLR0913 - all that is shared
        self,
        *,
        store: Store,
        keys: KeyRing,
        recorder: Recorder,
        metrics: Metrics,
        bell: Bell,
        threader: Threader,
        admission: Admission,
        live: LiveFeed,
        strict: Callable[[str], bool],
        intake: Intake,
        hold_seconds: float = 240.0,
        supervisor: "Supervisor | None" = None,
        grants: Grants | None = None,
        sticky_ns: int = 24 * 3600 * 1_000_000_000,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`strict` tells of an app whether the audit log must hold its requests before they are forwarded.

        `sticky_ns`: how long a session goes on under the revision it began under.
        """
        self.store = store
        self.modes = Modes(store.modes.changes())
        """Clauses that persons took out of force; here, so that all workers learn of it with the next exchange."""
        self.supervisor = supervisor
        """What judges beside the guards; None where no model is named."""
        self._now_ns = now_ns
        self._strict = strict
        self.intake = intake
        self._active: tuple[ConfigActivated, ...] = ()
        self._activating = asyncio.Lock()
        self._hold_ns = int(hold_seconds * 1e9)
        self._decided: dict[str, asyncio.Event] = {}
        """Of holds that somebody waits for, set when they are decided."""
        self.keys = keys
        self.recorder = recorder
        self.metrics = metrics
        self.bell = bell
        self.live = live
        self.monitor: Monitor | None = None
        """Who reads what is queued; None where nobody does."""
        self.grants = grants
        """The gateway's own tokens for tool servers."""
        self.standing: Standing | None = None
        """Which revisions are in force; None where no app names a policy."""
        self._opened = -_BUSY_SECONDS
        self._sticky = Sticky(store, lasts_ns=sticky_ns, now_ns=now_ns)
        self._threader = threader
        self._admission = admission
        self.pulses: dict[object, Pulse] = {}
        """Of the workers in other processes, the last one of each that lives."""
        self._terminated: OrderedDict[str, bool] = OrderedDict()
        self.forgetting: set[Callable[[Sequence[str]], None]] = set()
        """Who judges, in this process and in others, and has to forget sessions that are erased."""
        self._distrusted = {each.session_id: each.clauses for each in store.critiques.distrusted()}
        """Sessions whose next tool call waits for a person, with the clauses that say so."""

    async def admit(self, secret: str | None) -> Principal:
        """See `Keeper.admit`. While the writer lags, an admitted caller waits a little: recording sets the pace."""
        principal = self._admission.admit(secret)
        patience = _PATIENCE
        while patience and self.recorder.crowded:
            patience -= 1
            await asyncio.sleep(_MOMENT_SECONDS)
        return msgspec.structs.replace(principal, strict=True) if self._strict(principal.app) else principal

    def is_busy(self) -> bool:
        """Whether a request was opened within the last second. From any thread."""
        return time.monotonic() - self._opened < _BUSY_SECONDS

    async def open(self, opening: Opening) -> Opened:
        """See `Keeper.open`."""
        self._opened = time.monotonic()
        attended = self._threader.attend(opening.errand) if opening.errand else None
        join, state = self._threader.join(opening.ask) if opening.ask else (None, None)
        join = attended.join if attended else join
        if join is not None and self._is_terminated(join):
            self._threader.finish(Done(exchange_id=opening.accepted.exchange, complete=False, failed=True))
            raise SessionTerminated(join.session_id)
        if opening.priced:
            try:
                self._admission.reserve(opening.accepted.exchange, opening.secret, opening.ceiling_micro_usd)
            except Exception as error:
                self._threader.finish(Done(exchange_id=opening.accepted.exchange, complete=False, failed=True))
                if isinstance(error, BudgetExhausted):
                    self.bell.hear(Occurrence(occasion="budget", app=opening.accepted.tenant or ""))
                raise
        shadowed = tuple(self.modes.shadowed(opening.accepted.tenant or "", self._now_ns()))
        distrusted = join is not None and join.session_id in self._distrusted
        revision = self._revision(opening.accepted.tenant or "", join)
        receipt = await self._accept(opening.accepted, join)
        return Opened(
            join=join,
            state=state,
            shadowed=shadowed,
            revision=revision,
            distrusted=distrusted,
            receipt=receipt,
            watched=self.live.watched(opening.accepted.tenant or ""),
            call_id=attended.call_id if attended else None,
            withheld=opening.errand is not None and self._is_withheld(opening.errand),
            given=self._threader.told(opening.ask) if opening.ask and opening.ask.results else (),
        )

    def _revision(self, app: str, join: Join | None) -> str | None:
        """What an exchange is judged by in place of the policy files: what its session began under."""
        if self.standing is None:
            return None
        line = self.standing.line(app)
        return (line.now if join is None else self._sticky.of(join, line)) or None

    def _is_withheld(self, errand: Errand) -> bool:
        return errand.tool is not None and self.store.pins.is_changed(errand.server, errand.tool)

    async def pin(self, listing: Listing) -> Pinned:
        """See `Keeper.pin`."""
        return await self._on_writer(lambda: self.store.pins.see(listing, time.time_ns()))

    async def withheld(self, server: str, tool: str) -> bool:
        """See `Keeper.withheld`."""
        return self.store.pins.is_changed(server, tool)

    async def tool_token(self, server: str, refused: str | None) -> ToolToken:
        """See `Keeper.tool_token`."""
        if self.grants is None:
            raise LoginNeeded.at(server)
        return await self.grants.token(server, refused)

    async def report(self, report: Report) -> None:
        """See `Keeper.report`."""
        await self.intake.take(report)

    async def approve_tool(self, server: str, tool: str, review: Review) -> ToolPin:
        """A person has seen how a tool changed. Raises `PinNotFound`."""
        return await self._on_writer(lambda: self.store.pins.approve(server, tool, review, time.time_ns()))

    async def _accept(self, accepted: RequestAccepted, join: Join | None) -> Receipt | None:
        """Log an accepted request; the receipt where that had to be durable. Raises `AuditUnavailable`."""
        if join is not None:
            accepted = msgspec.structs.replace(accepted, trace=join.trace_id.hex())
        if not self._strict(accepted.tenant or ""):
            self.store.sequencer.put(accepted)
            return None
        if self.store.publisher.state().broken:
            self.give_up(accepted.exchange)
            raise AuditUnavailable("The audit log does not fit what it published; no receipt of it could be kept.")
        try:
            return await asyncio.wrap_future(self.store.sequencer.durable(accepted))
        except StepwardenError as error:
            self.give_up(accepted.exchange)
            raise AuditUnavailable("The audit log cannot be written, and this app is not served without it.") from error

    async def activate(self, active: Sequence[ConfigActivated]) -> None:
        """See `Keeper.activate`; what is in force already is not said again."""
        async with self._activating:
            standing = tuple(active) if self.standing is None else self.standing.corrected(active)
            if standing != self._active:
                await asyncio.to_thread(self.store.ledger.write, (), entries=standing)
                self._active = standing

    async def parameters(self, revision: str) -> bytes:
        """See `Keeper.parameters`."""
        if self.standing is None:
            raise RevisionMissing("No app names a policy, so no revision is in force.")
        return await asyncio.to_thread(self.standing.encoded, revision)

    async def revise(self, change: "Callable[[Standing], T]") -> T:
        """Change what is in force, for exchanges that begin from then on. Raises as the change does."""
        standing = self.standing
        if standing is None:
            raise NoPolicies("no app names a policy, so there is nothing to revise")
        async with self._activating:
            changed = await asyncio.to_thread(change, standing)
            self._active = standing.corrected(self._active)
        return changed

    def finish(self, done: Done) -> None:
        """See `Keeper.finish`."""
        self._threader.finish(done)

    def show(self, glimpse: Glimpse) -> None:
        """See `Keeper.show`."""
        self.live.glimpse(glimpse)

    def close(self, recording: Recording) -> None:
        """See `Keeper.close`."""
        exchange = recording.exchange
        self._spend(self._admission.settle(exchange.exchange_id, exchange.cost_micro_usd))
        self.recorder.put(recording)
        self.live.publish(recording)

    def lose(self, exchange_id: str, why: str) -> None:
        """See `Keeper.lose`."""
        self.give_up(exchange_id)
        self.recorder.lose(exchange_id, why)

    def give_up(self, exchange_id: str) -> None:
        """An exchange nobody will close: it may have cost all that was reserved for it. Harmless once it is closed."""
        self._threader.finish(Done(exchange_id=exchange_id, complete=False, failed=True))
        self._spend(self._admission.settle(exchange_id, None))
        self.live.forget(exchange_id)

    async def settled(self) -> None:
        """Wait until everything closed so far can be read back from the store."""
        await self._on_writer(lambda: None)

    def save_cursor(self, name: str, value: str) -> None:
        """Remember how far an exporter has come; waits for the writer thread, so never call it from the event loop."""
        self.recorder.submit(lambda: self.store.save_cursor(name, value)).result()

    async def create_key(
        self,
        *,
        name: str,
        role: Role,
        app: str,
        expires_ns: int | None = None,
        budget_micro_usd: int | None = None,
        actor: str = OWNER,
    ) -> tuple[Key, str]:
        """A new gateway key and its secret, which is shown once."""
        created = await self._on_writer(
            lambda: self.keys.create(
                name=name,
                role=role,
                app=app,
                expires_ns=expires_ns,
                budget_micro_usd=budget_micro_usd,
                now_ns=time.time_ns(),
                actor=actor,
            )
        )
        self._admission.changed()
        return created

    async def revoke_key(self, key_id: str, *, actor: str = OWNER) -> Key:
        """End a gateway key now."""
        revoked = await self._on_writer(lambda: self.keys.revoke(key_id, time.time_ns(), actor=actor))
        self._admission.changed()
        return revoked

    async def hold(self, ask: HoldAsk) -> bool:
        """See `Keeper.hold`; several callers that wait for the same step share one hold."""
        now_ns = time.time_ns()
        hold = await self._on_writer(
            lambda: self.store.holds.join(ask, now_ns=now_ns, expires_ns=now_ns + self._hold_ns)
        )
        if hold.state != "waiting":
            return hold.state == "approved"
        self._announce(hold)
        decided = self._decided.setdefault(hold.hold_id, asyncio.Event())
        try:
            await asyncio.wait_for(decided.wait(), max(hold.expires_ns - time.time_ns(), 0) / 1e9)
        except TimeoutError:
            self._decided.pop(hold.hold_id, None)
            self._announce(await self._on_writer(lambda: self.store.holds.expire(hold.hold_id)))
        return await self._on_writer(lambda: self.store.holds.use(hold.hold_id, ask.exchange_id))

    async def decide_hold(self, hold_id: str, *, approve: bool, review: Review) -> Hold:
        """A person's answer; whoever waits for it goes on. Raises `HoldNotFound` or `HoldDecided`."""
        now_ns = time.time_ns()
        hold = await self._on_writer(
            lambda: self.store.holds.decide(
                hold_id, approve=approve, answer=review, now_ns=now_ns, expires_ns=now_ns + APPROVAL_NS
            )
        )
        session_id = hold.ask.session_id
        if approve and session_id in self._distrusted and DISTRUSTED in hold.ask.clauses:
            await self.trust(session_id, by=review.by or review.actor, actor=review.actor, hold_id=hold_id)
        event = self._decided.pop(hold_id, None)
        if event is not None:
            event.set()
        self._announce(hold)
        return hold

    async def settle(self, several: Sequence[Filed]) -> Sequence[Filed]:
        """Keep critiques of steps that waited, and act on them; what was kept.

        A session is ended before its critique is kept, so that no crash in between lets it go on.
        """
        kept = await self._on_writer(lambda: self._settle(several))
        for filed in kept:
            session_id = filed.critique.session_id
            if session_id is not None and filed.verdict == "terminate":
                self._terminated[session_id] = True
            elif session_id is not None and filed.verdict in DISTRUSTS:
                self._distrusted[session_id] = filed.clauses
        return kept

    def _settle(self, several: Sequence[Filed]) -> Sequence[Filed]:
        for filed in several:
            session_id = filed.critique.session_id
            ends = filed.verdict == "terminate" and self.store.monitor_queue.holds(filed.critique.steps)
            if ends and session_id is not None:
                self.store.terminate(session_id, self._now_ns())
        return self.store.critiques.settle(several)

    async def demand(self, steps: Sequence[Awaiting]) -> None:
        """Let the monitor read steps ahead of whatever else waits. Raises `NoSupervisor`."""
        if self.monitor is None:
            raise NoSupervisor("no supervisor is configured, so nobody would read this session")
        await self._on_writer(lambda: self.store.monitor_queue.demand(steps))

    async def trust(self, session_id: str, *, by: str, actor: str, hold_id: str | None = None) -> bool:
        """End the distrust of a session; whether there was any."""
        ended = await self._on_writer(
            lambda: self.store.critiques.trust(session_id, by=by, actor=actor, hold_id=hold_id)
        )
        self._distrusted.pop(session_id, None)
        return ended is not None

    async def label(self, given: LabelGiven) -> None:
        """Keep a person's label of a step."""
        await self._on_writer(lambda: self.store.labels.record(given))

    async def change_mode(self, change: ModeChange) -> None:
        """Take a clause out of force for a while, or put it back, for exchanges that begin from now on."""
        await self._on_writer(lambda: self.store.modes.record(change))
        self.modes.add(change)

    async def terminate(self, session_id: str, *, actor: str = GATEWAY) -> None:
        """Refuse every later request of a session."""
        await self._on_writer(lambda: self.store.terminate(session_id, time.time_ns(), actor=actor))
        self._terminated[session_id] = True

    async def supervise(self, case: Case) -> Sequence[Answer]:
        """See `Keeper.supervise`."""
        if self.supervisor is None:
            return [Answer(failure=NOT_ASKED) for _ in case.charges]
        return await self.supervisor.gate.judge(case)

    def sights(self) -> tuple[Sight, ...]:
        """What the newest canaries of each seat say of the supervisor; empty where nobody reads along."""
        if self.supervisor is None or self.monitor is None:
            return ()
        found = (self.supervisor.gate.sight, self.monitor.sight)
        return tuple([sight for sight in found if sight is not None])

    async def erase(self, order: Order) -> Erasure:
        """Destroy what is recorded of a scope, and forget its sessions. Raises as `Store.erase`."""
        try:
            erased = await self._on_writer(lambda: self.store.erase(order, time.time_ns()))
        except ErasureUnfinished as error:
            self._forget(error.sessions)
            raise
        self._forget(erased.sessions)
        return erased

    def _forget(self, sessions: tuple[str, ...]) -> None:
        self._threader.forget(sessions)
        if self.monitor is not None:
            self.monitor.forget(sessions)
        if self.supervisor is not None:
            self.supervisor.gate.forget(sessions)
        for forget in tuple(self.forgetting):
            forget(sessions)
        for session_id in sessions:
            self._distrusted.pop(session_id, None)
            self._sticky.forget(session_id)

    async def keep(self, session_id: str, change: HoldChange) -> None:
        """Keep a session beyond its time. Raises `HeldAlready`."""
        await self._on_writer(lambda: self.store.legal_holds.set(session_id, change, time.time_ns()))

    async def release(self, session_id: str, change: HoldChange) -> None:
        """Keep it no longer than others. Raises `NotHeld`."""
        await self._on_writer(lambda: self.store.legal_holds.release(session_id, change, time.time_ns()))

    def _announce(self, hold: Hold) -> None:
        self.live.announce(hold)
        self.bell.held(hold)

    def _spend(self, spent: tuple[str, int] | None) -> None:
        if spent is not None:
            self.recorder.submit(lambda: self.keys.spend(*spent))

    async def _on_writer(self, job: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self.recorder.submit(job))

    def _is_terminated(self, join: Join) -> bool:
        known = self._terminated.get(join.session_id)
        if known is None:
            fresh = join.relation == "opens" and join.derived
            known = not fresh and self.store.is_terminated(join.session_id)
            self._terminated[join.session_id] = known
            if len(self._terminated) > _REMEMBERED_SESSIONS:
                self._terminated.popitem(last=False)
        return known
