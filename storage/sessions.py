"""Sessions: what exchanges add up to, in `meta.db`."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from itertools import compress
from typing import Any

import msgspec
from blake3 import blake3

from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged
from policies.vocabulary.sessions import Join
from policies.vocabulary.verdicts import STRENGTH, VerdictName
from storage.inserts import by_given, insert
from storage.rows import BranchRow, FacetRow, SessionRow, StateRow
from storage.sums import BranchSum, SessionSum, ended_well
from storage.ulids import pack, unpack


class Addition(msgspec.Struct, frozen=True):
    """What one stored exchange adds to its session. Made from the recording, or from the day file after a crash."""

    number: int
    """`exchange.id`."""

    exchange: Exchange
    steps: int
    depth: int
    state: bytes | None
    reply_fingerprint: bytes | None
    end_user: bytes | None
    """16 bytes: keyed hash of the end user as the client named it."""

    judged: Judged | None = None
    """What clauses said of it."""


class Apps(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sessions: an app's, and those of every app that is not among some."""

    app: str
    unlike: tuple[str, ...] = ()
    """Empty: of no other app."""

    @property
    def bound(self) -> tuple[str, int, str]:
        """What is bound into `_OF_APPS`."""
        return self.app, bool(self.unlike), msgspec.json.encode(self.unlike).decode()


_OF_APPS = "(app = ? OR (? AND app NOT IN (SELECT value FROM json_each(?))))"


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions are looked for; None leaves a question open. Times: Unix epoch, nanoseconds."""

    app: str | None = None
    agent: str | None = None
    model: str | None = None
    clause: str | None = None
    """`policy/clause` that found something."""

    verdict: VerdictName | None = None
    """Sessions with this verdict or a stronger one."""

    since_ns: int | None = None
    until_ns: int | None = None
    """The newest activity lies before this."""

    cost_micro_usd: int | None = None
    """What it cost at least."""


EVERY_SESSION = SessionFilter()

_VERDICTS: tuple[VerdictName, ...] = tuple(sorted(STRENGTH, key=STRENGTH.__getitem__))

_TWINS = 32
"""Exchanges that can share one state (a common opening, say) before older ones are no longer offered."""

_GO_ON_FROM_REPLIES = frozenset({"openai_responses"})
"""Dialects in which a request names the reply it goes on from; an index over all ids would dirty a page for each."""

_SESSION = (
    "session_id", "app", "key_id", "name", "derived", "agent", "client", "models", "started_ns", "last_ns", "exchanges",
    "steps", "input_tokens", "output_tokens", "cost_micro_usd", "unpriced", "verdict", "shadow",
)  # fmt: skip
_SESSION_GOES_ON = """
ON CONFLICT (session_id) DO UPDATE SET
    name = ifnull(name, excluded.name),
    agent = ifnull(agent, excluded.agent),
    client = ifnull(client, excluded.client),
    models = CASE WHEN models = excluded.models OR excluded.models = '[]' THEN models ELSE (
        SELECT json_group_array(value) FROM (
            SELECT value FROM json_each(session.models) UNION SELECT value FROM json_each(excluded.models)
        )
    ) END,
    started_ns = min(started_ns, excluded.started_ns),
    last_ns = max(last_ns, excluded.last_ns),
    exchanges = exchanges + excluded.exchanges,
    steps = steps + excluded.steps,
    input_tokens = CASE WHEN excluded.input_tokens IS NULL THEN input_tokens
                        ELSE ifnull(input_tokens, 0) + excluded.input_tokens END,
    output_tokens = CASE WHEN excluded.output_tokens IS NULL THEN output_tokens
                         ELSE ifnull(output_tokens, 0) + excluded.output_tokens END,
    cost_micro_usd = CASE WHEN excluded.cost_micro_usd IS NULL THEN cost_micro_usd
                          ELSE ifnull(cost_micro_usd, 0) + excluded.cost_micro_usd END,
    unpriced = unpriced + excluded.unpriced,
    verdict = max(ifnull(verdict, 0), excluded.verdict),
    shadow = max(ifnull(shadow, 0), excluded.shadow)
