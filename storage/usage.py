"""Usage: what exchanges of a day add up to, slot by slot of time, in one pass over its file."""

import sqlite3
from typing import Final, TypeAlias

import msgspec

Slots: TypeAlias = tuple[int, int, int, str | None, int]
"""Since and until (Unix epoch, nanoseconds), the length of a slot in nanoseconds, an app or None, the last row."""

_OF = """
FROM exchange JOIN common ON common.id = exchange.common
WHERE started_ns >= ?1 AND started_ns < ?2 AND app = ifnull(?4, app) AND exchange.id <= ?5
"""
_SUMS = f"""
SELECT (started_ns - ?1) / ?3 AS slot, app, ifnull(ifnull(model, model_requested), '') AS model, count(*) AS exchanges,
       sum(outcome <> 'complete' OR ifnull(status, 500) >= 400) AS failed,
       sum(verdict IN ('hold', 'reject', 'terminate')) AS stopped,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(cost_micro_usd) AS cost_micro_usd, sum(cost_micro_usd IS NULL) AS unpriced
{_OF} GROUP BY 1, 2, 3
"""
_TIMES = f"""
SELECT (started_ns - ?1) / ?3, app, ifnull(ifnull(model, model_requested), ''), ended_after, first_token_after {_OF}
"""
_MOST: Final = 100_000
"""Exchanges of a day whose times are looked at: the newest; sums are always over all."""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of time, one app, one model."""

    slot: int
    """From 0."""

    app: str
    model: str
    """Empty where none was named."""

    exchanges: int
    failed: int
    """Without a whole answer, or with an error status."""

    stopped: int
    """Held, rejected, or their session ended."""

    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    unpriced: int
    durations: tuple[int, ...]
    """From first byte in to last byte out, nanoseconds, in no order."""

    first_tokens: tuple[int, ...]
    """From first byte in to the first output of the model, of streams."""


def usage(day: sqlite3.Connection, slots: Slots) -> list[UsageRow]:
    """The sums of a day file."""
    times: dict[tuple[int, str, str], tuple[list[int], list[int]]] = {}
    query = f"{_TIMES} AND operation = 'chat' ORDER BY exchange.id DESC LIMIT {_MOST}"
    for slot, app, model, ended, first in day.execute(query, slots):
        durations, firsts = times.setdefault((slot, app, model), ([], []))
        durations.append(ended)
        if first is not None:
            firsts.append(first)
    found: list[UsageRow] = []
    for row in day.execute(_SUMS, slots):
        durations, firsts = times.get((row["slot"], row["app"], row["model"]), ([], []))
        found.append(UsageRow(**dict(row), durations=tuple(durations), first_tokens=tuple(firsts)))
    return found
