"""Sessions: one conversation or agent run, rebuilt from stateless calls by recorded evidence."""

from typing import Literal, TypeAlias

import msgspec

Evidence: TypeAlias = Literal[
    "session_header",
    "agent_header",
    "pending_call",
    "previous_response",
    "conversation",
    "user_id",
    "prompt_cache_key",
    "trace_context",
    "content_prefix",
    "tool_handoff",
    "tool_connection",
    "none",
]
"""Why an exchange was joined to its session, strongest first; `none` opens a new session."""

Relation: TypeAlias = Literal["opens", "continues", "forks", "retries", "rewrites", "compacts", "spawns"]
"""How an exchange stands to what its session already held.

`opens` first exchange of a session; `continues` extends the branch's last state; `forks` extends an
earlier state (another answer, or an edited last input); `retries` the same request again after a failure;
`rewrites` an older message changed while later ones stayed; `compacts` history replaced by a shorter
one; `spawns` a sub-agent's first exchange.
"""


class Join(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where one exchange belongs and why."""

    session_id: str
    branch_id: str
    parent_branch_id: str | None = None
    """The branch this one left or was spawned from; None for a session's first branch."""

    evidence: Evidence
    relation: Relation

    derived: bool
    """True where the session id is ours; such an id is never exported as `gen_ai.conversation.id`."""

    name: str | None = None
    """The id the caller itself gave this session; None where it gave none. Only this is ever exported."""

    known: int = 0
    """How many leading messages of this request the branch already held: later ones and `replaces` are new steps."""

    lead_known: bool = False
    """True when instructions and tool definitions equal those last seen on this branch."""

    replaces: tuple[int, ...] = ()
    """Indexes of messages that differ from what the branch held at that place (`history.rewritten`)."""

    agent_name: str | None = None
    """Name of the agent on this branch where a header or the wire gives one."""

    trace_id: bytes
    """16 bytes: the trace of this exchange; the caller's where it sent `traceparent`."""

    branch_span_id: bytes
    """8 bytes: the `invoke_agent` span of this branch."""
