"""Sums: what the exchanges of one batch add to their sessions and branches, one row for each."""

from collections.abc import Iterator
from typing import Any, final

import msgspec

from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged
from policies.vocabulary.sessions import Join
from policies.vocabulary.verdicts import STRENGTH
from storage.ulids import pack

_OK = 200


def ended_well(exchange: Exchange) -> bool:
    """Whether the provider answered: an equal request after an error is a retry, after an answer it is a twin."""
    return exchange.outcome == "complete" and exchange.error_type is None and exchange.upstream_status == _OK


@final
class SessionSum:
    """What exchanges of one session add up to, in their order."""

    def __init__(self, first: Exchange, join: Join) -> None:
        self._first = first
        self._join = join
        self._name: str | None = None
        self._agent: str | None = None
        self._client: str | None = None
        self._models: set[str] = set()
        self._started = self._last = first.started_ns
        self._exchanges = self._steps = self._unpriced = 0
        self._input: int | None = None
        self._output: int | None = None
        self._cost: int | None = None
        self._verdict = self._shadow = 0
        self._clauses: dict[str, int] = {}

    def add(self, exchange: Exchange, join: Join, steps: int, judged: Judged | None) -> None:
        """Count one."""
        self._verdict = max(self._verdict, STRENGTH[exchange.verdict])
        if judged is not None:
            self._shadow = max(self._shadow, STRENGTH[judged.verdict.shadow])
            for clause in {finding.clause for said in judged.steps for finding in said.findings}:
                self._clauses[clause] = self._clauses.get(clause, 0) + 1
        usage, model = exchange.usage, exchange.model or exchange.model_requested
        self._name = self._name or join.name
        if join.parent_branch_id is None:
            self._agent = self._agent or join.agent_name
        self._client = self._client or exchange.client
        if model:
            self._models.add(model)
        self._started = min(self._started, exchange.started_ns)
        self._last = max(self._last, exchange.started_ns, exchange.ended_ns)
        self._exchanges += 1
        self._steps += steps
        if usage.input_tokens is not None:
            self._input = (self._input or 0) + usage.input_tokens
        if usage.output_tokens is not None:
            self._output = (self._output or 0) + usage.output_tokens
        if exchange.cost_micro_usd is None:
            self._unpriced += 1
        else:
            self._cost = (self._cost or 0) + exchange.cost_micro_usd

    def values(self) -> tuple[Any, ...]:
        """The row, in the order of its columns."""
        first, join = self._first, self._join
        return (
            join.session_id, first.app, first.key_id, self._name, int(join.derived), self._agent, self._client,
            msgspec.json.encode(sorted(self._models)).decode(), self._started, self._last, self._exchanges,
            self._steps, self._input, self._output, self._cost, self._unpriced, self._verdict, self._shadow,
        )  # fmt: skip

    def clauses(self) -> Iterator[tuple[str, str, int]]:
        """The rows of clauses that found something."""
        for clause, exchanges in self._clauses.items():
            yield self._join.session_id, clause, exchanges


@final
class BranchSum:
    """What exchanges of one branch add up to, in their order."""

    def __init__(self, first: Exchange, join: Join) -> None:
        self._first = first
        self._join = join
        self._agent: str | None = None
        self._last = first.started_ns
        self._newest: str | None = None
        self._exchanges = 0

    def add(self, exchange: Exchange, join: Join) -> None:
        """Count one."""
        self._agent = self._agent or join.agent_name
        self._last = max(self._last, exchange.started_ns, exchange.ended_ns)
        if ended_well(exchange):
            self._newest = exchange.exchange_id
        self._exchanges += 1

    def values(self) -> tuple[Any, ...]:
        """The row, in the order of its columns."""
        first, join = self._first, self._join
        return (
            join.session_id, join.branch_id, join.parent_branch_id, self._agent, join.evidence, join.relation,
            pack(first.exchange_id), join.trace_id, join.branch_span_id, first.started_ns, self._last,
            None if self._newest is None else pack(self._newest), self._exchanges,
        )  # fmt: skip
