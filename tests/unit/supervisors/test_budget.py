"""Budget: never overspent, whatever the order; what was set aside and not used comes back."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.vocabulary.supervisor_calls import Spender, Spent
from supervisors.budget import Budget, BudgetGone, Ceiling, Limit, Limits

SPENDER = Spender(app="a", session_id="s", day="2026-11-29")


def budget(spender: Spender = SPENDER, spent: Spent | None = None, **limits: Limit) -> Budget:
    made = Budget(Limits(**limits))
    for account in made.unknown(spender):
        made.know(account, spent or Spent())
    return made


@pytest.mark.parametrize("account", ["session", "app", "day"])
@pytest.mark.parametrize("limit", [Limit(tokens=99), Limit(micro_usd=9)], ids=["tokens", "money"])
def test_each_account_and_measure_refuses_by_its_own_word(account: str, limit: Limit) -> None:
    with pytest.raises(BudgetGone, match=f"budget_{account}"):
        budget(**{account: limit}).reserve(SPENDER, Ceiling(tokens=100, micro_usd=10))


def test_what_was_spent_before_counts() -> None:
    made = budget(spent=Spent(tokens=60), day=Limit(tokens=100))
    made.reserve(SPENDER, Ceiling(tokens=40, micro_usd=None))
    with pytest.raises(BudgetGone):
        made.reserve(SPENDER, Ceiling(tokens=1, micro_usd=None))


def test_an_unknown_price_is_refused_where_money_alone_is_limited() -> None:
    ceiling = Ceiling(tokens=10, micro_usd=None)
    with pytest.raises(BudgetGone, match="price_unknown"):
        budget(day=Limit(micro_usd=100)).reserve(SPENDER, ceiling)
    budget(day=Limit(micro_usd=100, tokens=10)).reserve(SPENDER, ceiling)
    budget().reserve(SPENDER, ceiling)


def test_sessions_and_apps_do_not_pay_for_each_other_and_the_day_pays_for_all() -> None:
    other = Spender(app="b", session_id="t", day=SPENDER.day)
    made = budget(session=Limit(tokens=10), app=Limit(tokens=10), day=Limit(tokens=15))
    for account in made.unknown(other):
        made.know(account, Spent())
    made.reserve(SPENDER, Ceiling(tokens=10, micro_usd=None))
    made.reserve(other, Ceiling(tokens=5, micro_usd=None))
    with pytest.raises(BudgetGone, match="budget_day"):
        made.reserve(other, Ceiling(tokens=5, micro_usd=None))


def test_a_call_outside_of_a_session_goes_on_the_app_and_the_day_alone() -> None:
    assert Spender(app="a", session_id=None, day="d").accounts() == ("day:d", "app:d:a")


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40) | st.none())), st.integers(0, 200))
def test_a_budget_is_never_overspent(calls: Sequence[tuple[int, int | None]], limit: int) -> None:
    made, spent = budget(day=Limit(tokens=limit)), 0
    for most, billed in calls:
        took = None if billed is None else min(billed, most)
        try:
            reserved = made.reserve(SPENDER, Ceiling(tokens=most, micro_usd=None))
        except BudgetGone:
            assert spent + most > limit
            continue
        made.settle(reserved, tokens=took, micro_usd=None)
        spent += most if took is None else took
    assert spent <= limit
