"""The model an optimizer may ask: text in, text out. It has no tools, and its answer is data until it is decoded."""

from collections.abc import Callable
from typing import Protocol

import msgspec


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One answer."""

    text: str
    input_tokens: int = 0
    """Tokens as they were billed."""

    output_tokens: int = 0


class ModelFailed(Exception):
    """There is no answer. The message never holds what was sent."""


class Model(Protocol):
    """Answers prompts."""

    def complete(self, prompt: str) -> Completion:
        """The answer to one prompt. Raises `ModelFailed`; is not called again for the same prompt."""
        ...


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may spend, or has spent."""

    calls: int = 0
    tokens: int = 0
    """In and out, together."""


class BudgetSpent(Exception):
    """The run has spent what it may."""


def _never() -> bool:
    return False


class Metered:
    """A model behind a budget. The count is exact: a call that fails is one, too."""

    def __init__(self, model: Model, budget: Spending, *, late: Callable[[], bool] = _never) -> None:
        """`late`: whether the run's time is over."""
        self._model = model
        self._budget = budget
        self._late = late
        self.spent = Spending()

    def complete(self, prompt: str) -> Completion:
        """The model's answer. Raises `ModelFailed`, and `BudgetSpent` instead of a call that is not paid for."""
        if self._late():
            raise BudgetSpent("the run's time is over")
        if self.spent.calls >= self._budget.calls or self.spent.tokens >= self._budget.tokens:
            raise BudgetSpent("the run's calls or tokens are spent")
        self.spent = msgspec.structs.replace(self.spent, calls=self.spent.calls + 1)
        said = self._model.complete(prompt)
        tokens = self.spent.tokens + said.input_tokens + said.output_tokens
        self.spent = msgspec.structs.replace(self.spent, tokens=tokens)
        return said
