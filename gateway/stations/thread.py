"""Threading: to which session and branch an exchange belongs, and by what evidence.

The wire is stateless: every request carries its whole history, or an id that stands for it. `Threader`
puts the requests of one conversation or agent run back together. It is sans-IO, single-threaded and
deterministic: ids and spans come from outside, time from the ask. Nothing joins across scopes (app and key).

**Evidence**, first hit wins; each kind only finds sessions of the same scope.

- `session_header`: `stepwarden-session`, the caller's own id, or an id of ours that it was told.
- `agent_header`: the session id in an agent's headers; its agent id picks the branch.
- `previous_response`: the exchange that gave this response id; the history is not in the body.
- `conversation`: the provider-side conversation; the history is not in the body.
- `user_id`: a session id inside the end-user field joins by itself. A bare end user names a person, not a
  session: it narrows the match by content, and different users never share a session.
- `prompt_cache_key`: narrows the match by content likewise.
- `trace_context`: a trace seen in exactly this scope, and for the same end user.
- `content_prefix`: the history, checked by hash chain, is one we saw, and goes on with the reply we relayed; or
  it answers a tool call that only one session made, ends with an exchange that only one session had (short ids and
  replies count under equal instructions and tools alone), or holds a long reply in its place that one session alone
  was given.
- `tool_handoff`: the first words stood in an argument of a tool call that exactly one live session made.
- `none`: nothing; a new session.

A verified continuation stays in its session even where a trace id points elsewhere: many conversations can
share a trace, none is in two sessions.

**Relation**, given the session (by id) or the candidates (by content):

| the request | by an id | by content |
|---|---|---|
| equals one that failed or broke off | `retries`, same branch | the same, within an hour; an opening: with its lead |
| equals an unfinished or answered one, retry counter above it | `retries` | `retries` |
| equals an answered one, history with a reply in it | `forks` | its twin `continues`; none waiting: `forks` |
| equals an answered one, opening only | `forks` | new session (a twin) |
| extends a request by our reply, nothing stands on it | `continues` | `continues`; of twins the oldest of its lead |
| the same, something stands on it | `forks` | `forks` |
| extends by a reply not read to its end | `continues`, known without the reply | the same if only one is unread |
| extends by another reply than we gave | `rewrites` from that index | the same if one candidate |
| extends a failed request without a reply | `continues` | `continues` |
| has messages changed, later ones equal | `rewrites` at those indexes | the same, by prefix, call ids or tail |
| holds our reply behind other questions | `rewrites` at those indexes | the same if the reply says much |
| lacks older messages, later ones equal | `compacts` | `compacts`, by call ids or tail |
| unknown and shorter, same instructions and tools | `compacts` | `compacts`, by call ids or tail |
| leaves a known place with unseen messages | `forks` | `forks` if the place lies behind a reply |
| agent id not seen before | `spawns` | - |
| opening equals an offered tool argument | `spawns` | `spawns` (`tool_handoff`) |
| unknown, other instructions or tools | `spawns` | new session |
| unknown, same instructions, not shorter | `forks` from the root | new session |

Our reply is any choice of it: the first that a client goes on with `continues`, another one after it `forks`.

Twins (equal conversations side by side) are told apart by the fingerprint of the replies; while their
histories are equal it does not matter which is which, and from the first difference on each is alone.

Messages below `Join.known` and not in `Join.replaces` equal what the session already held: they are the
only ones that make no new steps. Where a reply cannot be checked, it counts as new. Memory holds at most
`capacity` exchanges; older ones come back from `ThreadMemory`, asked once where a history matches no beginning that
is held, or goes on beyond one. A **lead** is what stands before a conversation: instructions and tools.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from gateway.stations import search
from gateway.stations.asks import Ask, Done, StateRow, ThreadMemory
from gateway.stations.branches import HELD, Branch, End, Name, Register, Session
from gateway.stations.errands import Attended, Errand, Errands
from gateway.stations.search import Found, Look
from gateway.stations.states import (
    Chains,
    content_guard,
    mark_of,
    named_guard,
    named_session_id,
    scope_of,
    short,
    user_of,
)
from policies.vocabulary.sessions import Evidence, Join, Relation

__all__ = ["Ask", "Done", "ThreadMemory", "Threader"]

REMEMBERED = 64
"""States asked for at the store in one go."""

LISTED_PER_REPLY = 128
"""Call ids and offered texts kept of one reply."""

STAYS: frozenset[Relation] = frozenset({"continues", "retries", "rewrites", "compacts"})
KINDS = ("session", "agent", "conversation")

_Placed = tuple[Look, Found, Evidence, Session]


class Threader:
    """Joins exchanges to sessions and branches."""

    def __init__(
        self, memory: ThreadMemory, *, new_id: Callable[[], str], new_span: Callable[[int], bytes], capacity: int
    ) -> None:
        self._memory = memory
        self._new_id = new_id
        self._new_span = new_span
        self._register = Register(capacity)
        self._chains = Chains()
        self._errands = Errands(
            named=self._by_header,
            traced=self._traced,
            connected=self._connected,
            opened=lambda ask: self._session(ask, new_id(), named_guard(ask.scope, "tools", ""), derived=True),
            new_id=new_id,
            new_span=new_span,
        )
        self._attended: dict[str, tuple[bytes, str, str | None]] = {}
        """Errands that are under way, by exchange: scope, session and the call each carries out."""

    def join(self, ask: Ask) -> tuple[Join, bytes]:
        """Place an arriving request; also returns its end state, 16 bytes, to be stored with it."""
        sought, found, evidence, session = self._by_name(ask) or self._by_reference(ask) or self._by_content(ask)
        branch = self._branch(ask, sought, found, session)
        replaces = found.replaces
        if found.branch and not found.aligned and found.relation not in ("spawns", "opens"):
            replaces = tuple(sorted({*replaces, *search.drifted(sought, found.branch, found.known)}))
        joined = Join(
            session_id=session.session_id,
            name=session.name,
            branch_id=branch.branch_id,
            parent_branch_id=branch.parent_id,
            evidence=evidence,
            relation=found.relation,
            derived=session.derived,
            known=found.known,
            lead_known=found.branch is not None and found.relation != "spawns" and found.branch.lead == ask.lead,
            replaces=replaces,
            agent_name=branch.agent_name,
            trace_id=ask.trace[0] if ask.trace else session.trace_id,
            branch_span_id=branch.span_id,
        )
        return joined, self._hold(ask, sought, found, branch)

    def attend(self, errand: Errand) -> Attended:
        """Place a message to a tool server (`errands.py`)."""
        attended = self._errands.attend(errand)
        self._attended[errand.ask.exchange_id] = (errand.ask.scope, attended.join.session_id, attended.call_id)
        return attended

    def told(self, ask: Ask) -> tuple[tuple[str, str], ...]:
        """What tool servers gave in answer to the calls whose results a request brings, by call id."""
        return self._errands.told(ask.scope, ask.results)

    def finish(self, done: Done) -> None:
        """Take note of how an exchange ended. Unknown and already finished ones are left alone."""
        attended = self._attended.pop(done.exchange_id, None)
        if attended is not None:
            scope, session_id, call_id = attended
            if call_id is not None and done.given is not None:
                self._errands.give(scope, session_id, call_id, done.given)
            return
        end = self._register.end(done.exchange_id)
        if end is None or end.status != "open":
            return
        status = "answered" if done.complete and not done.failed else "failed"
        self._register.settle(end, status, done.fingerprints, telling=done.telling)
        session, scope = end.branch.session, end.branch.session.scope
        if done.response_id is not None:
            self._register.responses.enter((scope, short(done.response_id)), end)
        for call in done.calls[:LISTED_PER_REPLY]:
            self._register.calls.enter((scope, short(call)), end)
        self._errands.propose(scope, end.branch, done.made[:LISTED_PER_REPLY])
        for text in done.offered[:LISTED_PER_REPLY]:
            self._register.offers.enter((scope, text), end)
        if done.conversation_id is not None:
            self._register.call((scope, "conversation", short(done.conversation_id)), session)

    def forget(self, sessions: Iterable[str]) -> None:
        """Hold nothing of these sessions any more; what is under way in them ends in none."""
        for session_id in sessions:
            self._register.forget(session_id)
            self._errands.forget(session_id)

    # ------------------------------------------------------------------------------- by an id of the caller's

    def _by_name(self, ask: Ask) -> _Placed | None:
        """By `stepwarden-session` or an agent's own session id."""
        found = self._by_header(ask)
        return None if found is None else self._within(ask, *found)

    def _by_header(self, ask: Ask) -> tuple[Session, Evidence] | None:
        """The session that a header names, held or not."""
        if ask.explicit_session is not None:
            return self._explicit(ask, ask.explicit_session), "session_header"
        if ask.agent_session is not None:
            return self._named(ask, "agent", ask.agent_session), "agent_header"
        return None

    def _by_reference(self, ask: Ask) -> _Placed | None:
        """By an earlier response, a provider-side conversation, or a session id inside the body."""
        if ask.previous_response_id is not None:
            guard = content_guard(ask.scope, ask.provider, ask.user_id, ask.prompt_cache_key)
            end = self._response(ask, ask.previous_response_id, guard)
            if end is not None:
                sought, found = self._standing_on(ask, end, guard)
                return sought, found, "previous_response", end.branch.session
        if ask.conversation_id is not None:
            return self._within(ask, self._named(ask, "conversation", ask.conversation_id), "conversation")
        if ask.session_hint is not None:
            return self._within(ask, self._named(ask, "agent", ask.session_hint), "user_id")
        return None

    def _within(self, ask: Ask, session: Session, evidence: Evidence) -> _Placed:
        """The place inside a session that the caller named."""
        guard = session.guard
        if ask.previous_response_id is not None:
            end = self._response(ask, ask.previous_response_id, guard)
            if end is not None and end.branch.session is session:
                sought, found = self._standing_on(ask, end, guard)
                return sought, found, evidence, session
        agent = ask.agent_id or ""
        trunk = session.agents.get(agent)
        if ask.conversation_id is not None and trunk is not None and trunk.last is not None:
            sought, found = self._standing_on(ask, trunk.last, guard)
            return sought, found, evidence, session
        sought = search.look(ask, guard, self._chains)
        sought.session, sought.agent = session, agent
        found = self._known(sought)
        return sought, found or self._newcomer(sought, session), evidence, session

    def _standing_on(self, ask: Ask, end: End, guard: bytes) -> tuple[Look, Found]:
        """A request without history: it goes on from an earlier exchange, or repeats a failed attempt to."""
        branch = end.branch
        repeated = search.look(ask, guard, self._chains, end.seed)
        if end is branch.last and (end.status == "failed" or ask.retry > end.retry):
            found = search.by_retry(repeated, self._register)
            if found and found.end is end:
                return repeated, replace(found, known=repeated.size)
        sought = search.look(ask, guard, self._chains, end.mark)
        found = search.by_retry(sought, self._register)
        return sought, found or Found("forks" if end.taken else "continues", branch, end)

    def _newcomer(self, sought: Look, session: Session) -> Found:
        """A history that shares nothing known with the session it was sent under."""
        if not session.branches:
            return Found("forks" if session.stored else "opens")
        ask, agent = sought.ask, sought.agent or ""
        if agent and agent not in session.agents:
            return Found("spawns", self._parent(session, ask.parent_agent_id))
        if sought.agent is None:
            branches = list(reversed(session.branches.values()))[: search.COMPARED]
        else:
            branches = [branch for branch, _ in zip(session.recent(agent), range(search.COMPARED), strict=False)]
        found = search.by_messages(sought, branches) if ask.opening is None else None
        if found:
            return found
        offering = self._offering(ask, session)
        if offering:
            return Found("spawns", offering)
        for branch in branches:
            if search.is_shorter(sought, branch):
                return Found("compacts", branch, branch.last)
        parent = branches[0] if branches else None
        same_role = parent is None or any(branch.role == sought.role for branch in branches)
        return Found("forks" if same_role else "spawns", parent)

    @staticmethod
    def _parent(session: Session, parent_agent: str | None) -> Branch | None:
        """The branch a sub-agent was spawned from: its parent's, else the main agent's, else the newest."""
        agents = session.agents
        return agents.get(parent_agent or "") or agents.get("") or next(reversed(session.branches.values()), None)

    def _offering(self, ask: Ask, session: Session | None) -> Branch | None:
        """The branch whose tool call carried the words this request opens with, if one session alone did."""
        if ask.opening is None or (ask.scope, ask.opening) not in self._register.offers.rows:
            return None
        user = user_of(ask.user_id)

        def fits(end: End) -> bool:
            owner = end.branch.session
            return owner is session or (session is None and owner.user == user)

        ends = self._register.offers.all((ask.scope, ask.opening), fits)
        return ends[-1].branch if len({end.branch.session.session_id for end in ends}) == 1 else None

    # --------------------------------------------------------------------------------------------- by content

    def _by_content(self, ask: Ask) -> _Placed:
        """By what the request says; a trace or a tool call it was handed over in can help."""
        guard = content_guard(ask.scope, ask.provider, ask.user_id, ask.prompt_cache_key)
        sought = search.look(ask, guard, self._chains)
        traced = self._traced(ask) if ask.trace else None
        found = self._known(sought)
        if found and found.branch:
            session = found.branch.session
            return sought, found, self._content_evidence(ask, is_traced=session is traced), session
        if traced:
            sought.session = traced
            found = search.by_prefix(sought, self._register) or self._newcomer(sought, traced)
            return sought, found, "trace_context", traced
        offering = self._offering(ask, None)
        if offering:
            return sought, Found("spawns", offering), "tool_handoff", offering.session
        return sought, Found("opens"), "none", self._session(ask, self._new_id(), guard, derived=True)

    @staticmethod
    def _content_evidence(ask: Ask, *, is_traced: bool) -> Evidence:
        if ask.user_id is not None:
            return "user_id"
        if ask.prompt_cache_key is not None:
            return "prompt_cache_key"
        return "trace_context" if is_traced else "content_prefix"

    def _traced(self, ask: Ask) -> Session | None:
        session = self._register.names.get(_trace_name(ask)) if ask.trace else None
        return session if session and session.user == user_of(ask.user_id) else None

    # ------------------------------------------------------------------------------------ sessions, branches

    def _explicit(self, ask: Ask, text: str) -> Session:
        """The session a `stepwarden-session` header means: one we told the caller of, or one it names itself."""
        register = self._register
        named = register.names.get((ask.scope, "session", short(text))) or register.sessions.get(text)
        if named and named.scope == ask.scope:
            return named
        for kind in KINDS:
            if named_session_id(ask.scope, kind, text[:-9])[0] == text:
                return self._named(ask, kind, text[:-9])
        row = self._memory.find_named(text)
        if row and row.derived and scope_of(row.app, row.key_id) == ask.scope:
            guard = content_guard(ask.scope, ask.provider, ask.user_id, ask.prompt_cache_key)
            return self._session(ask, row.session_id, guard, derived=True, stored=True)
        return self._named(ask, "session", text)

    def _named(self, ask: Ask, kind: str, text: str) -> Session:
        """The session of this id under this scope: held, stored, or new."""
        session = self._register.names.get((ask.scope, kind, short(text)))
        if session:
            return session
        session_id, name = named_session_id(ask.scope, kind, text)
        held = self._register.sessions.get(session_id)
        if held and held.scope == ask.scope:
            return held
        row = self._memory.find_named(session_id)
        stored = row is not None and scope_of(row.app, row.key_id) == ask.scope
        guard = named_guard(ask.scope, kind, text)
        return self._session(ask, session_id, guard, derived=name is None, name=name, stored=stored)

    def _connected(self, ask: Ask, connection: str) -> Session:
        """The session of one client's connection to a tool server; the id of that is the client's alone to know."""
        guard = named_guard(ask.scope, "tools", connection)
        return self._session(ask, f"x{guard.hex()}", guard, derived=True)

    def _session(
        self, ask: Ask, session_id: str, guard: bytes, *, derived: bool, name: str | None = None, stored: bool = False
    ) -> Session:
        trace = ask.trace[0] if ask.trace else self._new_span(16)
        return Session(session_id, ask.scope, guard, user_of(ask.user_id), derived, name, trace, stored=stored)

    def _branch(self, ask: Ask, sought: Look, found: Found, session: Session) -> Branch:
        """The branch to stay on, or a new one."""
        self._register.sessions[session.session_id] = session
        if found.branch and found.relation in STAYS:
            return found.branch
        agent = sought.agent or ""
        parent = found.branch
        forked = parent if found.relation == "forks" else None
        branch = Branch(
            branch_id=self._new_id(),
            session=session,
            parent_id=parent.branch_id if parent else None,
            agent=agent,
            agent_name=ask.agent_name or (forked.agent_name if forked else None),
            span_id=self._new_span(8),
        )
        session.branches[branch.branch_id] = branch
        session.agents.setdefault(agent, branch)
        return branch

    def _hold(self, ask: Ask, sought: Look, found: Found, branch: Branch) -> bytes:
        """Enter the request's end, and what it changed; returns the end state."""
        register, session = self._register, branch.session
        if found.end:
            if found.relation in STAYS:
                register.take(found.end)
            else:
                register.touch(found.end)
        if ask.agent_name:
            branch.agent_name = ask.agent_name
        branch.lead, branch.role = ask.lead, sought.role
        branch.held = b"".join(ask.digests[:HELD])
        end = End(
            exchange_id=ask.exchange_id,
            at_ns=ask.at_ns,
            branch=branch,
            retry=ask.retry,
            seed=sought.seed,
            place=sought.whole,
            mark=mark_of(sought.guard, sought.states[-1]),
            tail=ask.digests[-1] if ask.digests else b"",
        )
        branch.last = end
        register.hold(end)
        for name in _names(ask):
            register.call(name, session)
        return end.mark

    # -------------------------------------------------------------------------------------------- from memory

    def _response(self, ask: Ask, response_id: str, guard: bytes) -> End | None:
        """The exchange that gave this response, held or stored, if this scope may know of it."""
        end = self._register.responses.newest((ask.scope, short(response_id)), lambda _: True)
        if end is not None:
            return end
        row = self._memory.find_response(response_id)
        if row is None or scope_of(row.app, row.key_id) != ask.scope:
            return None
        return self._recall(ask, row, guard, b"", row.state)

    def _known(self, sought: Look) -> Found | None:
        """The place of a history that is held or stored: by its beginning, or else by its tail.

        What is held after a restart is not all there is. So the store is asked before a tail is taken for the only one
        of its kind, and where a history goes on beyond a beginning that it shares with what is held.
        """
        found = search.by_prefix(sought, self._register)
        if found is None:
            return self._remembered(sought, 0) or search.by_tail(sought, self._register)
        last = sought.ask.last_run
        if found.relation == "forks" and last is not None and last[0] > found.known:
            return self._remembered(sought, found.known) or found
        return found

    def _remembered(self, sought: Look, known: int) -> Found | None:
        """Ask the store, once, for the longest part of a history of which no more than `known` messages are held."""
        ask = sought.ask
        if "assistant" not in ask.voices:
            return None
        places: dict[bytes, int] = {}
        for at in _turns(ask):
            if at <= known:
                break
            places.setdefault(mark_of(sought.guard, sought.states[at]), at)
            if len(places) == REMEMBERED:
                break
        rows = [row for row in self._memory.find_states(list(places)) if row.state in places]
        row = self._best(sought, rows, places)
        if row is None:
            return None
        at = places[row.state]
        if sought.session is not None:
            self._register.sessions[sought.session.session_id] = sought.session
        self._recall(ask, row, sought.guard, b"".join(ask.digests[: min(at, HELD)]), sought.states[at])
        return search.by_prefix(sought, self._register)

    @staticmethod
    def _best(sought: Look, rows: Iterable[StateRow], places: dict[bytes, int]) -> StateRow | None:
        """The row that covers most, of equal ones one that nothing stands on.

        Its reply must be the one that follows, where that can be checked.
        """

        def rank(row: StateRow) -> tuple[int, bool]:
            return places[row.state], not row.taken

        best: StateRow | None = None
        for row in rows:
            at = places[row.state]
            if sought.session is not None and row.session_id != sought.session.session_id:
                continue
            last = sought.ask.last_run
            if last and last[0] == at:
                fits = last[1] in _prints(row)
            else:
                fits = sought.session is not None or sought.answered_before(at)
            if fits and (best is None or rank(row) > rank(best)):
                best = row
        return best

    def _recall(self, ask: Ask, row: StateRow, guard: bytes, held: bytes, state: bytes) -> End:
        """Hold a stored exchange again, with its branch and session."""
        register = self._register
        session = register.sessions.get(row.session_id)
        if session is None or session.scope != ask.scope:
            session = self._session(ask, row.session_id, guard, derived=row.derived, name=row.name, stored=True)
            register.sessions[row.session_id] = session
        branch = session.branches.get(row.branch_id)
        if not session.branches:
            session.trace_id = row.trace_id or session.trace_id
        if branch is None:
            agent = ask.agent_id or ""
            span = row.branch_span_id or self._new_span(8)
            branch = Branch(row.branch_id, session, row.parent_branch_id, agent, row.agent_name, span, held=held)
            session.branches[row.branch_id] = branch
            session.agents.setdefault(agent, branch)
        end = End(
            exchange_id=row.exchange_id,
            at_ns=row.at_ns,
            branch=branch,
            retry=0,
            seed=b"",
            place=guard + state,
            mark=row.state,
            tail=held[-16:],
            taken=row.taken,
        )
        branch.last = branch.last or end
        register.hold(end)
        register.settle(end, "answered" if row.complete else "failed", _prints(row))
        return end


