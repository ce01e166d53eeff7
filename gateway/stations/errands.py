"""Errands: to which session an act that a tool server sees belongs, and which call of the model's it carries out.

A message to a tool server carries no history. It joins by what it names (a session header, an agent's header, a
trace), by the connection it comes on, or by what it does: a model asked for exactly this tool with exactly these
arguments a moment ago, and only one session did. An errand never changes how requests of the LLM side are joined.

What a tool gave is kept until the LLM side tells of it, so that the two can be compared.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from gateway.stations.asks import Ask, Made
from gateway.stations.branches import Branch, Session
from policies.vocabulary.sessions import Evidence, Join, Relation

PENDING: Final = 4096
"""Calls of models that wait to be seen at a tool server."""

GIVEN: Final = 1024
"""Results kept until the LLM side tells of them."""

LONGEST: Final = 64 * 1024
"""Characters of a result that is kept to be compared; longer ones are not."""

CONNECTIONS: Final = 2048

ENOUGH: Final = 24
"""Characters of a tool's result below which nothing is made of a difference."""

REMARK: Final = 100
"""Characters that may follow the beginning of a result: that it was shortened, and to what."""


class Errand(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One message to a tool server, as far as it says to which session it belongs."""

    ask: Ask
    """What its headers say; it has no conversation."""

    server: str
    connection: str | None = None
    """An id under which several messages come from one client: a protocol session, a pipe."""

    tool: str | None = None
    arguments: bytes | None = None
    """`digest_of` the arguments; None where the message is no tool call."""


class Attended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where an errand belongs."""

    join: Join
    call_id: str | None = None
    """The model's id of the call that this carries out."""


class _Pending(msgspec.Struct, frozen=True, gc=False):
    branch: Branch
    tool: str
    call_id: str


class _Place(msgspec.Struct, frozen=True, gc=False):
    """A branch of errands in a session of which no request of the LLM side is held."""

    branch_id: str
    span_id: bytes
    trace_id: bytes


class Errands:
    """Joins errands to sessions. Bounded; single-threaded; ids and spans come from outside."""

    def __init__(
        self,
        *,
        named: Callable[[Ask], tuple[Session, Evidence] | None],
        traced: Callable[[Ask], Session | None],
        connected: Callable[[Ask, str], Session],
        opened: Callable[[Ask], Session],
        new_id: Callable[[], str],
        new_span: Callable[[int], bytes],
    ) -> None:
        """The sessions of a caller: by the id it gives, by trace, by connection, and a new one."""
        self._named = named
        self._traced = traced
        self._connected = connected
        self._opened = opened
        self._new_id = new_id
        self._new_span = new_span
        self._pending: OrderedDict[tuple[bytes, str], tuple[bytes, _Pending]] = OrderedDict()
        """By scope and call id: the digest of the arguments, and the call."""
        self._by_arguments: dict[tuple[bytes, bytes], dict[str, _Pending]] = {}
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._given: OrderedDict[tuple[bytes, str], tuple[str, str]] = OrderedDict()
        """By scope and call id: the session, and the text a tool gave."""

    def propose(self, scope: bytes, branch: Branch, made: Iterable[Made]) -> None:
        """A reply asked for these calls."""
        for call in made:
            key = (scope, call.call_id)
            self._withdraw(key)
            pending = _Pending(branch, call.tool, call.call_id)
            self._pending[key] = (call.arguments, pending)
            self._by_arguments.setdefault((scope, call.arguments), {})[call.call_id] = pending
        while len(self._pending) > PENDING:
            self._withdraw(next(iter(self._pending)))

    def attend(self, errand: Errand) -> Attended:
        """Place an errand."""
        ask = errand.ask
        found = self._named(ask)
        pending = self._carried_out(errand, None if found is None else found[0])
        if pending is not None:
            session = pending.branch.session
            evidence: Evidence = "pending_call" if found is None else found[1]
            return Attended(join=self._join(ask, session, evidence, pending.branch), call_id=pending.call_id)
        if found is None and (traced := self._traced(ask)) is not None:
            found = traced, "trace_context"
        if found is None and errand.connection is not None:
            found = self._connected(ask, errand.connection), "tool_connection"
        session, evidence = found or (self._opened(ask), "none")
        branch = session.agents.get(ask.agent_id or "") or next(reversed(session.branches.values()), None)
        return Attended(join=self._join(ask, session, evidence, branch))

    def give(self, scope: bytes, session_id: str, call_id: str, text: str) -> None:
        """A tool gave this in answer to a call."""
        if len(text) <= LONGEST:
            self._given[scope, call_id] = (session_id, text)
            if len(self._given) > GIVEN:
                self._given.popitem(last=False)

    def told(self, scope: bytes, call_ids: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Call ids that a request brings results of, with what the tool gave where that was seen; they wait no more."""
        found: list[tuple[str, str]] = []
        for call_id in call_ids:
            self._withdraw((scope, call_id))
            given = self._given.get((scope, call_id))
            if given is not None:
                found.append((call_id, given[1]))
        return tuple(found)

    def forget(self, session_id: str) -> None:
        """Keep nothing of a session."""
        for key in [key for key, (_, call) in self._pending.items() if call.branch.session.session_id == session_id]:
            self._withdraw(key)
        for key in [key for key, (owner, _) in self._given.items() if owner == session_id]:
            del self._given[key]
        self._places.pop(session_id, None)

    def _carried_out(self, errand: Errand, session: Session | None) -> _Pending | None:
        """The one call that this carries out: of the session named, or of the only one that asked for it."""
        if errand.arguments is None or errand.tool is None:
            return None
        waiting = self._by_arguments.get((errand.ask.scope, errand.arguments), {})
        fitting = [
            call
            for call in waiting.values()
            if is_tool(call.tool, errand.tool) and (session is None or call.branch.session is session)
        ]
        if len({call.branch.session.session_id for call in fitting}) != 1:
            return None
        self._withdraw((errand.ask.scope, fitting[0].call_id))
        return fitting[0]

    def _withdraw(self, key: tuple[bytes, str]) -> None:
        digest, _ = self._pending.pop(key, (b"", None))
        alike = self._by_arguments.get((key[0], digest))
        if alike is not None:
            alike.pop(key[1], None)
            if not alike:
                del self._by_arguments[key[0], digest]

    def _join(self, ask: Ask, session: Session, evidence: Evidence, branch: Branch | None) -> Join:
        relation: Relation = "continues"
        if branch is not None:
            place = _Place(branch.branch_id, branch.span_id, session.trace_id)
        else:
            known, place = self._place(session)
            relation = "continues" if known else "opens"
        return Join(
            session_id=session.session_id,
            branch_id=place.branch_id,
            evidence=evidence,
            relation=relation,
            derived=session.derived,
            name=session.name,
            agent_name=None if branch is None else branch.agent_name,
            trace_id=ask.trace[0] if ask.trace else place.trace_id,
            branch_span_id=place.span_id,
        )

    def _place(self, session: Session) -> tuple[bool, _Place]:
        """The branch of errands in a session that holds no other, and whether it was there before."""
        found = self._places.get(session.session_id)
        if found is not None:
            self._places.move_to_end(session.session_id)
            return True, found
        place = _Place(self._new_id(), self._new_span(8), session.trace_id)
        self._places[session.session_id] = place
        if len(self._places) > CONNECTIONS:
            self._places.popitem(last=False)
        return session.stored, place


def is_tool(named: str, tool: str) -> bool:
    """Whether a tool as a model calls it is a server's tool: itself, or behind a prefix that clients put before it."""
    return named == tool or (named.endswith(tool) and not named[-len(tool) - 1].isalnum())


def digest_of(arguments: str) -> bytes | None:
    """16 bytes over a call's arguments, equal for every spelling of the same JSON; None where they are not JSON."""
    try:
        value = msgspec.json.decode(arguments or "{}")
        return blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=16).digest()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def retells(told: str, given: str) -> bool:
    """Whether a text is what a tool gave: all of it, whatever stands around, or its beginning and a remark."""
    one, other = "".join(told.split()), "".join(given.split())
    if len(other) < ENOUGH or other in one:
        return True
    spelled = "".join(msgspec.json.encode(given.encode("utf-8", "replace").decode()).decode()[1:-1].split())
    same = next((at for at, (mine, theirs) in enumerate(zip(one, other, strict=False)) if mine != theirs), len(one))
    return spelled in one or (same >= ENOUGH and len(one) - same <= REMARK)