"""
_BRANCH = (
    "session_id", "branch_id", "parent_branch_id", "agent_name", "evidence", "relation", "first_exchange_id",
    "trace_id", "span_id", "started_ns", "last_ns", "newest", "exchanges",
)  # fmt: skip
_BRANCH_GOES_ON = """
ON CONFLICT (session_id, branch_id) DO UPDATE SET
    agent_name = ifnull(agent_name, excluded.agent_name),
    last_ns = max(last_ns, excluded.last_ns),
    newest = ifnull(excluded.newest, newest),
    exchanges = exchanges + excluded.exchanges
"""
_BRANCH_OF_STATE = "(SELECT id FROM branch WHERE session_id = ? AND branch_id = ?)"
_STATE = ("state", "exchange_id", "response", "reply_fingerprint", "depth", "complete", "derived", "at_ns")
_PARTICIPANT = "INSERT INTO participant (end_user, session_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_CLAUSE = """
INSERT INTO session_clause (session_id, clause, exchanges) VALUES (?, ?, ?)
ON CONFLICT (session_id, clause) DO UPDATE SET exchanges = exchanges + excluded.exchanges
"""
_STATE_SELECT = """
SELECT state, branch.session_id, branch.branch_id, j.exchange_id, reply_fingerprint, depth, complete, j.derived, at_ns,
       complete AND newest IS NOT NULL AND newest IS NOT j.exchange_id AS taken,
       name, app, key_id, parent_branch_id, agent_name, trace_id, span_id AS branch_span_id
FROM joining_state AS j
JOIN branch ON branch.id = j.branch
JOIN session ON session.session_id = branch.session_id
"""
_SESSION_SELECT = """
SELECT session_id, app, key_id, name, derived, agent, client, models, started_ns, last_ns, exchanges, steps,
       (SELECT count(*) FROM branch WHERE branch.session_id = session.session_id) AS branches,
       input_tokens, output_tokens, cost_micro_usd, unpriced, terminated_ns, verdict, shadow
FROM session
"""


def add(connection: sqlite3.Connection, additions: Sequence[Addition]) -> None:
    """Add exchanges to their sessions inside the open transaction."""
    if not additions:
        return
    by_session, by_branch = dict[str, SessionSum](), dict[tuple[str, str], BranchSum]()
    states: list[tuple[Any, ...]] = []
    participants = set[tuple[bytes, str]]()
    for one in additions:
        exchange, join = one.exchange, one.exchange.join
        if join is None:
            continue
        in_session = by_session.get(join.session_id)
        if in_session is None:
            in_session = by_session[join.session_id] = SessionSum(exchange, join)
        in_session.add(exchange, join, one.steps, one.judged)
        in_branch = by_branch.get(key := (join.session_id, join.branch_id))
        if in_branch is None:
            in_branch = by_branch[key] = BranchSum(exchange, join)
        in_branch.add(exchange, join)
        if one.end_user is not None:
            participants.add((one.end_user, join.session_id))
        response = _response_key(exchange)
        if one.state is not None or response is not None:
            states.append(_state_values(one, join, response))
    insert(connection, "session", _SESSION, [one.values() for one in by_session.values()], _SESSION_GOES_ON)
    insert(connection, "branch", _BRANCH, [one.values() for one in by_branch.values()], _BRANCH_GOES_ON)
    for given, alike in by_given(states):
        connection.executemany(_state_insert(given), alike)
    connection.executemany(_PARTICIPANT, participants)
    connection.executemany(_CLAUSE, [row for one in by_session.values() for row in one.clauses()])
    connection.execute("UPDATE progress SET exchange = max(exchange, ?)", (additions[-1].number,))


def _state_values(addition: Addition, join: Join, response: bytes | None) -> tuple[Any, ...]:
    exchange = addition.exchange
    return (
        join.session_id, join.branch_id, addition.state, pack(exchange.exchange_id), response,
        addition.reply_fingerprint, addition.depth, int(ended_well(exchange)), int(join.derived), exchange.started_ns,
    )  # fmt: skip


@lru_cache(maxsize=16)
def _state_insert(given: tuple[bool, ...]) -> str:
    """Adds a joining state with these values; the first two name its branch."""
    columns = tuple(compress(_STATE, given[2:]))
    values = ", ".join([_BRANCH_OF_STATE, *"?" * len(columns)])
    return f"INSERT INTO joining_state (branch, {', '.join(columns)}) VALUES ({values})"  # noqa: S608 - literals


def _response_key(exchange: Exchange) -> bytes | None:
    """What a later request can name its reply by; None where its wire format has no such request."""
    if not exchange.response_id or exchange.dialect not in _GO_ON_FROM_REPLIES:
        return None
    return _key_of(exchange.response_id)


def _key_of(response_id: str) -> bytes:
    """16 bytes to find a provider's id by: half as long as most, in a table and an index."""
    return blake3(response_id.encode()).digest(length=16)


