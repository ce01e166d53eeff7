"""A clause goes by its policy's name and its own, or by its own where that says which."""

import pytest

from gateway.api.clauses import ClauseOfSeveral, NoSuchClause, clause_of

KNOWN = ("mail/no-secrets", "web/no-secrets", "web/no-orders")


@pytest.mark.parametrize(("name", "meant"), [("web/no-secrets", "web/no-secrets"), ("no-orders", "web/no-orders")])
def test_a_name_that_says_which_is_enough(name: str, meant: str) -> None:
    assert clause_of(name, KNOWN) == meant


def test_an_id_that_two_policies_have_is_refused_with_both() -> None:
    with pytest.raises(ClauseOfSeveral, match="more than one policy here has a clause 'no-secrets'") as raised:
        clause_of("no-secrets", KNOWN)
    assert raised.value.remedy() == "Say which: mail/no-secrets, web/no-secrets."


@pytest.mark.parametrize("name", ["", "web", "web/", "/no-orders", "mail/no-orders", "no-order"])
def test_a_name_of_none_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(NoSuchClause) as raised:
        clause_of(name, KNOWN)
    assert "web/no-orders" in raised.value.remedy()
