"""What the control plane needs of the rest of the house, as Protocols; `storage` and the keeper fit by shape."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from gateway.api.answers import ProviderStatus, SupervisorStatus
from gateway.times import rfc3339
from gateway.witnesses import WitnessState
from policies.errors import StepwardenError
from policies.evaluate import Ruleset
from policies.vocabulary.audit import Entry
from policies.vocabulary.canaries import Sight
from policies.vocabulary.erasures import Erasure, Order
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.grants import LoginAnswer
from policies.vocabulary.holds import Hold, HoldState, Review
from policies.vocabulary.judgements import Judged
from policies.vocabulary.keys import Key, Role
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.modes import ModeChange
from policies.vocabulary.monitoring import Awaiting, Distrust, Filed
from policies.vocabulary.pins import ToolPin
from policies.vocabulary.reports import ReportedSpan
from policies.vocabulary.sign_ins import SignIn
from policies.vocabulary.steps import Step
from policies.vocabulary.supervisor_calls import Spent
from storage.audit.snapshot import Snapshot
from storage.legal_holds import HoldChange
from storage.rotation import Rotated
from storage.rows import BranchRow, ErasedRow, FacetRow, RecordedRow, SessionRow, StoredBody, StoreStats
from storage.sessions import EVERY_SESSION, SessionFilter
from storage.step_seals import Sealed
from storage.supervisor_calls import CallSum
from storage.usage import UsageRow


class NotFound(StepwardenError):
    """Nothing of that id is kept here, or it belongs to another app."""

    status = 404

    def remedy(self) -> str:
        """Where ids are listed."""
        return "Run `stepwarden sessions list` or `stepwarden exchanges list` to see what is kept."


class Erased(StepwardenError):
    """What was asked for was erased."""

    status = 410

    def __init__(self, what: str, found: ErasedRow) -> None:
        super().__init__(f"the content of this {what} was erased at {rfc3339(found.at_ns)}; basis: {found.basis}")

    def remedy(self) -> str:
        """There is nothing to be done, and somewhere to look."""
        return "Nothing brings it back: its keys are destroyed. The audit log says on whose word (`content.erased`)."


class Records(Protocol):
    """The reads of the store; every one is safe from any thread. `storage.store.Store` fits."""

    def sessions(
        self, wanted: SessionFilter = EVERY_SESSION, *, limit: int = 50, before: str | None = None
    ) -> list[SessionRow]:
        """Sessions, newest activity first."""
        ...

    def session(self, session_id: str, *, app: str | None = None) -> SessionRow | None:
        """One session by its id or an unambiguous beginning of it; with `app`, as if no other app had any."""
        ...

    def branches(self, session_id: str) -> list[BranchRow]:
        """The branches of a session."""
        ...

    def exchanges(self, session_id: str) -> list[Exchange]:
        """The exchanges of a session, in order."""
        ...

    def turns(self, session_id: str, *, after: int = 0, limit: int = 200) -> list[RecordedRow]:
        """Exchanges of a session with all that is recorded of them, in order, from the one after a number on."""
        ...

    def facets(self, app: str | None = None) -> FacetRow:
        """What the newest sessions can be told apart by; with `app`, only its own."""
        ...

    def usage(self, since_ns: int, until_ns: int, slot_ns: int, *, app: str | None = None) -> list[UsageRow]:
        """What began in `[since_ns, until_ns)`, summed by slot of time, app and model."""
        ...

    def exchange(self, exchange_id: str, *, app: str | None = None) -> Exchange | None:
        """One exchange by its id or an unambiguous beginning of it; with `app`, as if no other app had any."""
        ...

    def steps(self, session_id: str) -> list[Step]:
        """The steps of a session, in order."""
        ...

    def exchange_steps(self, exchange_id: str) -> list[Step]:
        """The steps of one exchange, in order."""
        ...

    def judged(self, exchange_id: str) -> Judged | None:
        """What clauses said of one exchange."""
        ...

    def reported(self, session_id: str, limit: int, *, in_full: bool = True) -> list[ReportedSpan]:
        """Spans the application reported of a session, in the order in which they began."""
        ...

    def recent(self, *, limit: int = 50, app: str | None = None) -> list[Exchange]:
        """Exchanges, newest first; with `app`, only its own."""
        ...

    def body(self, exchange_id: str, side: Literal["request", "response"]) -> StoredBody | None:
        """One body exactly as it crossed the wire."""
        ...

    def cut(self, exchange_id: str, index: int) -> bytes | None:
        """One cut of a request."""
        ...

    def erased_session(self, session_id: str) -> ErasedRow | None:
        """What became of a session that was erased, by its whole id."""
        ...

    def erased_exchange(self, exchange_id: str) -> ErasedRow | None:
        """What became of an exchange that was erased, by its whole id."""
        ...

    def period(self, since_ns: int, until_ns: int, *, app: str | None = None) -> Iterator[RecordedRow]:
        """What began in a period, day by day, without holding all of it in memory."""
        ...

    def stats(self) -> StoreStats:
        """The store in sum."""
        ...


class KeyReader(Protocol):
    """The reads of the key ring. `storage.keys.KeyRing` fits."""

    def find(self, secret: str) -> Key | None:
        """The key with this secret, whatever its state."""
        ...

    def named(self, key_id: str) -> Key | None:
        """The key with this id, whatever its state."""
        ...

    def list(self) -> list[Key]:
        """All keys ever made."""
        ...


class SignIns(Protocol):
    """Which browsers are signed in. `storage.sign_ins.SignInBook` fits; every method is safe from any thread."""

    def begin(self, key: Key) -> tuple[str, SignIn]:
        """Sign a browser in with this key; its token is given this once."""
        ...

    def find(self, token: str) -> SignIn | None:
        """The sign-in of this token, if it holds still."""
        ...

    def end(self, token: str) -> None:
        """Sign a browser out."""
        ...

    def csrf(self, token: str) -> str:
        """What a request must show beside the cookie to change anything."""
        ...


class Desk(Protocol):
    """The writes of the control plane, carried out by whoever owns the writing thread; `actor` is who asked for one."""

    async def create_key(
        self, *, name: str, role: Role, app: str, expires_ns: int | None, budget_micro_usd: int | None, actor: str
    ) -> tuple[Key, str]:
        """A new key and its secret."""
        ...

    async def revoke_key(self, key_id: str, *, actor: str) -> Key:
        """The key, revoked now. Raises where there is none."""
        ...

    async def terminate(self, session_id: str, *, actor: str) -> None:
        """Refuse every later request of a session."""
        ...

    async def change_mode(self, change: ModeChange) -> None:
        """Take a clause out of force for a while, or put it back."""
        ...

    async def erase(self, order: Order) -> Erasure:
        """Destroy what is recorded of a scope. Raises where there is nothing, or it must be kept."""
        ...

    async def keep(self, session_id: str, change: HoldChange) -> None:
        """Keep a session beyond its time. Raises where it is kept already."""
        ...

    async def release(self, session_id: str, change: HoldChange) -> None:
        """Keep it no longer than others. Raises where it is not kept."""
        ...

    async def demand(self, steps: Sequence[Awaiting]) -> None:
        """Let the monitor read steps ahead of whatever else waits. Raises where nobody would."""
        ...

    async def trust(self, session_id: str, *, by: str, actor: str) -> bool:
        """End the distrust of a session; whether there was any."""
        ...

    async def label(self, given: LabelGiven) -> None:
        """Keep a person's label of a step."""
        ...

    async def decide_hold(self, hold_id: str, *, approve: bool, review: Review) -> Hold:
        """A person's answer. Raises where there is no such hold, or it was decided before."""
        ...

    async def approve_tool(self, server: str, tool: str, review: Review) -> ToolPin:
        """Accept a tool as it is now. Raises where none of that name has changed."""
        ...


