"""What is held of live sessions: their branches, the ends of their exchanges, and where to find those.

Everything hangs on `End`, one a request. The register holds at most `capacity` of them, drops the one
untouched for longest, and with the last end of a branch drops the branch, and with the last branch the
session. All tables list ends under keys, and an end remembers where it is listed; so what an end brought
in goes with it and every table is bounded by the number of ends times the entries each may have.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Reversible
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["open", "answered", "failed"]
Key: TypeAlias = bytes | tuple[bytes, str] | tuple[bytes, bytes]
Name: TypeAlias = tuple[bytes, str, str]
"""(scope, kind of id, the id): how callers call a session."""

LISTED = 512
"""Ends under one key; thousands of identical requests keep only the newest findable."""

NAMES = 64
"""Names of one session: its id, its conversations, the traces it was seen in."""

HELD = 2048
"""Messages of a branch remembered one by one (16 bytes each), to see which of them a client rewrote."""


@dataclass(slots=True, eq=False)
class Session:
    """One live session."""

    session_id: str
    scope: bytes
    guard: bytes
    user: bytes
    """16 bytes over the end user's id; without a caller's session id, users never share a session."""

    derived: bool
    name: str | None
    trace_id: bytes
    branches: dict[str, "Branch"] = field(default_factory=dict[str, "Branch"])
    agents: dict[str, "Branch"] = field(default_factory=dict[str, "Branch"])
    """The first branch of each agent; the main agent's id is empty."""

    names: list[Name] = field(default_factory=list[Name])
    stored: bool = False
    """True where the store knew it before this process did."""

    def recent(self, agent: str) -> Iterator["Branch"]:
        """The branches of one agent, newest first."""
        return (branch for branch in reversed(self.branches.values()) if branch.agent == agent)


@dataclass(slots=True, eq=False)
class Branch:
    """One line of conversation within a session."""

    branch_id: str
    session: Session
    parent_id: str | None
    agent: str
    agent_name: str | None
    span_id: bytes
    lead: bytes | None = None
    """As last seen; None before the first request."""

    role: bytes = b""
    """Instructions, tools and leading system messages as one digest: tells a sub-agent from its parent."""

    held: bytes = b""
    """Digests of the messages of the last request, one after the other."""

    last: "End | None" = None
    ends: int = 0

    def messages(self) -> list[bytes]:
        """The digests of the messages of the last request."""
        return [self.held[at : at + 16] for at in range(0, len(self.held), 16)]


@dataclass(slots=True, eq=False)
class End:
    """Where one request's messages ended, and what became of it."""

    exchange_id: str
    at_ns: int
    branch: Branch
    retry: int
    seed: bytes
    place: bytes
    """Guard and state."""

    mark: bytes
    """The state as it is stored."""

    tail: bytes
    """Digest of the last message."""

    status: Status = "open"
    taken: bool = False
    """True once a later request stands on this one."""

    fingerprints: tuple[bytes, ...] = ()
    """One for each choice of its reply; empty until it has ended, and where it brought none."""

    listings: list[tuple["Table", Key]] = field(default_factory=list[tuple["Table", Key]])


class Table:
    """Ends under a key, oldest first."""

    def __init__(self) -> None:
        self.rows: dict[Key, End | dict[str, End]] = {}
        """By key, then by exchange where there are several; for others to look for keys in, not to change."""

    def __len__(self) -> int:
        return len(self.rows)

    def enter(self, key: Key, end: End) -> None:
        """Enter an end; the oldest under the same key goes where there are too many."""
        end.listings.append((self, key))
        row = self.rows.setdefault(key, end)
        if row is end:
            return
        if isinstance(row, End):
            row = self.rows[key] = {row.exchange_id: row}
        row[end.exchange_id] = end
        if len(row) > LISTED:
            del row[next(iter(row))]

    def strike(self, key: Key, end: End) -> None:
        """Take an end out; harmless where it is not in."""
        row = self.rows.get(key)
        if row is end:
            del self.rows[key]
        elif type(row) is dict:
            if row.get(end.exchange_id) is end:
                del row[end.exchange_id]
            if not row:
                del self.rows[key]

    def _listed(self, key: Key) -> Reversible[End]:
        row = self.rows.get(key)
        if row is None:
            return ()
        return (row,) if isinstance(row, End) else row.values()

    def oldest(self, key: Key, fits: Callable[[End], bool]) -> End | None:
        """The first entered that fits."""
        return next(filter(fits, self._listed(key)), None)

    def newest(self, key: Key, fits: Callable[[End], bool]) -> End | None:
        """The last entered that fits."""
        return next(filter(fits, reversed(self._listed(key))), None)

    def all(self, key: Key, fits: Callable[[End], bool]) -> list[End]:
        """All that fit, oldest first."""
        return list(filter(fits, self._listed(key)))

    def __contains__(self, key: Key) -> bool:
        return key in self.rows