def find_states(connection: sqlite3.Connection, states: Sequence[bytes]) -> list[StateRow]:
    """Every exchange that ended in one of these states, newest first."""
    found: list[StateRow] = []
    query = f"{_STATE_SELECT} WHERE state = ? ORDER BY j.id DESC LIMIT {_TWINS}"
    for state in dict.fromkeys(states):
        found += [_state_of(row) for row in connection.execute(query, (state,))]
    return sorted(found, key=lambda row: row.at_ns, reverse=True)


def find_response(connection: sqlite3.Connection, response_id: str) -> StateRow | None:
    """The exchange that was answered under this id of the provider's, newest first."""
    query = f"{_STATE_SELECT} WHERE response = ? ORDER BY j.id DESC LIMIT 1"
    row = connection.execute(query, (_key_of(response_id),)).fetchone()
    return None if row is None else _state_of(row)


def session(connection: sqlite3.Connection, session_id: str) -> SessionRow | None:
    """The session with exactly this id."""
    row = connection.execute(f"{_SESSION_SELECT} WHERE session_id = ?", (session_id,)).fetchone()
    return None if row is None else _session_of(row)


def starting(connection: sqlite3.Connection, prefix: str, *, app: str | None = None) -> list[SessionRow]:
    """At most two sessions, of this app where one is named, whose ids start so."""
    begins = "session_id >= ?1 AND substr(session_id, 1, length(?1)) = ?1 AND app = ifnull(?2, app)"
    query = f"{_SESSION_SELECT} WHERE {begins} ORDER BY session_id LIMIT 2"
    return [_session_of(row) for row in connection.execute(query, (prefix, app))]


def sessions(
    connection: sqlite3.Connection, wanted: SessionFilter, *, limit: int, before: str | None
) -> list[SessionRow]:
    """Sessions by newest activity; `before` is the last id of the previous page."""
    where, values = ["1"], list[Any]()
    if before is not None:
        # Of another app, `before` must read like an id that nobody has.
        where.append("(last_ns, id) < (SELECT last_ns, id FROM session WHERE session_id = ? AND app = ifnull(?, app))")
        values += [before, wanted.app]
    for condition, value in _conditions(wanted):
        if value is not None:
            where.append(condition)
            values.append(value)
    query = f"{_SESSION_SELECT} WHERE {' AND '.join(where)} ORDER BY last_ns DESC, id DESC LIMIT ?"
    return [_session_of(row) for row in connection.execute(query, (*values, limit))]


def opened(connection: sqlite3.Connection, apps: Apps, after: int, limit: int) -> list[tuple[int, SessionRow]]:
    """Sessions of some apps beyond a number, in the order in which they were first recorded, each with its own."""
    query = _SESSION_SELECT.replace("SELECT session_id", "SELECT id AS number, session_id", 1)
    rows = connection.execute(f"{query} WHERE {_OF_APPS} AND id > ? ORDER BY id LIMIT ?", (*apps.bound, after, limit))
    return [(row["number"], _session_of(row, "number")) for row in rows]


def last_opened(connection: sqlite3.Connection, apps: Apps, before_ns: int) -> int:
    """Number of the newest session of some apps that began before a moment; 0 where there is none."""
    query = f"SELECT id FROM session WHERE {_OF_APPS} AND started_ns < ? ORDER BY id DESC LIMIT 1"  # noqa: S608 - ours
    row = connection.execute(query, (*apps.bound, before_ns)).fetchone()
    return 0 if row is None else int(row[0])


