"""Tally: what a backtest has found so far, bounded however long the history is."""

from collections.abc import Callable

from gateway.backtest.comparison import Compared, Verdicts, flip_of, interferes
from policies.vocabulary.backtests import Backtest, ClauseFlips, Flip, Interference, Unreplayed
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.verdicts import STRENGTH, VerdictName

Key = tuple[str, VerdictName, VerdictName]
TextOf = Callable[[Recording, Compared], str | None]


class _Stopped:
    """How much is interfered with."""

    def __init__(self) -> None:
        self._steps = 0
        self._exchanges: set[str] = set()
        self._sessions: set[str] = set()

    def count(self, exchange: Exchange, name: VerdictName) -> None:
        if interferes(name):
            self._steps += 1
            self._exchanges.add(exchange.exchange_id)
            self._sessions.add(exchange.join.session_id if exchange.join else "")

    def sum(self) -> Interference:
        return Interference(steps=self._steps, exchanges=len(self._exchanges), sessions=len(self._sessions))


class Tally:
    """Counts flips by clause and keeps the first few of each."""

    def __init__(self, *, examples: int, text_of: TextOf) -> None:
        """`text_of` reads the text of a step that is shown."""
        self._most = examples
        self._text_of = text_of
        self._counts: dict[Key, list[int]] = {}
        self._examples: dict[Key, list[Flip]] = {}
        self._flipped = [0, 0]
        self._then, self._now = _Stopped(), _Stopped()
        self._unreplayed: dict[str, list[str]] = {}
        self._sessions: set[str] = set()
        self._exchanges = self._steps = 0

    def add(self, exchange: Exchange, verdicts: Verdicts, *, hypothetical: bool) -> bool:
        """Count one turn of a session; whether what follows in the session is hypothetical from here on."""
        self._exchanges += 1
        self._sessions.add(exchange.join.session_id if exchange.join else "")
        if verdicts.why is not None:
            self.unreplayed(exchange.exchange_id, verdicts.why)
        diverged = hypothetical
        for mine, now, compared in verdicts.compared:
            # Where the request already goes on as another, its reply is no longer the answer to it.
            reply = compared.step is not None and compared.step.side == "response"
            self._compare(mine, now, compared, hypothetical=diverged if reply else hypothetical)
            diverged = diverged or (compared.diverges and not reply)
        return diverged or verdicts.diverges or any(compared.diverges for _, _, compared in verdicts.compared)

    def unreplayed(self, exchange_id: str, why: str) -> None:
        """Count an exchange that could not be judged anew, or not all of it."""
        self._unreplayed.setdefault(why, []).append(exchange_id)

    def _compare(self, exchange: Exchange, now: Recording, compared: Compared, *, hypothetical: bool) -> None:
        self._steps += compared.step is not None
        self._then.count(exchange, compared.before.verdict.name)
        self._now.count(exchange, compared.after.verdict.name)
        if not compared.flips:
            return
        self._flipped[hypothetical] += 1
        flip = flip_of(exchange, compared, hypothetical=hypothetical)
        texted: Flip | None = None
        for clause in flip.clauses or ("",):
            key = (clause, flip.before, flip.after)
            self._counts.setdefault(key, [0, 0])[hypothetical] += 1
            kept = self._examples.setdefault(key, [])
            if self._has_room(kept, hypothetical=hypothetical):
                texted = texted or flip_of(
                    exchange, compared, hypothetical=hypothetical, text=self._text_of(now, compared)
                )
                kept.append(texted)
                kept.sort(key=lambda each: each.hypothetical)
                del kept[self._most :]

    def _has_room(self, kept: list[Flip], *, hypothetical: bool) -> bool:
        """Whether an example is worth keeping: one for certain takes the place of a hypothetical one."""
        if len(kept) < self._most:
            return True
        return bool(kept) and kept[-1].hypothetical and not hypothetical

    def report(self, *, policies: tuple[str, ...], enforce: bool, left_out: int) -> Backtest:
        """All of it."""
        order = sorted(self._counts, key=lambda key: (-STRENGTH[key[2]], -sum(self._counts[key]), key))
        return Backtest(
            policies=policies,
            enforce=enforce,
            sessions=len(self._sessions),
            exchanges=self._exchanges,
            steps=self._steps,
            flips=tuple(self._clause(key) for key in order),
            flipped=self._flipped[False],
            hypothetical=self._flipped[True],
            then=self._then.sum(),
            now=self._now.sum(),
            unreplayed=tuple(
                Unreplayed(why=why, exchanges=len(ids), examples=tuple(ids[: self._most]))
                for why, ids in self._unreplayed.items()
            ),
            left_out=left_out,
        )

    def _clause(self, key: Key) -> ClauseFlips:
        clause, before, after = key
        certain, hypothetical = self._counts[key]
        return ClauseFlips(
            clause=clause,
            before=before,
            after=after,
            steps=certain,
            hypothetical=hypothetical,
            examples=tuple(self._examples[key]),
        )
