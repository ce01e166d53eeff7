"""Intake: from the record to the monitor's queue.

What a clause leaves to the monitor stands in the coverage of the step, as the reason why its guard did not run; so
the record itself says what is to be read, whoever recorded it and whatever happened since.
"""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Final, Protocol

from policies.afterwards import sampled
from policies.evaluate import Ruleset, ruleset_of
from policies.risk import risk_of
from policies.vocabulary.clauses import Severity
from policies.vocabulary.judgements import StepJudgement
from policies.vocabulary.monitoring import LATER, Awaiting
from storage.monitor_queue import MonitorQueue
from storage.rows import RecordedRow

_ROWS: Final = 64
"""Exchanges that are looked at in one go: their rows are in memory for as long."""

_NOTED: Final = 1000
"""Exchanges without anything to read after which it is noted how far that is."""


class Recorded(Protocol):
    """The slice of the record this reads; `storage.store.Store` fits."""

    def recorded(self, after: int, until: int, limit: int) -> list[RecordedRow]:
        """Exchanges in the order of recording."""
        ...


class Intake:
    """Fills the queue. Used from one thread at a time."""

    def __init__(
        self,
        queue: MonitorQueue,
        record: Recorded,
        rulesets: Callable[[], Mapping[str, Ruleset]],
        *,
        now_ns: Callable[[], int],
    ) -> None:
        """`rulesets` gives the clauses in force by app. What was recorded before any monitor ran is not read."""
        self._queue = queue
        self._record = record
        self._rulesets = rulesets
        self._now_ns = now_ns
        taken = queue.taken
        if taken is None:
            taken = queue.sealed
            queue.take([], taken)
        self._taken = self._noted = taken

    def fill(self) -> bool:
        """Queue what was recorded since; whether there may be more. Raises `StorageFailed`."""
        until = self._queue.sealed
        if until <= self._taken:
            return False
        rows = self._record.recorded(self._taken, until, _ROWS)
        last = rows[-1].number if len(rows) == _ROWS else until
        rulesets = self._rulesets()
        steps = [step for row in rows for step in self._awaiting(row, rulesets)]
        if steps or last - self._noted >= _NOTED:
            self._queue.take(steps, last)
            self._noted = last
        self._taken = last
        return last < until

    def _awaiting(self, row: RecordedRow, rulesets: Mapping[str, Ruleset]) -> Iterator[Awaiting]:
        """The steps of an exchange that clauses leave to the monitor."""
        judged, app = row.judged, row.exchange.app
        ruleset = ruleset_of(rulesets, app)
        if judged is None or ruleset is None or row.exchange.join is None:
            return
        said = {each.seq: each for each in judged.steps}
        severities: dict[str, Severity] = {rule.name: rule.clause.severity for rule in ruleset.rules}
        for step in row.steps:
            about = said.get(step.seq)
            clauses = () if about is None else _asked(about, ruleset, step.step_id)
            if about is None or not clauses:
                continue
            score = max([finding.score for finding in about.findings if finding.state != "error"], default=0)
            tags = ruleset.tags.get(step.tool or "", frozenset())
            yield Awaiting(
                step_id=step.step_id,
                session_id=step.session_id,
                app=app,
                ruleset=judged.ruleset,
                clauses=clauses,
                risk=risk_of(step.kind, tags, [severities[clause] for clause in clauses], score),
                size=step.size,
                since_ns=self._now_ns(),
            )


def _asked(said: StepJudgement, ruleset: Ruleset, step_id: str) -> tuple[str, ...]:
    """The clauses whose monitor reads this step, each once."""
    named = dict.fromkeys([row.clause for row in said.coverage if row.skipped == LATER])
    share = int.from_bytes(sha256(step_id.encode()).digest()[:8], "big") / 2**64
    return tuple([clause for clause in named if sampled(ruleset, clause, share)])
