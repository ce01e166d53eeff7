"""Answers about sessions and their branches."""

import msgspec

from gateway.api.answers.values import time
from gateway.times import rfc3339
from storage.rows import BranchRow, SessionRow


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation or agent run, in sum."""

    session_id: str
    app: str
    key_id: str | None
    derived: bool
    """True where the id is the gateway's own, not the client's."""

    agent: str | None
    client: str | None
    models: tuple[str, ...]
    started_at: str
    last_at: str
    exchanges: int
    steps: int
    branches: int
    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    """Millionths of a US dollar; null where nothing is priced, a lower bound where `unpriced` is above 0."""

    unpriced: int
    terminated_at: str | None
    verdict: str | None = None
    """The strongest of its exchanges; null where they are from before that was kept."""

    shadow: str | None = None
    """The strongest that clauses out of force, or an app that does not enforce, would have given."""

    @classmethod
    def of(cls, row: SessionRow) -> "Session":
        """The answer for one stored row."""
        return cls(
            session_id=row.session_id,
            app=row.app,
            key_id=row.key_id,
            derived=row.derived,
            agent=row.agent,
            client=row.client,
            models=row.models,
            started_at=rfc3339(row.started_ns),
            last_at=rfc3339(row.last_ns),
            exchanges=row.exchanges,
            steps=row.steps,
            branches=row.branches,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost_micro_usd=row.cost_micro_usd,
            unpriced=row.unpriced,
            terminated_at=time(row.terminated_ns),
            verdict=row.verdict,
            shadow=row.shadow,
        )


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a session: the main conversation, a fork, or a sub-agent."""

    branch_id: str
    parent_branch_id: str | None
    agent_name: str | None
    evidence: str
    relation: str
    first_exchange_id: str
    started_at: str
    last_at: str
    exchanges: int

    @classmethod
    def of(cls, row: BranchRow) -> "Branch":
        """The answer for one stored row."""
        return cls(
            branch_id=row.branch_id,
            parent_branch_id=row.parent_branch_id,
            agent_name=row.agent_name,
            evidence=row.evidence,
            relation=row.relation,
            first_exchange_id=row.first_exchange_id,
            started_at=rfc3339(row.started_ns),
            last_at=rfc3339(row.last_ns),
            exchanges=row.exchanges,
        )


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, newest activity first."""

    sessions: tuple[Session, ...]
    next: str | None
    """Pass as `before` for the page after this one; null on the last."""


class BranchList(msgspec.Struct, frozen=True, kw_only=True):
    """A session in sum, with its branches, oldest first."""

    session: Session
    branches: tuple[Branch, ...]


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest sessions can be told apart by."""

    apps: tuple[str, ...]
    agents: tuple[str, ...]
    models: tuple[str, ...]
    clauses: tuple[str, ...]