class Audit(Protocol):
    """The audit log. `storage.audit_log.AuditLog` fits; every method is safe from any thread."""

    def note(self, *entries: Entry) -> None:
        """Append entries; durable on return."""
        ...

    def alias(self, session_id: str) -> str:
        """What the log calls a session."""
        ...

    def pseudonym(self, words: str) -> str:
        """What the log calls words that somebody looks for."""
        ...

    @property
    def directory(self) -> Path:
        """The data directory the log stands in."""
        ...

    def rotate(self, *, by: str, reason: str, actor: str) -> Rotated:
        """Hand the log over to a new key, on the word of the person named."""
        ...

    def head(self) -> bytes:
        """The newest signed checkpoint, over every entry there is by now."""
        ...

    def snapshot(self) -> Snapshot:
        """The published log over every entry there is by now, as it stays."""
        ...

    def entry(self, index: int) -> bytes:
        """An entry's exact bytes. Raises where there is none."""
        ...

    def entries(self, before: int, limit: int) -> list[tuple[int, bytes]]:
        """At most `limit` entries below an index, with their indexes, newest first."""
        ...

    @property
    def size(self) -> int:
        """How many entries there are, published or not."""
        ...

    def vkeys(self) -> list[str]:
        """Every key that ever signed this log, oldest first."""
        ...

    def proof(self, index: int, extra: bytes | None = None) -> bytes:
        """That an entry is in the log, as the text of a `.tlog-proof`. Raises where there is none."""
        ...

    def accepted(self, exchange_id: str, started_ns: int) -> int:
        """The index of the entry that says an exchange was accepted. Raises where there is none."""
        ...

    def recorded(self, exchange_id: str, ended_ns: int) -> Sealed:
        """The entry that seals the record of an exchange, and the records. Raises where there is none."""
        ...


