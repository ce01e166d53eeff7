"""Who calls, as far as headers and body say: session, agent, trace and retry counter.

Every value is the caller's claim. It is taken only where it is short, plain and sent once; anything else
is as if it had not been sent. Claims lead no further than the caller's own scope (`stations/thread.py`).

Read are `stepwarden-session`, `stepwarden-tags`, W3C `traceparent`, `x-stainless-retry-count`, `user-agent`, and

- Claude Code: `x-claude-code-session-id`, `-agent-id` (sub-agents only), `-parent-agent-id`, `-agent-type`;
- Codex: `session-id` (the run), `thread-id` (the agent; the root's equals the session's), `x-codex-parent-thread-id`,
  `x-openai-subagent` (its kind: review, compact, collab_spawn ...), and the same in the JSON of
  `x-codex-turn-metadata`, which older and newer versions send besides; before those headers, `session_id` and
  `conversation_id`. `x-codex-window-id` counts the context windows of a thread and is no identity: a new
  window is the same agent after compaction.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from gateway.wire.interface import RequestView

ID_LIMIT: Final = 128
METADATA_LIMIT: Final = 16_384
"""Bytes of `x-codex-turn-metadata` worth parsing; it lists the workspaces, too."""

CLIENT_LIMIT: Final = 256
TAGS: Final = 32
MANY_RETRIES: Final = 10_000
_PUNCTUATION: Final = {ord(mark): "a" for mark in "._:-@/|"}
_TRACEPARENT: Final = (2, 32, 16, 2)
"""Hexadecimal digits of version, trace id, parent span and flags."""


class Identity(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a request says of its caller."""

    explicit_session: str | None = None
    """`stepwarden-session`, whatever it holds; what is not plain is never shown (`stations/states.py`)."""

    agent_session: str | None = None
    """The run an agent says it belongs to."""

    agent_id: str | None = None
    """The sub-agent that speaks; None for the main agent."""

    parent_agent_id: str | None = None
    """The sub-agent that spawned it; None for the main agent."""

    agent_name: str | None = None
    """Kind or name of the sub-agent."""

    trace: tuple[bytes, bytes] | None = None
    """Trace id (16 bytes) and parent span (8 bytes) from `traceparent`."""

    retry: int = 0
    """The client library's own retry counter."""

    client: str | None = None
    """The user agent, printable, shortened."""

    tags: tuple[tuple[str, str], ...] = ()
    """From `stepwarden-tags: name=value, name=value`."""


_CLIENTS: Final = 256
"""User agents remembered."""

_LONG_CLIENT: Final = 1024
"""Bytes of one that are looked at, spaces before it included."""

_AGENTS: Final = frozenset(
    {
        b"x-claude-code-session-id",
        b"x-claude-code-agent-id",
        b"thread-id",
        b"session-id",
        b"session_id",
        b"conversation_id",
        b"x-codex-turn-metadata",
    }
)
"""Without one of these no agent has named itself."""


def identity(headers: Sequence[tuple[bytes, bytes]], view: RequestView) -> Identity:
    """Read who calls. Never raises; `view` is consulted where a client puts its ids into the body."""
    found = _single(headers)
    get = found.get
    session = agent = parent = name = None
    if not _AGENTS.isdisjoint(found):
        session, agent, parent, name = _claude_code(found) or _codex(found) or (None, None, None, None)
        if session is None and agent is not None:
            session = plain_id((view.session_hint or "").encode("utf-8", "replace"))
    named, trace, retry = get(b"stepwarden-session"), get(b"traceparent"), get(b"x-stainless-retry-count")
    tags = get(b"stepwarden-tags")
    return Identity(
        explicit_session=None if named is None else session_name(named),
        agent_session=session,
        agent_id=agent,
        parent_agent_id=parent,
        agent_name=name,
        trace=None if trace is None else traceparent(trace),
        retry=0 if retry is None else _count(retry),
        client=_client(get(b"user-agent", b"")[:_LONG_CLIENT]),
        tags=() if tags is None else _tags(tags),
    )


def session_name(value: bytes) -> str | None:
    """The caller's own name of a session; None where it holds nothing."""
    return value.strip().decode("latin-1") or None


def plain_id(value: bytes | None) -> str | None:
    """An id of 1 to 128 letters, digits and `._:-@/|`; None for anything else."""
    if value is None:
        return None
    text = value.strip().decode("latin-1")
    fits = 0 < len(text) <= ID_LIMIT and text.isascii() and text.translate(_PUNCTUATION).isalnum()
    return text if fits else None


