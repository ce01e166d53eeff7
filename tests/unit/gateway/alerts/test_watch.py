"""Watch: enough within a while is told, quiet is kept, and nothing that happened meanwhile is forgotten."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.alerts.occurrences import Occurrence
from gateway.alerts.watch import Notice, Watch
from gateway.config import Alert


def watch(**changes: Any) -> Watch:
    return Watch(Alert(**{"name": "a", "on": ("hold", "reject"), "url_env": "U", "quiet_seconds": 60.0, **changes}))


def rejected(app: str = "shop") -> Occurrence:
    return Occurrence(occasion="reject", app=app)


def counts(told: list[Notice | None]) -> list[int | None]:
    return [None if each is None else each.count for each in told]


def test_one_is_told_at_once_and_the_next_after_the_quiet() -> None:
    one = watch()
    assert counts([one.hear(rejected(), at) for at in (0.0, 1.0, 59.9)]) == [1, None, None]
    assert list(one.due(59.9)) == []
    assert counts(list(one.due(60.0))) == [2]
    assert list(one.due(500.0)) == []


def test_apps_and_occasions_keep_quiet_each_for_itself() -> None:
    one = watch()
    held = Occurrence(occasion="hold", app="shop")
    assert counts([one.hear(each, 0.0) for each in (rejected(), rejected("bank"), held, rejected())]) == [1, 1, 1, None]


def test_what_was_not_asked_for_is_not_told() -> None:
    assert watch().hear(Occurrence(occasion="flag", app="shop"), 0.0) is None
    assert watch(apps=("bank",)).hear(rejected(), 0.0) is None
    everywhere = Occurrence(occasion="audit_failing")
    assert watch(on=("audit_failing",), apps=("bank",)).hear(everywhere, 0.0) is not None


def test_a_rate_is_told_where_so_many_fall_within_the_time() -> None:
    slow = watch(at=3, within_seconds=10.0)
    assert counts([slow.hear(rejected(), at) for at in (0.0, 6.0, 12.0, 18.0)]) == [None] * 4
    quick = watch(at=3, within_seconds=10.0)
    assert counts([quick.hear(rejected(), at) for at in (0.0, 5.0, 9.9)]) == [None, None, 3]


def test_spending_adds_up_within_the_time() -> None:
    one = watch(on=("spent",), over_usd=1.0, within_seconds=10.0)
    spent = Occurrence(occasion="spent", app="shop", micro_usd=400_000)
    assert [one.hear(spent, at) for at in (0.0, 9.0, 11.0)] == [None] * 3
    told = one.hear(spent, 12.0)
    assert told is not None
    assert told.usd == 1.2


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 3), st.sampled_from([0.0, 1.0, 40.0]))
def test_every_occurrence_is_told_of_once_or_was_not_enough(gaps: list[float], at: int, quiet: float) -> None:
    one = watch(at=at, quiet_seconds=quiet, within_seconds=20.0)
    now, told, untold = 0.0, 0, 0
    for gap in gaps:
        now += gap
        notice = one.hear(rejected(), now)
        untold += 1
        if notice is not None:
            assert notice.count == untold
            told, untold = told + notice.count, 0
    late = list(one.due(now + 1000))
    told += sum(each.count for each in late)
    assert told <= len(gaps)
    assert told == len(gaps) if at == 1 else len(gaps) - told < len(gaps) + 1
