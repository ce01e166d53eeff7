"""Combining verdicts."""

from hypothesis import given
from hypothesis import strategies as st

from policies.vocabulary.verdicts import ALLOW, STRENGTH, Verdict, combine

names = st.sampled_from(sorted(STRENGTH))
verdicts = st.builds(
    Verdict,
    name=names,
    shadow=names,
    asked=st.booleans(),
    clauses=st.lists(st.sampled_from(["p/a", "p/b", "p/c"]), max_size=2, unique=True).map(tuple),
)


def test_nothing_combines_to_allow() -> None:
    assert combine([]) == ALLOW


def test_the_strongest_wins_and_the_first_of_equals_leads() -> None:
    weak = Verdict(name="flag", clauses=("p/a",))
    first = Verdict(name="reject", reason="limit_reached", clauses=("p/b",), recover="refused")
    second = Verdict(name="reject", reason="sensitive_data", clauses=("p/c", "p/b"))
    assert combine([weak, first, second]) == Verdict(
        name="reject", reason="limit_reached", clauses=("p/b", "p/c"), recover="refused"
    )


@given(st.lists(verdicts), verdicts)
def test_adding_a_verdict_never_weakens(found: list[Verdict], extra: Verdict) -> None:
    before, after = combine(found), combine([*found, extra])
    assert STRENGTH[after.name] >= STRENGTH[before.name]
    assert STRENGTH[after.shadow] >= STRENGTH[before.shadow]
    assert after.asked >= before.asked


@given(st.lists(verdicts))
def test_what_is_combined_is_as_strong_as_the_strongest_and_names_all_who_asked_for_it(found: list[Verdict]) -> None:
    whole = combine(found)
    assert STRENGTH[whole.name] == max((STRENGTH[each.name] for each in found), default=0)
    assert STRENGTH[whole.shadow] == max((STRENGTH[each.shadow] for each in found), default=0)
    asked = {clause for each in found if each.name == whole.name for clause in each.clauses}
    assert set(whole.clauses) == asked
    assert len(whole.clauses) == len(asked)
