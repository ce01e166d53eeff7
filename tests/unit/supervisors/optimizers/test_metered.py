"""The budget of a run: calls and tokens are counted exactly, and what is not paid for is not asked."""

import pytest

from supervisors.optimizers.model import BudgetSpent, Completion, Metered, ModelFailed, Spending


class Asked:
    """A model that counts, and fails where it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.calls = 0
        self._fails = fails

    def complete(self, prompt: str) -> Completion:
        self.calls += 1
        if self._fails:
            raise ModelFailed(prompt)
        return Completion(text="", input_tokens=30, output_tokens=10)


def spent(model: Asked, budget: Spending, *, late: bool = False) -> Spending:
    """What a run spends that asks for as long as it may."""
    metered = Metered(model, budget, late=lambda: late)
    for _ in range(100):
        try:
            metered.complete("?")
        except ModelFailed:
            continue
        except BudgetSpent:
            return metered.spent
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("calls", "tokens", "made"),
    [(3, 1000, 3), (50, 100, 3), (50, 120, 3), (50, 121, 4), (0, 1000, 0), (50, 0, 0)],
)
def test_whichever_is_spent_first_ends_a_run(calls: int, tokens: int, made: int) -> None:
    model = Asked()
    assert spent(model, Spending(calls=calls, tokens=tokens)) == Spending(calls=made, tokens=40 * made)
    assert model.calls == made


def test_a_call_that_fails_is_one() -> None:
    model = Asked(fails=True)
    assert spent(model, Spending(calls=3, tokens=1000)) == Spending(calls=3, tokens=0)
    assert model.calls == 3


def test_nothing_is_asked_once_the_time_is_over() -> None:
    model = Asked()
    assert spent(model, Spending(calls=3, tokens=1000), late=True) == Spending()
    assert model.calls == 0
