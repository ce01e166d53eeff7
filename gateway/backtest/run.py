"""Run: one backtest from its candidate to its report. Blocks; give it a thread of its own where others must go on.

Exact means: the recorded bodies go through the data plane that relays live traffic, and before the seat that judges
messages with tool servers, in the order in which they came, with the provider, the servers, the keeper and the persons
answering as they did. The policy that was in force then gives no flip.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.backtest.comparison import Compared, compare, masked
from gateway.backtest.history import MCP, HoldList, Moment, Records, Turn, Wanted, moments_of, sessions_of, turns_of
from gateway.backtest.playback import Decisions, Unasked
from gateway.backtest.replay import Replay, Replayed
from gateway.backtest.tally import Tally
from gateway.config import App, Config
from gateway.contents import Reach, Recorded, texts
from gateway.stations.bench import Bench
from gateway.wire.dialects import Dialects, dialects
from policies.errors import StepwardenError
from policies.evaluate import Ruleset, Settings
from policies.vocabulary.backtests import Backtest
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.judgements import Judged
from storage.rows import SessionRow

if TYPE_CHECKING:
    from gateway.backtest.errands import Errands
    from policies.vocabulary.clauses import Policy

EXAMPLES: Final = 3
"""Flips shown for each clause and change of verdict."""

_SHOWN: Final = 160
"""Characters of a step that are shown."""

_EVERY_HOLD: Final = 100_000

Progress = Callable[[int, int], None]
"""Told how many exchanges are done, and of how many."""


def _unwatched(done: int, of: int) -> None:
    """Nobody wants to know how far it is."""


class Cancelled(StepwardenError):
    """Whoever asked for a backtest has left."""

    status = 499

    def remedy(self) -> str:
        """What to do."""
        return "Ask again."


class NoSuchSession(StepwardenError):
    """A session that was named is not kept, or belongs to another app."""

    status = 404

    def remedy(self) -> str:
        """Where ids are listed."""
        return "Run `stepwarden sessions list` to see what is kept."


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """The policies that history is held against, as if they were all that is in force."""

    policies: "tuple[Policy, ...]"
    enforce: bool = True
    """False: judged as an app with `enforce = false` has it, where everything flags at most."""


class Laboratory:
    """Where candidates are tried: one gateway's record and configuration, which stay as they are."""

    def __init__(self, records: Records, holds: HoldList, config: Config, *, notice_key: bytes) -> None:
        """`notice_key` tells our own notices in recorded history from forged ones."""
        self._records = records
        self._holds = holds
        self._config = config
        self._notice_key = notice_key

    def run(
        self,
        candidate: Candidate,
        wanted: Wanted,
        *,
        progress: Progress = _unwatched,
        gone: Callable[[], bool] = lambda: False,
        rest: Callable[[], None] = lambda: None,
        examples: int = EXAMPLES,
    ) -> Backtest:
        """The report of a candidate over a part of the record.

        `gone` is asked before each exchange whether anybody still waits; `rest` is called after each, for those who
        share a processor with live traffic. Raises `Cancelled`, `NoSuchSession`, and what reading the store raises.
        """
        rows, left_out = self._chosen(wanted)
        benches = _Benches(candidate, self._config, self._notice_key)
        trial = _Trial(self._records, *self._replays(benches, wanted), wanted, examples, self._reach())
        of = sum(row.exchanges for row in rows)
        done = 0
        try:
            for moment in moments_of(trial.turns(rows)):
                if gone():
                    raise Cancelled("the backtest was given up")
                trial.judge(moment)
                if moment.ends:
                    done += 1 + len(moment.turn.again)
                    progress(done, max(of, done))
                rest()
        finally:
            trial.close()
            benches.close()
        names = tuple(policy.policy.id for policy in candidate.policies)
        return trial.tally.report(policies=names, enforce=candidate.enforce, left_out=left_out)

    def _chosen(self, wanted: Wanted) -> tuple[list[SessionRow], int]:
        """The sessions that are replayed, and how many more there are."""
        rows: list[SessionRow] = []
        many = left_out = 0
        for row in sessions_of(self._records, wanted):
            if many >= wanted.most:
                left_out += 1
                continue
            rows.append(row)
            many += row.exchanges
        missing = len(set(wanted.sessions)) - len(rows) - left_out
        if missing > 0:
            some = "one of the sessions named is" if missing == 1 else f"{missing} of the sessions named are"
            raise NoSuchSession(f"{some} not kept here")
        return rows, left_out

    def _replays(self, benches: "_Benches", wanted: Wanted) -> "tuple[Replay, Callable[[], Errands]]":
        holds = self._holds.list(app=wanted.app, limit=_EVERY_HOLD)
        decisions = Decisions(reversed(holds))
        replay = Replay(self._records, decisions, bench=benches.bench, dialects=dialects(), limits=self._config.limits)

        def errands() -> "Errands":
            from gateway.backtest.errands import Errands  # noqa: PLC0415 - only those pay for it who have tool servers

            return Errands(self._records, decisions, bench=benches.bench, servers=self._config.mcp)

        return replay, errands

    def _reach(self) -> Reach:
        return Reach.within(self._config.limits)