class Register:
    """All live sessions, bounded."""

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity)
        self._ends: OrderedDict[str, End] = OrderedDict()
        self.sessions: dict[str, Session] = {}
        self.names: dict[Name, Session] = {}
        self.places = Table()
        """Every end, by place."""
        self.failed = Table()
        """Failed or broken off, by place, until retried or continued."""
        self.answered = Table()
        """Answered, by place."""
        self.heads = Table()
        """With a reply nobody stands on yet, by place and fingerprint."""
        self.replies = Table()
        """With a reply, by place and fingerprint."""
        self.tails = Table()
        """As `heads`, by guard, last message and fingerprint: found although older messages changed."""
        self.said = Table()
        """With a reply that is like no other, by guard, role and fingerprint: found although all questions changed."""
        self.responses = Table()
        self.calls = Table()
        self.offers = Table()

    def __len__(self) -> int:
        return len(self._ends)

    def end(self, exchange_id: str) -> End | None:
        """The end of this exchange, if it is still held."""
        return self._ends.get(exchange_id)

    def hold(self, end: End) -> None:
        """Enter a new end; what was untouched for longest goes where there are too many."""
        replaced = self._ends.pop(end.exchange_id, None)
        end.branch.ends += 1
        if replaced is not None:
            self._drop(replaced)
        self._ends[end.exchange_id] = end
        self.places.enter(end.place, end)
        while len(self._ends) > self._capacity:
            self._drop(self._ends.popitem(last=False)[1])

    def newest_open(self, place: Key, fits: Callable[[End], bool]) -> End | None:
        """The last request here that has not ended yet. Rarely asked, so it has no table."""
        return self.places.newest(place, lambda end: end.status == "open" and fits(end))

    def touch(self, end: End) -> None:
        """Keep an end from being dropped next."""
        if end.exchange_id in self._ends:
            self._ends.move_to_end(end.exchange_id)

    def take(self, end: End) -> None:
        """Something stands on this end now: it is no free head any more."""
        end.taken = True
        if end.status == "failed":
            self.failed.strike(end.place, end)
        for fingerprint in end.fingerprints:
            self.heads.strike(end.place + fingerprint, end)
            self.tails.strike(tail_key(end.place[:16], end.tail, fingerprint), end)
            self.said.strike(_said_key(end, fingerprint), end)
        self.touch(end)

    def settle(self, end: End, status: Status, fingerprints: tuple[bytes, ...], *, telling: bool = False) -> None:
        """An exchange has ended: list it by its outcome and its reply, each choice; `telling` as `Done` has it."""
        end.status, end.fingerprints = status, fingerprints
        if status != "failed":
            self.answered.enter(end.place, end)
        elif not end.taken:
            self.failed.enter(end.place, end)
        for fingerprint in fingerprints:
            reply = end.place + fingerprint
            self.replies.enter(reply, end)
            if not end.taken:
                self.heads.enter(reply, end)
                self.tails.enter(tail_key(end.place[:16], end.tail, fingerprint), end)
                if telling:
                    self.said.enter(_said_key(end, fingerprint), end)

    def call(self, name: Name, session: Session) -> None:
        """Let a session be found by a name, unless the name is given or the session has too many."""
        if name not in self.names and len(session.names) < NAMES:
            self.names[name] = session
            session.names.append(name)

    def forget(self, session_id: str) -> None:
        """Drop a session with all that hangs on it."""
        for end in [end for end in self._ends.values() if end.branch.session.session_id == session_id]:
            del self._ends[end.exchange_id]
            self._drop(end)

    def _drop(self, end: End) -> None:
        for table, key in end.listings:
            if table.rows.get(key) is end:  # as it is for nearly all
                del table.rows[key]
            else:
                table.strike(key, end)
        branch, session = end.branch, end.branch.session
        branch.ends -= 1
        if branch.ends:
            return
        branch.last = None  # else it and its last end would keep each other, and the session, for the collector
        branch.held = b""  # for a call that waits to be carried out keeps the branch
        session.branches.pop(branch.branch_id, None)
        if session.agents.get(branch.agent) is branch:
            heir = next(session.recent(branch.agent), None)
            if heir is None:
                del session.agents[branch.agent]
            else:
                session.agents[branch.agent] = heir
        if not session.branches and self.sessions.get(session.session_id) is session:
            del self.sessions[session.session_id]
            for name in session.names:
                self.names.pop(name, None)
            session.branches, session.agents, session.names = {}, {}, []  # an emptied table stays as large as it was


def _said_key(end: End, fingerprint: bytes) -> bytes:
    """The key of an end by its reply alone."""
    return end.place[:16] + end.branch.role + fingerprint


def tail_key(guard: bytes, tail: bytes, fingerprint: bytes) -> bytes:
    """The key of an end by its last message and its reply."""
    return guard + tail + fingerprint
