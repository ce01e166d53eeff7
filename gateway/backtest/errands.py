"""Errands: recorded messages with tool servers before the seat that judges them live, under other clauses.

A call is judged as it was asked and its result as it came, with what else the session did in between: what came before
an act stands in no message, so the order of judging is part of the record.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from gateway.backtest.history import Records, Turn
from gateway.backtest.playback import Decisions, KeptKeeper, Seen
from gateway.backtest.replay import (
    FAILED,
    GONE,
    NEVER_JUDGED,
    NOT_KEPT,
    REPLY_GONE,
    REPLY_NOT_KEPT,
    Replayed,
    body_of,
    never_judged,
)
from gateway.config import McpServer
from gateway.mcp.events import place_of
from gateway.mcp.pair import Caller, Pair, Transport
from gateway.mcp.seat import Seat
from gateway.stations.bench import Bench
from gateway.stations.benches import Supervision
from gateway.stations.own_clauses import CHANGED
from gateway.wire import mcp
from gateway.wire.frames import Frames
from gateway.wire.jsonrpc import Malformed, Message
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.keys import Principal
from storage.rows import StoredBody

log = logging.getLogger("stepwarden.backtest")

_EVENTS: Final = "text/event-stream"
_OWN_CALL: Final = "mcp_"
_ERRORS: Final = 400


class _Running:
    """One pair whose request has been judged."""

    def __init__(self, pair: Pair, seat: Seat, keeper: KeptKeeper, *, passes: bool) -> None:
        self.pair = pair
        self.seat = seat
        self.keeper = keeper
        self.passes = passes


class Errands:
    """Replays pairs, each in two halves."""

    def __init__(
        self,
        records: Records,
        decisions: Decisions,
        *,
        bench: Callable[[str], Bench],
        servers: Mapping[str, McpServer],
    ) -> None:
        """`bench` gives the candidate's bench for an app, the same one each time."""
        self._records = records
        self._decisions = decisions
        self._bench = bench
        self._servers = servers
        self._running: dict[str, _Running] = {}
        self._why: dict[str, str] = {}
        """By exchange: what was asked and is not answered yet, or why it cannot be judged anew."""

    async def ask(self, turn: Turn) -> None:
        """Judge the request of a pair anew. Never raises for what is recorded."""
        exchange_id = turn.exchange.exchange_id
        try:
            found = await self._asked(turn)
        except Exception:
            log.exception("a message to a tool server could not be replayed", extra={"exchange": exchange_id})
            found = FAILED
        if isinstance(found, str):
            self._why[exchange_id] = found
        else:
            self._running[exchange_id] = found

    async def answer(self, turn: Turn) -> Replayed:
        """Judge its answer anew, where it had one and the request still passes. Never raises for what is recorded."""
        exchange = turn.exchange
        running = self._running.pop(exchange.exchange_id, None)
        if running is None:
            return Replayed(turn=turn, why=self._why.pop(exchange.exchange_id, FAILED))
        kept, gone = body_of(self._records, exchange, "response")
        why: str | None = None
        try:
            if kept is not None and kept.raw is not None and running.passes:
                await _answered(running, exchange, kept)
            elif running.passes and exchange.first_byte_ns is not None:
                why = REPLY_GONE if gone else REPLY_NOT_KEPT
            running.keeper.close(running.pair.recording())
        except Exception:
            log.exception("an answer of a tool server could not be replayed", extra={"exchange": exchange.exchange_id})
            return Replayed(turn=turn, why=FAILED)
        asked = {str(type(spec).__struct_config__.tag) for spec in self._bench(exchange.app).ruleset.asked}
        return Replayed(turn=turn, recordings=tuple(running.keeper.recordings), asked=frozenset(asked), why=why)

    async def _asked(self, turn: Turn) -> _Running | str:
        """The pair with its request judged, or why there is none."""
        exchange = turn.exchange
        if never_judged(exchange) or self._closed(exchange):
            return NEVER_JUDGED
        kept, gone = body_of(self._records, exchange, "request")
        if kept is None or kept.raw is None:
            return GONE if gone else NOT_KEPT
        try:
            message = mcp.read_client(kept.raw) if kept.raw else None
        except Malformed:
            return NEVER_JUDGED
        keeper = KeptKeeper(turn, self._decisions, self._seen(exchange))
        pair = Pair(_server_of(exchange), _caller(exchange), message, body=kept.raw)
        seat = self._seat(exchange, keeper)
        await seat.open(pair)
        passes = True
        if message is not None and message.kind == "request":
            passes = (await seat.request(pair, _nobody)).passes
        return _Running(pair, seat, keeper, passes=passes)

    def _closed(self, exchange: Exchange) -> bool:
        """Whether a call was refused whatever clauses say: its tool is not allowed, or waits for a person."""
        judged = self._records.judged(exchange.exchange_id)
        stopped = exchange.error_type in ("tool_not_declared", "needs_approval")
        return stopped and exchange.upstream_started_ns is None and (judged is None or not judged.steps)

    def _seen(self, exchange: Exchange) -> Seen:
        """What the keeper knew then, by what is recorded of the steps."""
        steps = self._records.exchange_steps(exchange.exchange_id)
        judged = self._records.judged(exchange.exchange_id)
        named = next((step.call_id for step in steps if step.call_id), None)
        tools = {step.seq: step.tool for step in steps}
        changed = [
            tools.get(said.seq)
            for said in (() if judged is None else judged.steps)
            if any(finding.clause == CHANGED for finding in said.findings)
        ]
        return Seen(
            call_id=None if named is None or named.startswith(_OWN_CALL) else named,
            changed=tuple(filter(None, changed)),
        )

    def _seat(self, exchange: Exchange, keeper: KeptKeeper) -> Seat:
        """The server as it is configured now, with every tool: what was closed then is not replayed."""
        name = _server_of(exchange)
        server = msgspec.structs.replace(self._servers.get(name) or McpServer(name=name), tools=("*",))
        supervision = Supervision({exchange.app: self._bench(exchange.app)})
        return Seat(server, keeper=keeper, supervision=lambda: supervision, beside=lambda _: ())


