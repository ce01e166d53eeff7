"""What reads of the store give back, besides the nouns of `policies.vocabulary`."""

import msgspec

from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged
from policies.vocabulary.steps import Step
from policies.vocabulary.verdicts import VerdictName


class StateRow(msgspec.Struct, frozen=True, kw_only=True):
    """A joining state seen before: where a later request that extends it belongs."""

    state: bytes
    """16 bytes; empty where the exchange had no messages (found by its response id)."""

    session_id: str
    branch_id: str
    exchange_id: str
    reply_fingerprint: bytes | None
    depth: int
    """Messages in that request."""

    complete: bool
    """False where the exchange did not end well: its twin may be a retry."""

    taken: bool
    """True where a later exchange of the same branch was answered: it stands on this one."""

    derived: bool
    name: str | None
    """The id the caller itself gave the session."""

    at_ns: int
    app: str
    key_id: str | None
    parent_branch_id: str | None
    agent_name: str | None
    trace_id: bytes
    """16 bytes: the trace of its branch."""

    branch_span_id: bytes
    """8 bytes: the `invoke_agent` span of its branch."""


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session in sum."""

    session_id: str
    app: str
    key_id: str | None
    name: str | None
    """The id the caller itself gave this session."""

    derived: bool
    agent: str | None
    client: str | None
    models: tuple[str, ...]
    started_ns: int
    last_ns: int
    exchanges: int
    steps: int
    branches: int
    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    unpriced: int
    """Exchanges without a known cost: where above 0, `cost_micro_usd` is a lower bound."""

    terminated_ns: int | None
    verdict: VerdictName | None
    """The strongest of its exchanges; None where they are from before that was kept."""

    shadow: VerdictName | None
    """The strongest that clauses out of force would have given."""


class FacetRow(msgspec.Struct, frozen=True):
    """What the newest sessions can be told apart by, each in order."""

    apps: tuple[str, ...]
    agents: tuple[str, ...]
    models: tuple[str, ...]
    clauses: tuple[str, ...]
    """`policy/clause` of those that found something."""


class BranchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a session: the main conversation, a fork, or a sub-agent."""

    session_id: str
    branch_id: str
    parent_branch_id: str | None
    agent_name: str | None
    evidence: str
    relation: str
    first_exchange_id: str
    started_ns: int
    last_ns: int
    exchanges: int


class ErasedRow(msgspec.Struct, frozen=True):
    """What is left of a session or an exchange that was erased."""

    app: str
    basis: str
    at_ns: int
    terminated_ns: int | None = None
    """Of a session: when it was ended, which it stays."""


class StoredBody(msgspec.Struct, frozen=True, kw_only=True):
    """One body as it crossed the wire."""

    raw: bytes | None
    """None where only the digest was kept."""

    sha256: bytes
    length: int
    media_type: str | None
    content_encoding: str | None


class RecordedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange as it is recorded, for whoever reads a period from end to end."""

    number: int
    """Its place in the order of recording."""

    exchange: Exchange
    steps: tuple[Step, ...]
    judged: Judged | None
    """None where no clause was in force for its app."""


class FileStat(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the data directory."""

    name: str
    bytes: int
    """Size with its write-ahead log."""


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """The store in sum, for `doctor` and `/api/status`."""

    files: tuple[FileStat, ...]
    bytes: int
    exchanges: int
    sessions: int
    content: str
    retention_days: int
    """How long the record is kept, in whole days."""

    schema: dict[str, int]
    """Applied migrations per kind of file."""

    kept_whole: int
    """Bodies stored uncut since opening because their cuts did not rebuild them; should stay 0."""

    sqlite_version: str
    wal_reset_exposed: bool
    """True where this SQLite can lose writes when two connections checkpoint; Stepwarden uses one."""