def newest(connection: sqlite3.Connection) -> int:
    """Number of the session that was first recorded last; 0 where there is none."""
    return int(connection.execute("SELECT ifnull(max(id), 0) FROM session").fetchone()[0])


def _conditions(wanted: SessionFilter) -> Iterator[tuple[str, str | int | None]]:
    yield "app = ?", wanted.app
    yield "agent = ?", wanted.agent
    yield "EXISTS (SELECT 1 FROM json_each(models) WHERE value = ?)", wanted.model
    yield "session_id IN (SELECT session_id FROM session_clause WHERE clause = ?)", wanted.clause
    yield "verdict >= ?", None if wanted.verdict is None else STRENGTH[wanted.verdict]
    yield "last_ns >= ?", wanted.since_ns
    yield "last_ns < ?", wanted.until_ns
    yield "cost_micro_usd >= ?", wanted.cost_micro_usd


_FACETS = tuple(
    # Composed of literals: the newest sessions of an app, and what is told apart in them.
    f"WITH newest AS (SELECT * FROM session WHERE app = ifnull(?, app) ORDER BY last_ns DESC LIMIT 2000) {select}"  # noqa: S608
    for select in (
        "SELECT DISTINCT app FROM newest ORDER BY 1",
        "SELECT DISTINCT agent FROM newest WHERE agent IS NOT NULL ORDER BY 1 LIMIT 500",
        "SELECT DISTINCT value FROM newest, json_each(models) ORDER BY 1 LIMIT 500",
        "SELECT DISTINCT clause FROM session_clause WHERE session_id IN (SELECT session_id FROM newest) ORDER BY 1",
    )
)


def facets(connection: sqlite3.Connection, app: str | None) -> FacetRow:
    """What the newest sessions can be told apart by."""
    found = (tuple(row[0] for row in connection.execute(query, (app,))) for query in _FACETS)
    return FacetRow(*found)


def branches(connection: sqlite3.Connection, session_id: str) -> list[BranchRow]:
    """The branches of a session, oldest first."""
    query = """
    SELECT session_id, branch_id, parent_branch_id, agent_name, evidence, relation, first_exchange_id, started_ns,
           last_ns, exchanges
    FROM branch WHERE session_id = ? ORDER BY id
    """
    rows = [dict(row) for row in connection.execute(query, (session_id,))]
    return [msgspec.convert({**row, "first_exchange_id": unpack(row["first_exchange_id"])}, BranchRow) for row in rows]


def expire(connection: sqlite3.Connection, before_ns: int, rows: int, held: Collection[str]) -> int:
    """Delete at most so many rows of each table that ended before a time; returns how many went; `held` stay."""
    went = 0
    others = f"session_id NOT IN ({', '.join('?' * len(held))})"
    of_others = f"branch IN (SELECT id FROM branch WHERE {others})" if held else "1"  # noqa: S608 - literals
    for table, old in (
        ("joining_state", f"at_ns < ? AND {of_others}"),
        ("branch", f"last_ns < ? AND {others}"),
        ("session", f"last_ns < ? AND {others}"),
    ):
        query = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {old} LIMIT ?)"  # noqa: S608 - literals
        with closing(connection.execute(query, (before_ns, *held, rows))) as done:
            went += done.rowcount
        # States go before the branches they refer to: a number may be given again.
        if went and table == "joining_state":
            return went
    if not went:
        for table in ("participant", "session_clause"):
            connection.execute(f"DELETE FROM {table} WHERE session_id NOT IN (SELECT session_id FROM session)")  # noqa: S608
    return went


def _state_of(row: sqlite3.Row) -> StateRow:
    values = dict(row)
    values.update(state=values["state"] or b"", exchange_id=unpack(values["exchange_id"]))
    values.update(complete=bool(values["complete"]), derived=bool(values["derived"]))
    values.update(taken=bool(values["taken"]))
    return StateRow(**values)


def _session_of(row: sqlite3.Row, *beside: str) -> SessionRow:
    values = {name: value for name, value in dict(row).items() if name not in beside}
    values.update(derived=bool(values["derived"]), models=tuple(msgspec.json.decode(values["models"])))
    values.update({name: None if values[name] is None else _VERDICTS[values[name]] for name in ("verdict", "shadow")})
    return SessionRow(**values)
