"""Steps with their text: stored bytes, the dialect of their exchange, and what a caller may see."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal, Protocol

from gateway.api import answers
from gateway.contents import Encoded, Placed, Reach, asked_parts, texts, whole_request
from gateway.request_changes import RequestChanges, request_changes
from gateway.wire.interface import Dialect
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.steps import Part, Step
from storage.rows import StoredBody

Dialects = Mapping[str, Dialect]
"""The dialects that can be read, by the name an exchange carries."""


class Records(Protocol):
    """The slice of the store this reads; `storage.store.Store` and `storage.view.StoreView` fit."""

    def judged(self, exchange_id: str) -> Judged | None:
        """What clauses said of one exchange."""
        ...

    def body(self, exchange_id: str, side: Literal["request", "response"]) -> StoredBody | None:
        """One body exactly as it crossed the wire."""
        ...

    def cut(self, exchange_id: str, index: int) -> bytes | None:
        """One cut of a request."""
        ...


class Stored:
    """The bytes of one stored exchange; damage counts as not kept, so that the rest stays readable."""

    def __init__(self, records: Records, exchange_id: str) -> None:
        self._records = records
        self._exchange_id = exchange_id

    def cut(self, index: int) -> bytes | None:
        """One cut of the request."""
        try:
            return self._records.cut(self._exchange_id, index)
        except StepwardenError:
            return None

    def request(self) -> Encoded | None:
        """The whole request."""
        return self._whole("request")

    def response(self) -> Encoded | None:
        """The whole response."""
        return self._whole("response")

    def _whole(self, side: Literal["request", "response"]) -> Encoded | None:
        try:
            body = self._records.body(self._exchange_id, side)
        except StepwardenError:
            return None
        return None if body is None or body.raw is None else Encoded(raw=body.raw, encoding=body.content_encoding)


class Reader:
    """Answers steps with their text."""

    def __init__(self, records: Records, dialects: Dialects, reach: Reach) -> None:
        self._records = records
        self._dialects = dialects
        self._reach = reach

    def steps(self, exchanges: Sequence[Exchange], steps: Sequence[Step], *, longest: int) -> Iterator[answers.Step]:
        """The steps in their order; each text at most `longest` characters, 0 reads no content at all."""
        by_id = {exchange.exchange_id: exchange for exchange in exchanges}
        for exchange_id, group in groupby(steps, key=lambda step: step.exchange_id):
            mine = list(group)
            found = self._texts(by_id.get(exchange_id), mine) if longest else [None] * len(mine)
            said = self._said(exchange_id)
            for step, text in zip(mine, found, strict=True):
                yield answers.Step.of(step, text, longest=longest, said=said.get(step.seq))

    def _said(self, exchange_id: str) -> Mapping[int, StepJudgement]:
        """What clauses said of each step."""
        judged = self._records.judged(exchange_id)
        return {} if judged is None else {said.seq: said for said in judged.steps}

    def texts(self, exchange: Exchange, steps: Sequence[Placed]) -> Sequence[str | None]:
        """The text of each step as guards saw it, half characters and all."""
        return self._texts(exchange, steps)

    def trail(self, exchange: Exchange) -> Sequence[Part]:
        """All that a request put before the model, in the order in which findings count; empty where it is lost."""
        dialect = self._dialects.get(exchange.dialect)
        if dialect is None:
            return ()
        return asked_parts(exchange, Stored(self._records, exchange.exchange_id), dialect, self._reach)

    def changes(self, before: Exchange, after: Exchange) -> RequestChanges | None:
        """What a request asks otherwise than an earlier one of the same dialect; None where either is lost."""
        dialect = self._dialects.get(after.dialect)
        if dialect is None or before.dialect != after.dialect:
            return None
        one, other = (
            whole_request(each, Stored(self._records, each.exchange_id), dialect, self._reach)
            for each in (before, after)
        )
        return None if one is None or other is None else request_changes(one, other, dialect)

    def _texts(self, exchange: Exchange | None, steps: Sequence[Placed]) -> Sequence[str | None]:
        if exchange is None:
            return [None] * len(steps)
        kept = Stored(self._records, exchange.exchange_id)
        return texts(exchange, steps, kept, self._dialects.get(exchange.dialect), self._reach)
