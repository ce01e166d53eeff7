"""Limits on arguments hold whatever way a value is written."""

import json
from typing import Any

import pytest

from policies.arguments import leaves
from policies.limits import ArgumentLimit, BadLimit, Limit
from policies.trail import utf8


def breaks(text: str, **limit: Any) -> list[str]:
    spec = ArgumentLimit(tool="transfer", **{"pointer": "/amount", **limit})
    return [label for label, _ in Limit(spec).breaks(leaves(text), utf8(text))]


@pytest.mark.parametrize(
    ("amount", "broken"),
    [
        (1000, []),
        (1000.01, ["max"]),
        ("999", []),
        ("1,500.00", ["max"]),
        (" 1e9 ", ["max"]),
        ("a lot", ["not_a_number"]),
        (True, ["not_a_number"]),
        (None, ["not_a_number"]),
        (float("nan"), ["max"]),
        (float("inf"), ["max"]),
        ("nan", ["max"]),
        ("9" * 5000, ["not_a_number"]),
        (10**60, ["max"]),
        (-1, []),
    ],
)
def test_a_number_is_bounded_however_it_is_written(amount: Any, broken: list[str]) -> None:
    assert breaks(json.dumps({"amount": amount}), max=1000) == broken


def test_a_lower_bound_holds_too() -> None:
    assert breaks('{"amount": 1}', min=2) == ["min"]
    assert breaks('{"amount": NaN}', min=2) == ["min"]


def test_both_of_two_equal_keys_are_bounded() -> None:
    assert breaks('{"amount":5000,"amount":1}', max=1000) == ["max"]


def test_values_are_listed_exactly() -> None:
    assert breaks('{"amount": 1}', one_of=[1, "x"]) == []
    assert breaks('{"amount": true}', one_of=[1]) == ["one_of"]
    assert breaks('{"amount": "X"}', one_of=["x"]) == ["one_of"]
    assert breaks('{"amount": "x"}', none_of=["x"]) == ["none_of"]


def test_a_pattern_matches_the_whole_value() -> None:
    assert breaks('{"amount": "DE12"}', pattern="DE[0-9]+") == []
    assert breaks('{"amount": "DE12; rm"}', pattern="DE[0-9]+") == ["pattern"]
    assert breaks('{"amount": "DE12\\n"}', pattern="DE[0-9]+") == ["pattern"]
    assert breaks('{"amount": 12}', pattern="[0-9]{2}") == []


def test_presence_can_be_asked_and_forbidden() -> None:
    assert breaks("{}", required=True) == ["required"]
    assert breaks('{"amount": null}', required=True) == []
    assert breaks('{"amount": null}', forbidden=True) == ["forbidden"]
    assert breaks("{}", max=1) == []


def test_a_pointer_means_what_is_below_it_and_a_star_any_key() -> None:
    text = '{"to": [{"iban": "a"}, {"iban": "b"}]}'
    assert breaks(text, pointer="/to/*/iban", one_of=["a"]) == ["one_of"]
    assert breaks(text, pointer="/to", one_of=["a", "b"]) == []
    assert breaks(text, pointer="/to/1", one_of=["a"]) == ["one_of"]
    assert breaks('{"a/b": 2}', pointer="/a~1b", max=1) == ["max"]


def test_a_value_that_was_not_taken_apart_is_said_so() -> None:
    deep = '{"amount":' + "[" * 200 + "1" + "]" * 200 + "}"
    assert breaks(deep, max=1000) == ["limit_unreadable"]
    assert breaks('{"amount": 1', max=1000, required=True) == ["limit_unreadable"]


@pytest.mark.parametrize(
    "limit",
    [
        {},
        {"min": 2, "max": 1},
        {"min": float("nan"), "max": 1},
        {"pattern": "("},
        {"pattern": "(a{900}){9}"},
        {"forbidden": True, "required": True},
        {"forbidden": True, "max": 1},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(BadLimit):
        Limit(ArgumentLimit(tool="t", pointer="/a", **limit))