def _prints(row: StateRow) -> tuple[bytes, ...]:
    """The fingerprints of a stored reply, one for each of its choices."""
    joined = row.reply_fingerprint or b""
    return tuple([joined[at : at + 16] for at in range(0, len(joined), 16)])


def _turns(ask: Ask) -> Iterable[int]:
    """Where earlier requests can have ended, longest first: the whole history, and before each reply."""
    voices = ask.voices
    yield len(voices)
    for at in range(len(voices) - 1, 0, -1):
        if voices[at] == "assistant" and voices[at - 1] != "assistant":
            yield at


def _trace_name(ask: Ask) -> Name:
    """The trace of a request as a name of its session."""
    return ask.scope, "trace", ask.trace[0].hex() if ask.trace else ""


def _names(ask: Ask) -> list[Name]:
    """All names this request gives its session."""
    names: list[Name] = []
    if ask.explicit_session is not None:
        names.append((ask.scope, "session", short(ask.explicit_session)))
    if ask.agent_session is not None:
        names.append((ask.scope, "agent", short(ask.agent_session)))
    if ask.session_hint is not None:
        names.append((ask.scope, "agent", short(ask.session_hint)))
    if ask.conversation_id is not None:
        names.append((ask.scope, "conversation", short(ask.conversation_id)))
    if ask.trace:
        names.append(_trace_name(ask))
    return names
