"""Figures: what the record says of a period, counted in bounded memory."""

from collections import Counter
from typing import Final, final

import msgspec

from gateway.evidence.tally import LISTED
from policies.vocabulary.coverage import Examined
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.steps import Step
from policies.vocabulary.verdicts import STRENGTH
from storage.rows import RecordedRow

_NAMES: Final = 200
"""Names a client or a model chose that are told apart; a peer can invent any number of them."""

OTHERS: Final = "(others)"
_ACTS: Final = STRENGTH["redact"]


class GuardCoverage(msgspec.Struct):
    """One guard of one clause, over all steps of the period."""

    steps: int = 0
    """Steps it was asked about."""

    scanned: int = 0
    size: int = 0
    """Bytes it looked at, of how many."""

    violations: int = 0
    unsure: int = 0
    errors: int = 0
    shadow: int = 0
    """Steps for which the clause was out of force."""

    skipped: int = 0
    """Steps it did not look at; the reasons stand in `Figures.skipped`."""


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange in which something was changed, held or stopped."""

    exchange: Exchange
    reason: str | None
    clauses: tuple[str, ...]
    tools: tuple[str, ...]
    """Tools of the steps that were acted on."""

    labels: tuple[str, ...]
    """What guards found, as words; never content."""


@final
class Names:
    """Counts by names that somebody else chose: the first so many are told apart."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, name: str | None) -> None:
        """One more."""
        name = name or "(unknown)"
        self.counts[name if name in self.counts or len(self.counts) < _NAMES else OTHERS] += 1


@final
class Figures:
    """Fed every exchange of a period."""

    def __init__(self) -> None:
        self.exchanges = self.steps = self.judged = self.unjudged = 0
        self.sessions_begun = 0
        self.days: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.shadow: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self.whole_unread: Counter[str] = Counter()
        """Exchanges of which no step could be judged, by reason."""
        self.skipped: Counter[str] = Counter()
        self.models, self.tools, self.clients, self.apps = Names(), Names(), Names(), Names()
        self.server_side = self.asked_again = 0
        self.input_tokens = self.output_tokens = self.unpriced = self.cost_micro_usd = 0
        self.coverage: dict[tuple[str, str], GuardCoverage] = {}
        self.acted: list[Acted] = []
        self.acted_count = 0

    def add(self, row: RecordedRow, day: str) -> None:
        """One more exchange."""
        exchange = row.exchange
        self.exchanges += 1
        self.days[day] += 1
        self.outcomes[exchange.outcome] += 1
        self.verdicts[exchange.verdict] += 1
        self.models.add(exchange.model or exchange.model_requested)
        self.clients.add(exchange.client)
        self.apps.add(exchange.app)
        if exchange.join is not None and exchange.join.relation == "opens":
            self.sessions_begun += 1
        self._usage(exchange)
        for step in row.steps:
            self._step(step)
        if row.judged is None:
            self.unjudged += 1
        else:
            self._judged(row, row.judged)

    def named(self) -> dict[str, int]:
        """Figures by the names that control rows use."""
        return {
            "exchanges": self.exchanges,
            "exchanges_judged": self.judged,
            "exchanges_unjudged": self.unjudged,
            "exchanges_acted_on": self.acted_count,
            "steps": self.steps,
            "steps_unread": sum(self.unread.values()),
            "guard_looks": sum(each.steps - each.skipped for each in self.coverage.values()),
            "guard_errors": sum(each.errors for each in self.coverage.values()),
            "guard_skips": sum(each.skipped for each in self.coverage.values()),
            "sessions_begun": self.sessions_begun,
        }

    def _usage(self, exchange: Exchange) -> None:
        self.input_tokens += exchange.usage.input_tokens or 0
        self.output_tokens += exchange.usage.output_tokens or 0
        self.cost_micro_usd += exchange.cost_micro_usd or 0
        self.unpriced += exchange.cost_micro_usd is None

    def _step(self, step: Step) -> None:
        self.steps += 1
        self.kinds[step.kind] += 1
        self.server_side += step.server_side
        if step.unread is not None:
            self.unread[step.unread] += 1
        if step.kind == "tool_call":
            self.tools.add(step.tool)

    def _judged(self, row: RecordedRow, judged: Judged) -> None:
        self.judged += 1
        self.asked_again += judged.asked_again
        if judged.verdict.shadow != "allow":
            self.shadow[judged.verdict.shadow] += 1
        if judged.unread is not None:
            self.whole_unread[judged.unread] += 1
        for said in judged.steps:
            for examined in said.coverage:
                self._examined(examined)
        if STRENGTH[judged.verdict.name] >= _ACTS:
            self.acted_count += 1
            if len(self.acted) < LISTED:
                self.acted.append(_acted(row, judged))

    def _examined(self, examined: Examined) -> None:
        found = self.coverage.setdefault((examined.clause, examined.guard), GuardCoverage())
        found.steps += 1
        found.scanned += examined.scanned
        found.size += examined.size
        found.violations += examined.state == "violation"
        found.unsure += examined.state == "unsure"
        found.errors += examined.state == "error"
        found.shadow += examined.shadow
        if examined.skipped is not None:
            found.skipped += 1
            self.skipped[examined.skipped] += 1


def _acted(row: RecordedRow, judged: Judged) -> Acted:
    said = [each for each in judged.steps if STRENGTH[each.verdict.name] >= _ACTS]
    tools = {step.seq: step.tool for step in row.steps}
    return Acted(
        exchange=row.exchange,
        reason=judged.verdict.reason,
        clauses=judged.verdict.clauses,
        tools=tuple(dict.fromkeys(tool for each in said if (tool := tools.get(each.seq)))),
        labels=tuple(dict.fromkeys(_labels(said))),
    )


def _labels(said: list[StepJudgement]) -> list[str]:
    return [each.label for one in said for finding in one.findings for each in finding.evidence if each.label]
