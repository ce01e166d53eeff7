"""Playback: the neighbours of the data plane, answering out of the record: the provider and the keeper.

What the provider said then is what it says now; who called, which session it was and what a person decided come
from the record too. Nothing is sent, stored or decided.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec

from gateway.backtest.history import Turn
from gateway.http import Interrupted
from gateway.keeper import Opened, Opening
from gateway.refusals import LoginNeeded, RevisionMissing, UpstreamUnreachable
from gateway.stations.asks import Done, Glimpse
from gateway.stations.binding import binding
from gateway.stations.forward import Headers
from policies.asking import Answer, Question
from policies.guards.judge import Case
from policies.vocabulary.audit import ConfigActivated
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.grants import ToolToken
from policies.vocabulary.holds import Hold, HoldAsk
from policies.vocabulary.keys import Principal
from policies.vocabulary.pins import Listing, Pinned
from policies.vocabulary.reports import Report
from policies.vocabulary.steps import Part
from storage.rows import StoredBody

_BROKEN: Final = frozenset({"upstream_reset", "timed_out", "client_aborted"})
"""Outcomes of answers that ended before their end: so they end again."""


class NoAnswerKept(UpstreamUnreachable):
    """A backtest came to where the record holds no answer of the provider."""


class KeptAnswer:
    """`gateway.http.Answer` out of the record."""

    def __init__(self, exchange: Exchange, body: StoredBody) -> None:
        """`body` must hold its bytes."""
        assert exchange.upstream_status is not None
        assert body.raw is not None
        self.status = exchange.upstream_status
        named = ((b"content-type", body.media_type), (b"content-encoding", body.content_encoding))
        self.headers: Sequence[tuple[bytes, bytes]] = [
            (name, value.encode("latin-1")) for name, value in named if value is not None
        ]
        self._left = body.raw
        self._broken = exchange.outcome in _BROKEN
        self._timed_out = exchange.outcome == "timed_out"

    async def read(self) -> bytes:
        """All there is at once; then the end, or what broke it off. Raises `Interrupted`."""
        whole, self._left = self._left, b""
        if not whole and self._broken:
            raise Interrupted("the recorded answer breaks off here", timed_out=self._timed_out)
        return whole

    def close(self) -> None:
        """Nothing to drop."""


class KeptProvider:
    """`gateway.http.Upstream` out of the record of one turn: its own answer, then those to requests of ours."""

    def __init__(self, answers: Iterable[tuple[Exchange, StoredBody | None]]) -> None:
        """In the order in which they were given; None where the bytes were not kept."""
        self._answers = iter(answers)

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] | None
    ) -> KeptAnswer:
        """The next answer. Raises `NoAnswerKept` where none was given, or none is kept."""
        del method, target, headers, body
        exchange, kept = next(self._answers, (None, None))
        if exchange is None or exchange.upstream_status is None or kept is None or kept.raw is None:
            raise NoAnswerKept("backtest: the record holds no answer here.")
        return KeptAnswer(exchange, kept)


class Decisions:
    """What persons decided about held steps; each approval lets one step pass, as it did then."""

    def __init__(self, holds: Iterable[Hold]) -> None:
        self._passed: dict[bytes, list[int]] = {}
        """By step, when each approval that was used was given."""
        for hold in holds:
            if hold.state == "used" and hold.decided_ns is not None:
                self._passed.setdefault(_step_of(hold.ask), []).append(hold.decided_ns)

    def use(self, ask: HoldAsk, *, until_ns: int) -> bool:
        """Whether somebody let this step pass by then, whatever clause had it wait."""
        given = self._passed.get(_step_of(ask), [])
        fitting = [at_ns for at_ns in given if at_ns <= until_ns]
        if fitting:
            given.remove(min(fitting))
        return bool(fitting)


def _step_of(ask: HoldAsk) -> bytes:
    """A step as such, without the clauses that had it wait."""
    return binding(ask.session_id, Part(kind=ask.kind, tool=ask.tool, text=ask.text), ())


class Unasked:
    """`Asker` where nobody is asked: what a service would say now, and what it said of which spec then, is not kept.

    Nothing is found, rather than a failure, so that no turn ends for the want of an answer; the steps are left out.
    """

    async def ask(self, question: Question) -> Answer:
        """Nothing found."""
        del question
        return Answer()

    async def judge(self, case: Case) -> Sequence[Answer]:
        """Nothing found at the gate either."""
        return [Answer() for _ in case.charges]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper knew of a message to a tool server."""

    call_id: str | None = None
    """The model's id of the call that it carried out."""

    changed: tuple[str, ...] = ()
    """Tools that were not what they had been."""


NOTHING_SEEN: Final = Seen()


class KeptKeeper:
    """`gateway.keeper.Keeper` out of the record of one turn; keeps what the data plane would have recorded."""

    here = True

    def __init__(self, turn: Turn, decisions: Decisions, seen: Seen = NOTHING_SEEN) -> None:
        """`seen`: of a message to a tool server, what the keeper knew of it then."""
        self._exchange = turn.exchange
        self._decisions = decisions
        self._seen = seen
        self.recordings: list[Recording] = []
        """The caller's own, then those of requests in its place."""

    async def admit(self, secret: str | None) -> Principal:
        """Whoever called then."""
        del secret
        return Principal(role="app", app=self._exchange.app, key_id=self._exchange.key_id)

    async def open(self, opening: Opening) -> Opened:
        """The session as it was joined then."""
        if opening.ask is None and opening.errand is None:
            return Opened()
        return Opened(join=self._exchange.join, call_id=self._seen.call_id)

    async def activate(self, active: Sequence[ConfigActivated]) -> None:
        """Nothing is put in force here."""

    async def parameters(self, revision: str) -> bytes:
        """None are in force here."""
        raise RevisionMissing(f"The candidate is all that is in force here, and not {revision[:16]}.")

    def finish(self, done: Done) -> None:
        """The session is not told."""

    def show(self, glimpse: Glimpse) -> None:
        """Nobody watches."""

    def close(self, recording: Recording) -> None:
        """Keep it for the comparison."""
        self.recordings.append(recording)

    def lose(self, exchange_id: str, why: str) -> None:
        """What is missing is found missing by whoever compares."""

    async def hold(self, ask: HoldAsk) -> bool:
        """What a person decided then; where nobody did, that is a no."""
        return self._decisions.use(ask, until_ns=self._exchange.ended_ns)

    async def supervise(self, case: Case) -> Sequence[Answer]:
        """Nobody is asked."""
        return await Unasked().judge(case)

    async def pin(self, listing: Listing) -> Pinned:
        """Which tools were not what they had been."""
        del listing
        return Pinned(changed=self._seen.changed)

    async def withheld(self, server: str, tool: str) -> bool:
        """What was passed on after a person was asked was not withheld."""
        del server, tool
        return False

    async def tool_token(self, server: str, refused: str | None) -> ToolToken:
        """No tool server is asked here."""
        del refused
        raise LoginNeeded.at(server)

    async def report(self, report: Report) -> None:
        """No application reports here."""

    async def terminate(self, session_id: str) -> None:
        """Nothing is ended; later turns count as hypothetical."""
