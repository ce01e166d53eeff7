"""Usage: what was asked, what it cost and how long it took, over time."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from gateway.api import answers
from gateway.api.access import requires, scope_of
from gateway.api.ports import Records
from gateway.times import moment_ns, rfc3339
from policies.errors import StepwardenError
from policies.vocabulary.keys import Principal
from storage.usage import UsageRow

_LONGEST_NS: Final = 31 * 86_400 * 1_000_000_000
_MS: Final = 1_000_000


class TooFarBack(StepwardenError):
    """More days were asked for than are added up at once."""

    status = 400

    def remedy(self) -> str:
        """What is possible."""
        return "Ask for a span of at most 31 days; `stepwarden audit export` reports on longer ones."


@get("/api/usage", opt=requires("viewer"), sync_to_thread=True)
def show_usage(
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
    since: Annotated[str, QueryParameter(max_length=64, description="RFC 3339, or `2h` back from now.")] = "24h",
    slots: Annotated[int, QueryParameter(ge=1, le=200, description="Into how many parts the span is cut.")] = 48,
    app: Annotated[str | None, QueryParameter(max_length=200, description="Only this app's.")] = None,
) -> answers.UsageReport:
    """Exchanges, tokens, cost and times from then until now, in slots of equal length, and by app and model."""
    now_ns = time.time_ns()
    since_ns = moment_ns(since, now_ns=now_ns)
    if now_ns - since_ns > _LONGEST_NS:
        raise TooFarBack("this is longer than 31 days")
    slot_ns = max((now_ns - since_ns) // slots + 1, 1)
    rows = records.usage(since_ns, now_ns, slot_ns, app=scope_of(principal, app))
    by_slot, by_model = defaultdict[int, list[UsageRow]](list), defaultdict[tuple[str, str], list[UsageRow]](list)
    for row in rows:
        by_slot[row.slot].append(row)
        by_model[row.app, row.model].append(row)
    return answers.UsageReport(
        since=rfc3339(since_ns),
        until=rfc3339(now_ns),
        slot_seconds=slot_ns / 1e9,
        total=_sum(rows),
        slots=tuple(_sum(by_slot[slot]) for slot in range(slots)),
        models=tuple(
            answers.ModelUsage(app=name, model=model, sum=_sum(mine), slots=_costs(mine, slots))
            for (name, model), mine in sorted(by_model.items(), key=lambda each: -sum(r.exchanges for r in each[1]))
        ),
    )


def _sum(rows: Sequence[UsageRow]) -> answers.UsageSum:
    durations = sorted(each for row in rows for each in row.durations)
    firsts = sorted(each for row in rows for each in row.first_tokens)
    return answers.UsageSum(
        exchanges=sum(row.exchanges for row in rows),
        failed=sum(row.failed for row in rows),
        stopped=sum(row.stopped for row in rows),
        input_tokens=_known(row.input_tokens for row in rows),
        output_tokens=_known(row.output_tokens for row in rows),
        cost_micro_usd=_known(row.cost_micro_usd for row in rows),
        unpriced=sum(row.unpriced for row in rows),
        duration_p50_ms=_quantile(durations, 0.5),
        duration_p95_ms=_quantile(durations, 0.95),
        first_token_p50_ms=_quantile(firsts, 0.5),
        first_token_p95_ms=_quantile(firsts, 0.95),
    )


def _costs(rows: Iterable[UsageRow], slots: int) -> tuple[int, ...]:
    """Exchanges in each slot."""
    counts = [0] * slots
    for row in rows:
        counts[row.slot] += row.exchanges
    return tuple(counts)


def _known(values: Iterable[int | None]) -> int | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _quantile(ascending: Sequence[int], part: float) -> float | None:
    """The value below which this part of them lies, milliseconds; nearest rank."""
    if not ascending:
        return None
    return ascending[min(int(part * len(ascending)), len(ascending) - 1)] / _MS