class _Benches:
    """The candidate's clauses compiled for each app that comes by."""

    def __init__(self, candidate: Candidate, config: Config, notice_key: bytes) -> None:
        self._candidate = candidate
        self._config = config
        self._notice_key = notice_key
        self._by_app: dict[str, Bench] = {}

    def bench(self, app: str) -> Bench:
        """The bench of an app, always the same. Apps nobody configured follow `default`, as they do live."""
        found = self._by_app.get(app)
        if found is None:
            found = self._by_app[app] = self._compiled(app)
        return found

    def _compiled(self, app: str) -> Bench:
        named = self._config.apps.get(app) or self._config.apps.get("default") or App(name=app)
        ruleset = Ruleset.compile(
            self._candidate.policies,
            tags=_tags(self._config),
            settings=Settings(app=named.name, enforce=self._candidate.enforce, unseen=named.unseen),
        )
        # A clock that stands still: no guard runs out of time here, however busy the machine is. And nothing runs
        # beside anything else, so that long steps may be judged by the very same guards.
        unasked = Unasked()
        return Bench(
            ruleset, heavy=lambda: ruleset, clock=_still, notice_key=self._notice_key, asker=unasked, judge=unasked
        )

    def close(self) -> None:
        """End the threads of long steps."""
        for bench in self._by_app.values():
            bench.close()


class _Trial:
    """One history on its way before the candidate."""

    def __init__(
        self,
        records: Records,
        replay: Replay,
        errands: "Callable[[], Errands]",
        wanted: Wanted,
        examples: int,
        reach: Reach,
    ) -> None:
        self._records = records
        self._replay = replay
        self._new_errands = errands
        self._since_ns = wanted.since_ns or 0
        self._reach = reach
        self._dialects: Dialects = dialects()
        self._runner = asyncio.Runner()
        self._hypothetical: set[str] = set()
        """Sessions in which something would have gone on otherwise by now."""
        self.tally = Tally(examples=examples, text_of=self._text)

    def turns(self, rows: Iterable[SessionRow]) -> Iterator[Turn]:
        """The turns of these sessions."""
        for row in rows:
            yield from turns_of(self._records.exchanges(row.session_id))

    @cached_property
    def _errands(self) -> "Errands":
        return self._new_errands()

    def judge(self, moment: Moment) -> None:
        """Replay one turn, or the one or other half of it, and count what came of it."""
        turn = moment.turn
        if turn.exchange.dialect != MCP:
            self._count(turn, self._runner.run(self._replay.turn(turn)))
        elif moment.ends:
            self._count(turn, self._runner.run(self._errands.answer(turn)))
        else:
            self._runner.run(self._errands.ask(turn))

    def _count(self, turn: Turn, replayed: Replayed) -> None:
        exchange = turn.exchange
        if exchange.started_ns < self._since_ns:
            return
        if replayed.why is not None:
            self.tally.unreplayed(exchange.exchange_id, replayed.why)
        if replayed.recordings:
            session_id = "" if exchange.join is None else exchange.join.session_id
            verdicts = compare(replayed, self._recorded(turn))
            if self.tally.add(exchange, verdicts, hypothetical=session_id in self._hypothetical):
                self._hypothetical.add(session_id)

    def _recorded(self, turn: Turn) -> Mapping[str, Judged | None]:
        return {each.exchange_id: self._records.judged(each.exchange_id) for each in (turn.exchange, *turn.again)}

    def _text(self, recording: Recording, compared: Compared) -> str | None:
        if compared.step is None:
            return None
        exchange: Exchange = recording.exchange
        dialect = self._dialects.named(exchange.dialect)
        text = texts(exchange, [compared.step], Recorded(recording), dialect, self._reach)[0]
        findings = (*compared.before.findings, *compared.after.findings)
        return None if text is None else masked(text, findings, longest=_SHOWN)

    def close(self) -> None:
        """End the loop."""
        self._runner.close()


def _tags(config: Config) -> dict[str, frozenset[str]]:
    return {name: frozenset[str](tool.tags) for name, tool in config.tools.items()}


def _still() -> int:
    return 0
