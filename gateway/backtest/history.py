"""History: which recorded exchanges a backtest replays, in the order in which they were judged."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.holds import Hold
from policies.vocabulary.judgements import Judged
from policies.vocabulary.steps import Step
from storage.reads import Side
from storage.rows import SessionRow, StoredBody
from storage.sessions import EVERY_SESSION, SessionFilter

_PAGE = 200


class Records(Protocol):
    """The slice of the store a backtest reads; `storage.store.Store` fits."""

    def sessions(
        self, wanted: SessionFilter = EVERY_SESSION, *, limit: int = 50, before: str | None = None
    ) -> list[SessionRow]:
        """Sessions, newest activity first."""
        ...

    def session(self, session_id: str, *, app: str | None = None) -> SessionRow | None:
        """One session by its id or an unambiguous beginning of it."""
        ...

    def exchanges(self, session_id: str) -> list[Exchange]:
        """The exchanges of a session, in order."""
        ...

    def exchange_steps(self, exchange_id: str) -> list[Step]:
        """The steps of one exchange, in order."""
        ...

    def judged(self, exchange_id: str) -> Judged | None:
        """What clauses said of one exchange."""
        ...

    def body(self, exchange_id: str, side: Side) -> StoredBody | None:
        """One body exactly as it crossed the wire. Raises where its content is damaged or gone."""
        ...


class HoldList(Protocol):
    """What persons decided; `storage.holds.HoldBook` fits."""

    def list(self, *, app: str | None = None, limit: int = 200) -> list[Hold]:
        """Holds, newest first."""
        ...


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the record is asked for."""

    since_ns: int | None = None
    """Only exchanges from then on are compared; what came before in their sessions is judged all the same."""

    sessions: tuple[str, ...] = ()
    """Ids or unambiguous beginnings of them; empty means all."""

    app: str | None = None
    """None means every app."""

    most: int = 10_000
    """About how many exchanges are replayed; the session that reaches it is the last."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a caller, with the requests of ours in its place."""

    exchange: Exchange
    again: tuple[Exchange, ...] = ()
    """In the order in which the provider was asked again."""


def sessions_of(records: Records, wanted: Wanted) -> Iterator[SessionRow]:
    """The sessions asked for: those named, or all with newest activity first."""
    if wanted.sessions:
        found = (records.session(name, app=wanted.app) for name in dict.fromkeys(wanted.sessions))
        yield from {row.session_id: row for row in found if row is not None}.values()
        return
    before: str | None = None
    while page := records.sessions(SessionFilter(app=wanted.app, since_ns=wanted.since_ns), limit=_PAGE, before=before):
        yield from page
        before = page[-1].session_id


def turns_of(exchanges: Iterable[Exchange]) -> list[Turn]:
    """Exchanges of a session as turns: ours stand with the caller's whose place they took, whichever came first."""
    callers: list[Exchange] = []
    again: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        if exchange.in_place_of is None:
            callers.append(exchange)
        else:
            again.setdefault(exchange.in_place_of, []).append(exchange)
    return [Turn(exchange=each, again=tuple(again.get(each.exchange_id, ()))) for each in callers]


MCP = "mcp"
"""The dialect of messages to tool servers."""


class Moment(NamedTuple):
    """When something was judged. Pairs of messages with tool servers are judged twice, and others in between."""

    at_ns: int
    turn: Turn
    ends: bool
    """False where only the request of a pair is judged."""


def moments_of(turns: Iterable[Turn]) -> list[Moment]:
    """Turns of many sessions in the order of time: what sessions share, such as a server's tools, came so too."""
    found: list[Moment] = []
    for turn in turns:
        exchange = turn.exchange
        if exchange.dialect == MCP:
            found.append(Moment(exchange.started_ns, turn, ends=False))
            found.append(Moment(exchange.first_byte_ns or exchange.ended_ns, turn, ends=True))
        else:
            found.append(Moment(exchange.started_ns, turn, ends=True))
    return sorted(found, key=lambda moment: (moment.at_ns, moment.turn.exchange.exchange_id, moment.ends))
