"""What the rest of the house asks of a store, in slices; `storage.store.Store` fits all of them.

A store that stands on another database implements these and nothing else. Promises, in the order of importance:

1. `append` returns only when no death of the process can lose the batch; when it raises, nothing of it is visible.
2. `body` gives the very bytes that crossed the wire, or raises; it never gives other bytes.
3. Reads are safe from any thread and see whole batches; writes come from one thread.
4. `after` yields each exchange exactly once, in order of insertion, for cursors it gave out itself.
5. Numbers a provider did not report are None, never 0.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from policies.vocabulary.audit import GATEWAY, OWNER
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.keys import Key, Role
from policies.vocabulary.steps import SeenCall, Step
from storage.rows import BranchRow, SessionRow, StateRow, StoredBody, StoreStats
from storage.sessions import EVERY_SESSION, SessionFilter


class RecordingStore(Protocol):
    """The writing slice: one thread."""

    def append(self, batch: Sequence[Recording]) -> None:
        """Store a batch whole. Raises `StorageFailed` and stores nothing."""
        ...

    def lost(self) -> None:
        """Let the audit log say that an exchange is not in the record."""
        ...

    def terminate(self, session_id: str, at_ns: int, *, actor: str = GATEWAY) -> None:
        """Mark a session as terminated; the first time counts."""
        ...

    def save_cursor(self, name: str, value: str) -> None:
        """Remember how far a reader of the record has come."""
        ...

    def sweep(self, now_ns: int) -> list[str]:
        """Drop whole partitions that retention no longer keeps, unless the clock leapt; their names."""
        ...


class SpanStore(Protocol):
    """The reading slice for sessions, exchanges and steps."""

    def sessions(
        self, wanted: SessionFilter = EVERY_SESSION, *, limit: int = 50, before: str | None = None
    ) -> list[SessionRow]:
        """Sessions by newest activity; `before` is the last id of the page before."""
        ...

    def session(self, session_id: str, *, app: str | None = None) -> SessionRow | None:
        """A session by its id or an unambiguous beginning of it; with `app`, as if no other app had any."""
        ...

    def branches(self, session_id: str) -> list[BranchRow]:
        """The branches of a session, oldest first."""
        ...

    def exchanges(self, session_id: str) -> list[Exchange]:
        """The exchanges of a session in the order of recording, which no clock set back can turn round."""
        ...

    def exchange(self, exchange_id: str, *, app: str | None = None) -> Exchange | None:
        """An exchange by its id or an unambiguous beginning of it; with `app`, as if no other app had any."""
        ...

    def steps(self, session_id: str) -> list[Step]:
        """The steps of a session, exchange by exchange in the order of recording."""
        ...

    def exchange_steps(self, exchange_id: str) -> list[Step]:
        """The steps of one exchange in order."""
        ...

    def recent(self, *, limit: int = 50, app: str | None = None) -> list[Exchange]:
        """Exchanges last recorded first; with `app`, only its own."""
        ...

    def after(self, cursor: str | None, limit: int) -> tuple[list[tuple[Exchange, tuple[Step, ...]]], str]:
        """Exchanges with their steps in order of insertion, and the cursor to go on from."""
        ...

    def cursor(self, name: str) -> str | None:
        """How far a reader of the record had come."""
        ...

    def stats(self) -> StoreStats:
        """The store in sum."""
        ...


class ContentStore(Protocol):
    """The reading slice for bodies."""

    def body(self, exchange_id: str, side: Literal["request", "response"]) -> StoredBody | None:
        """One body exactly as it crossed the wire. Raises `ContentDamaged`."""
        ...

    def cut(self, exchange_id: str, index: int) -> bytes | None:
        """One cut of a request body. Raises `ContentDamaged`."""
        ...


class JoiningMemory(Protocol):
    """The reading slice for joining exchanges to sessions."""

    def find_states(self, states: Sequence[bytes]) -> list[StateRow]:
        """Exchanges that ended in one of these joining states, newest first."""
        ...

    def find_response(self, response_id: str) -> StateRow | None:
        """The exchange a provider answered under this id, where requests of its dialect name replies."""
        ...

    def find_named(self, session_id: str) -> SessionRow | None:
        """The session with exactly this id."""
        ...

    def find_call(self, session_id: str, call_id: str) -> SeenCall | None:
        """A tool call in a session."""
        ...


class KeyStore(Protocol):
    """Gateway keys: safe from any thread."""

    def create(
        self,
        *,
        name: str,
        role: Role,
        app: str,
        expires_ns: int | None = None,
        budget_micro_usd: int | None = None,
        now_ns: int,
        actor: str = OWNER,
    ) -> tuple[Key, str]:
        """A new key and its text, shown this once."""
        ...

    def find(self, secret: str) -> Key | None:
        """The key of this text, whatever its state."""
        ...

    def list(self) -> list[Key]:
        """Every key ever made, oldest first."""
        ...

    def revoke(self, key_id: str, now_ns: int, *, actor: str = OWNER) -> Key:
        """The key, revoked now."""
        ...

    def spend(self, key_id: str, micro_usd: int) -> None:
        """Count what a key spent, durably."""
        ...

    def any(self, role: Role | None = None) -> bool:
        """Whether a key that is not revoked exists."""
        ...