def traceparent(value: bytes | None) -> tuple[bytes, bytes] | None:
    """Trace id and parent span of a W3C `traceparent`; None where it breaks the format in any way.

    Version 00 has exactly four fields; later versions may add some (W3C Trace Context, 3.2.2).
    """
    if value is None:
        return None
    version, *rest = value.strip().decode("latin-1").split("-")
    fields = (version, *rest[:3])
    lengths_fit = tuple(map(len, fields)) == _TRACEPARENT
    if not lengths_fit or version == "ff" or (version == "00" and len(rest) != len(_TRACEPARENT) - 1):
        return None
    if not all(set(field) <= set("0123456789abcdef") for field in fields):
        return None
    trace, span = bytes.fromhex(fields[1]), bytes.fromhex(fields[2])
    return (trace, span) if any(trace) and any(span) else None


_Agent = tuple[str | None, str | None, str | None, str | None]
"""Session, agent, parent agent, name."""


def _claude_code(found: Mapping[bytes, bytes]) -> _Agent | None:
    session = plain_id(found.get(b"x-claude-code-session-id"))
    agent = plain_id(found.get(b"x-claude-code-agent-id"))
    if session is None and agent is None:
        return None
    parent = plain_id(found.get(b"x-claude-code-parent-agent-id"))
    return session, agent, parent, plain_id(found.get(b"x-claude-code-agent-type"))


def _codex(found: Mapping[bytes, bytes]) -> _Agent | None:
    metadata = _turn_metadata(found.get(b"x-codex-turn-metadata"))
    thread = plain_id(found.get(b"thread-id")) or metadata.get("thread_id")
    session = (
        plain_id(found.get(b"session-id"))
        or plain_id(found.get(b"session_id"))
        or plain_id(found.get(b"conversation_id"))
        or metadata.get("session_id")
        or thread
    )
    if session is None:
        return None
    parent = plain_id(found.get(b"x-codex-parent-thread-id")) or metadata.get("parent_thread_id")
    name = plain_id(found.get(b"x-openai-subagent")) or metadata.get("subagent_kind")
    is_root = thread == session or thread is None
    return session, None if is_root else thread, None if parent == session else parent, name


def _turn_metadata(value: bytes | None) -> dict[str, str]:
    """The ids in Codex's JSON header; empty where it is none."""
    if value is None or len(value) > METADATA_LIMIT:
        return {}
    try:
        decoded: dict[str, Any] = msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    wanted = ("session_id", "thread_id", "parent_thread_id", "subagent_kind")
    texts = ((key, decoded.get(key)) for key in wanted)
    read = ((key, plain_id(text.encode("utf-8", "replace"))) for key, text in texts if isinstance(text, str))
    return {key: text for key, text in read if text is not None}


def _single(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers sent exactly once: of two different claims neither is believed."""
    found = dict(headers)
    if len(found) == len(headers) and b"".join(found).islower():
        return found  # as servers pass them on: in lower case, none twice
    found.clear()
    twice: set[bytes] = set()
    for name, value in headers:
        key = name.lower()
        if found.setdefault(key, value) != value:
            twice.add(key)
    for key in twice:
        del found[key]
    return found


def _count(value: bytes) -> int:
    if value == b"0":
        return 0
    text = value.strip()
    return min(int(text), MANY_RETRIES) if text.isdigit() and len(text) <= len(str(MANY_RETRIES)) else 0


def _tags(value: bytes) -> tuple[tuple[str, str], ...]:
    """Pairs of a plain name and a printable value; what is no pair is left out, of equal names the first stays."""
    tags: dict[str, str] = {}
    for pair in value.split(b",")[:TAGS]:
        name, _, text = pair.partition(b"=")
        key, shown = plain_id(name), _printable(text, ID_LIMIT)
        if key and shown:
            tags.setdefault(key, shown)
    return tuple(tags.items())


@lru_cache(_CLIENTS)
def _client(value: bytes) -> str | None:
    """A user agent, of which most callers have one."""
    return _printable(value, CLIENT_LIMIT)


def _printable(value: bytes, limit: int) -> str | None:
    text = value.decode("latin-1").strip()[:limit]
    if text.isascii() and text.isprintable():
        return text or None
    return "".join([mark if mark.isascii() and mark.isprintable() else "?" for mark in text])