class HoldReader(Protocol):
    """The reads of the holds. `storage.holds.HoldBook` fits."""

    def get(self, hold_id: str) -> Hold:
        """One hold. Raises where there is none."""
        ...

    def list(self, *, state: HoldState | None = None, app: str | None = None, limit: int = 200) -> list[Hold]:
        """Holds, newest first."""
        ...


class CritiqueReader(Protocol):
    """The reads of the critiques. `storage.critiques.CritiqueBook` fits."""

    def of_session(self, session_id: str) -> list[Filed]:
        """Critiques of a session, in the order in which they were made."""
        ...

    def of_exchange(self, exchange_id: str) -> list[Filed]:
        """Critiques that were asked about steps of an exchange."""
        ...

    def distrusted(self) -> list[Distrust]:
        """Sessions that are distrusted now."""
        ...


class LabelReader(Protocol):
    """The reads of the labels. `storage.labels.LabelBook` fits."""

    def of_session(self, session_id: str) -> list[LabelGiven]:
        """Labels of a session's steps, in the order in which they were given."""
        ...

    def of_exchange(self, exchange_id: str) -> list[LabelGiven]:
        """Labels of an exchange's steps."""
        ...

    def list(self, *, app: str | None = None, limit: int = 1000) -> list[LabelGiven]:
        """Labels, newest first."""
        ...


class QueueReader(Protocol):
    """What waits for the monitor. `storage.monitor_queue.MonitorQueue` fits."""

    def waiting(self, session_id: str) -> int:
        """How many steps of a session wait."""
        ...

    def depth(self, app: str | None = None) -> int:
        """How many steps wait; with `app`, only its own."""
        ...


class CallReader(Protocol):
    """What was asked of the supervisor's model. `storage.supervisor_calls.CallBook` fits."""

    def spent(self, account: str) -> Spent:
        """What an account has spent so far."""
        ...

    def sums(self, since_ns: int, slot_ns: int, *, app: str | None = None) -> list[CallSum]:
        """Calls since a time, summed by slot and kind; with `app`, only its own."""
        ...


class PinReader(Protocol):
    """What tools of MCP servers were and are. `storage.tool_pins.ToolPins` fits."""

    def list(self) -> list[ToolPin]:
        """All of them, by server and name."""
        ...


class Logins(Protocol):
    """The gateway's own tokens for tool servers. `gateway.mcp.grants.Grants` fits."""

    async def begin(self, server: str, *, redirect_uri: str, review: Review) -> str:
        """Where a person logs in. Raises where nobody can."""
        ...

    async def finish(self, server: str, answer: LoginAnswer) -> None:
        """Keep what the person's word is exchanged for. Raises where that is nothing."""
        ...

    async def forget(self, server: str, review: Review) -> None:
        """Destroy what is kept for a server. Raises where that is nothing."""
        ...


class ModeReader(Protocol):
    """Who took which clause out of force. `storage.modes.ModeBook` fits."""

    def changes(self) -> list[ModeChange]:
        """Every change ever made, oldest first."""
        ...


class Books(NamedTuple):
    """What persons and supervisors said, for routes that show more than one kind of it."""

    holds: HoldReader
    modes: ModeReader
    critiques: CritiqueReader
    labels: LabelReader
    queue: QueueReader
    calls: CallReader


class InForce(Protocol):
    """The clauses in force: the running gateway's, or those one would have that started now."""

    def rulesets(self) -> Mapping[str, Ruleset]:
        """By app, those without any policy left out; what a person took out of force is in shadow there.

        Raises `BadPolicy` where they are read now and do not check.
        """
        ...


class GatewayInfo(Protocol):
    """What the running gateway knows of itself."""

    @property
    def serving(self) -> bool:
        """False where a command reads the data directory without a gateway."""
        ...

    @property
    def started_ns(self) -> int | None:
        """Wall clock of the start."""
        ...

    @property
    def listening(self) -> str | None:
        """`http://HOST:PORT`."""
        ...

    @property
    def workers(self) -> int:
        """Processes that relay."""
        ...

    @property
    def providers(self) -> tuple[ProviderStatus, ...]:
        """Providers as configured."""
        ...

    @property
    def supervisor(self) -> SupervisorStatus | None:
        """The supervisor as configured; None where none is named."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Counts since start: recorded, dropped, in flight, queue depths."""
        ...

    def sights(self) -> tuple[Sight, ...]:
        """What the newest canaries of each seat say of the supervisor; empty where there is none."""
        ...

    def metrics(self) -> bytes:
        """What Prometheus scrapes; empty where no gateway runs."""
        ...

    def witnesses(self) -> tuple[WitnessState, ...]:
        """How far each witness of the audit log is."""
        ...

    def failing(self) -> str | None:
        """What keeps it from recording or publishing, in full words for whoever is on call; None where nothing does."""
        ...

    def unready(self) -> str | None:
        """Why new requests should go elsewhere (draining, store failing), or None."""
        ...
