"""What threading is told of an exchange: an `Ask` when it arrives, a `Done` when it has ended.

Both are plain facts. Who calls makes them from the headers (`gateway/identity.py`), the request's view and
the reply; nothing in here needs a socket, a clock or a database.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from gateway.wire.interface import Voice
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Step

GLIMPSED: Final = 2000
"""Characters of a step's text that those who watch are sent; the whole is in the record."""


class Glimpse(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is new of an exchange that is under way, for those who watch it live."""

    exchange_id: str
    app: str
    join: Join
    model: str | None
    started_ns: int
    steps: tuple[Step, ...]
    texts: tuple[str, ...]
    """The beginning of each step's text."""


class Ask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One arriving request, as far as it says to which conversation it belongs."""

    exchange_id: str
    at_ns: int
    """Wall clock at ingress: Unix epoch, nanoseconds, UTC."""

    scope: bytes
    """16 bytes over app and key (`states.scope_of`); nothing ever joins across scopes."""

    provider: str = ""
    dialect: str = ""

    explicit_session: str | None = None
    """`stepwarden-session`."""

    agent_session: str | None = None
    """The session id an agent's own header gives (Claude Code, Codex)."""

    agent_id: str | None = None
    """The sub-agent that speaks; None for a session's main agent."""

    parent_agent_id: str | None = None
    agent_name: str | None = None

    conversation_id: str | None = None
    previous_response_id: str | None = None
    user_id: str | None = None
    session_hint: str | None = None
    prompt_cache_key: str | None = None
    trace: tuple[bytes, bytes] | None = None
    """The caller's trace id (16 bytes) and parent span (8 bytes)."""

    retry: int = 0
    """The caller's own retry counter; 0 for a first attempt or an unknown one."""

    voices: tuple[Voice, ...] = ()
    digests: tuple[bytes, ...] = ()
    """16 bytes a message, as `voices` long."""

    lead: bytes = b""
    """16 bytes over instructions and tool definitions; empty where there are none."""

    last_run: tuple[int, bytes] | None = None
    """Index of the first message of the last run of assistant messages, and that run's fingerprint."""

    opening: bytes | None = None
    """16-byte digest of the first user text, where the history holds no assistant message."""

    results: tuple[str, ...] = ()
    """Call ids that the trailing tool results answer."""


class Made(msgspec.Struct, frozen=True, gc=False):
    """A tool call that a reply asked for."""

    call_id: str
    tool: str
    arguments: bytes
    """16 bytes over the arguments (`errands.digest_of`)."""


class Done(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How an exchange ended and what its reply held."""

    exchange_id: str
    complete: bool
    """True once the dialect's own end was seen."""

    failed: bool = False
    """True for error statuses and error events."""

    fingerprints: tuple[bytes, ...] = ()
    """16 bytes over text and calls of each choice of the reply, as far as it came; empty where nothing came."""

    telling: bool = False
    """Whether its reply says so much that no other conversation is likely to hold the same."""

    response_id: str | None = None
    conversation_id: str | None = None
    calls: tuple[str, ...] = ()
    """Ids of the tool calls the reply made."""

    made: tuple[Made, ...] = ()
    """The same calls as far as a tool server could see them."""

    given: str | None = None
    """Of an exchange with a tool server: the text its client got as the result."""

    offered: tuple[bytes, ...] = ()
    """Digests of the long texts among the tool calls' arguments: what a sub-agent may be told first."""


class StateRow(Protocol):
    """One exchange as the store remembers it."""

    @property
    def state(self) -> bytes:
        """16 bytes, as `Threader.join` returned it."""
        ...

    @property
    def session_id(self) -> str:
        """The session it was joined to."""
        ...

    @property
    def branch_id(self) -> str:
        """The branch it was joined to."""
        ...

    @property
    def parent_branch_id(self) -> str | None:
        """The branch that one left."""
        ...

    @property
    def exchange_id(self) -> str:
        """Its own id."""
        ...

    @property
    def reply_fingerprint(self) -> bytes | None:
        """16 bytes over each choice of its reply, one after the other; None where there was none."""
        ...

    @property
    def complete(self) -> bool:
        """Whether its reply came to its end."""
        ...

    @property
    def taken(self) -> bool:
        """Whether a later exchange of its branch stands on it."""
        ...

    @property
    def derived(self) -> bool:
        """Whether the session id is ours."""
        ...

    @property
    def name(self) -> str | None:
        """The caller's own id of the session."""
        ...

    @property
    def at_ns(self) -> int:
        """Wall clock at ingress, Unix epoch, nanoseconds."""
        ...

    @property
    def app(self) -> str:
        """The app that owns it."""
        ...

    @property
    def key_id(self) -> str | None:
        """The key it came under; None on a gateway without keys."""
        ...

    @property
    def agent_name(self) -> str | None:
        """Name of the agent on its branch."""
        ...

    @property
    def trace_id(self) -> bytes:
        """16 bytes; empty where unknown."""
        ...

    @property
    def branch_span_id(self) -> bytes:
        """8 bytes; empty where unknown."""
        ...


class SessionRow(Protocol):
    """One session as the store remembers it."""

    @property
    def session_id(self) -> str:
        """The session it was joined to."""
        ...

    @property
    def app(self) -> str:
        """The app that owns it."""
        ...

    @property
    def key_id(self) -> str | None:
        """The key it came under; None on a gateway without keys."""
        ...

    @property
    def derived(self) -> bool:
        """Whether the session id is ours."""
        ...

    @property
    def name(self) -> str | None:
        """The caller's own id."""
        ...


class ThreadMemory(Protocol):
    """What a store remembers of exchanges this process no longer holds (restart, or long ago)."""

    def find_states(self, states: Sequence[bytes]) -> Sequence[StateRow]:
        """Exchanges that ended in one of these states, newest first."""
        ...

    def find_response(self, response_id: str) -> StateRow | None:
        """The exchange whose reply had this id."""
        ...

    def find_named(self, session_id: str) -> SessionRow | None:
        """The session of exactly this id."""
        ...