async def _answered(running: _Running, exchange: Exchange, kept: StoredBody) -> None:
    pair = running.pair
    assert kept.raw is not None
    pair.stream, pair.media_type, pair.upstream_status = exchange.stream, kept.media_type, exchange.upstream_status
    pair.hear(kept.raw)
    for raw in _answers(kept.raw, kept.media_type, pair.message, exchange):
        await running.seat.answer(pair, raw, _nobody)


def _answers(raw: bytes, media_type: str | None, message: Message | None, exchange: Exchange) -> Iterator[bytes]:
    """What of a recorded answer was judged live: see `gateway.mcp.visit` and `gateway.mcp.pipe`."""
    if media_type is not None and media_type.partition(";")[0].strip().lower() == _EVENTS:
        yield from _in_events(raw, message)
    elif not raw.strip() or ((exchange.upstream_status or 0) >= _ERRORS and not mcp.is_answer(raw)):
        return
    elif message is not None or mcp.is_answer(raw):
        yield raw


def _in_events(raw: bytes, message: Message | None) -> Iterator[bytes]:
    for frame in Frames(len(raw)).feed(raw):
        try:
            place = None if frame.event is None else place_of(frame.event.data, message)
        except Malformed:
            continue
        if frame.event is not None and place == "answer":
            yield frame.event.data
            if message is not None:
                return


def _server_of(exchange: Exchange) -> str:
    return exchange.provider.removeprefix("mcp/")


def _caller(exchange: Exchange) -> Caller:
    principal = Principal(role="app", app=exchange.app, key_id=exchange.key_id)
    return Caller(principal=principal, transport=cast("Transport", exchange.method))


async def _nobody(message: Any) -> None:
    """Nobody waits for a person here."""
    del message
