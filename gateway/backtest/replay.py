"""Replay: one recorded turn through the gateway's own data plane, under other clauses."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.backtest.history import Records, Turn
from gateway.backtest.playback import Decisions, KeptKeeper, KeptProvider
from gateway.config import Limits, Provider
from gateway.exchange import DataPlane, Gate
from gateway.prices import Prices
from gateway.server import DOOR, Door
from gateway.stations.bench import Bench
from gateway.stations.benches import Supervision
from gateway.wire.dialects import Dialects, ProviderDialect
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Exchange, Recording
from storage.reads import Side
from storage.rows import StoredBody

JUDGED_REFUSALS: Final = frozenset({"ambiguous_json"})
"""Codes, besides reasons of clauses, under which the gateway itself refuses what it has begun to judge."""

_WIRES: Final[dict[str, ProviderDialect]] = {
    "anthropic": "anthropic",
    "openai_chat": "openai",
    "openai_responses": "openai",
}

NOT_KEPT: Final = "its content was not kept (digest mode, or too large)"
GONE: Final = "its content has expired or is damaged"
REPLY_NOT_KEPT: Final = "its reply was not kept (digest mode, or too large); the request alone was judged"
REPLY_GONE: Final = "its reply has expired or is damaged; the request alone was judged"
NEVER_JUDGED: Final = "it was refused before it could be judged (a budget, an ended session, a broken request)"
UNKNOWN_WIRE: Final = "it was recorded in a wire format this version does not know"
FAILED: Final = "the replay failed; the log says why"


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one turn."""

    turn: Turn
    recordings: tuple[Recording, ...] = ()
    """As the data plane would record it now: the caller's exchange first, then those in its place."""

    asked: frozenset[str] = frozenset()
    """Kinds of guards that the candidate asks elsewhere; here nobody was asked, and they found nothing."""

    why: str | None = None
    """Why it could not be replayed, or only in part; None where all of it was."""


class Replay:
    """Replays turns, one after the other, in the order in which they came: what a bench remembers matters."""

    def __init__(
        self,
        records: Records,
        decisions: Decisions,
        *,
        bench: Callable[[str], Bench],
        dialects: Dialects,
        limits: Limits,
    ) -> None:
        """`bench` gives the candidate's bench for an app, the same one each time."""
        self._records = records
        self._decisions = decisions
        self._bench = bench
        self._dialects = dialects
        self._limits = limits
        self._prices = Prices.load(None)

    async def turn(self, turn: Turn) -> Replayed:
        """Judge one turn anew. Never raises for what is recorded."""
        exchange = turn.exchange
        wire = _WIRES.get(exchange.dialect)
        if wire is None:
            return Replayed(turn=turn, why=UNKNOWN_WIRE)
        if never_judged(exchange):
            return Replayed(turn=turn, why=NEVER_JUDGED)
        request, gone = body_of(self._records, exchange, "request")
        if request is None or request.raw is None:
            return Replayed(turn=turn, why=GONE if gone else NOT_KEPT)
        answers, why = self._answers(turn)
        keeper = KeptKeeper(turn, self._decisions)
        plane = self._plane(exchange, wire, KeptProvider(answers), keeper)
        await plane(_scope(exchange, request), _whole(request.raw), _heard)
        if not keeper.recordings:
            return Replayed(turn=turn, why=FAILED)
        asked = {str(type(spec).__struct_config__.tag) for spec in self._bench(exchange.app).ruleset.asked}
        return Replayed(turn=turn, recordings=tuple(keeper.recordings), asked=frozenset(asked), why=why)

    def _plane(
        self, exchange: Exchange, wire: ProviderDialect, provider: KeptProvider, keeper: KeptKeeper
    ) -> DataPlane:
        return DataPlane(
            Provider(name=exchange.provider, dialect=wire, base_url="http://record.invalid"),
            dialects=self._dialects,
            client=provider,
            keeper=keeper,
            prices=self._prices,
            limits=self._limits,
            gate=Gate(1),
            environ={},
            supervision=Supervision({exchange.app: self._bench(exchange.app)}),
        )

    def _answers(self, turn: Turn) -> tuple[list[tuple[Exchange, StoredBody | None]], str | None]:
        """The provider's answers as they are kept, and why one that was given is not."""
        answers: list[tuple[Exchange, StoredBody | None]] = []
        why: str | None = None
        for exchange in (turn.exchange, *turn.again):
            body, gone = body_of(self._records, exchange, "response")
            answers.append((exchange, body))
            if exchange.upstream_status is not None and (body is None or body.raw is None):
                why = REPLY_GONE if gone else REPLY_NOT_KEPT
        return answers, why


def body_of(records: Records, exchange: Exchange, side: Side) -> tuple[StoredBody | None, bool]:
    """A body, and whether it was kept once and cannot be read any more."""
    try:
        return records.body(exchange.exchange_id, side), False
    except StepwardenError:
        return None, True


def never_judged(exchange: Exchange) -> bool:
    """Whether the gateway said no before any clause was asked: it would do so again, whatever the clauses."""
    if exchange.outcome != "refused" or exchange.upstream_started_ns is not None:
        return False
    return exchange.verdict == "allow" and exchange.error_type not in JUDGED_REFUSALS


def _scope(exchange: Exchange, request: StoredBody) -> dict[str, Any]:
    """The recorded request as the server would hand it over."""
    path, _, query = exchange.path.partition("?")
    named = ((b"content-type", request.media_type), (b"content-encoding", request.content_encoding))
    headers = [(name, value.encode("latin-1")) for name, value in named if value is not None]
    door = Door(_nothing, _nothing)
    door.whole = True
    return {
        "type": "http",
        "method": exchange.method,
        "raw_path": f"/{exchange.provider}{path}".encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [*headers, (b"content-length", b"%d" % request.length)],
        "extensions": {DOOR: door},
    }


def _whole(body: bytes) -> Callable[[], Any]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _heard(message: Sequence[Any]) -> None:
    """What the caller would have got is not looked at."""


def _nothing() -> None:
    return None
