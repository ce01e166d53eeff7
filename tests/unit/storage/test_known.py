"""What is remembered of a file is bounded, and what is used stays."""

import sys

from storage.known import Known, Latest


def test_what_is_used_again_outlives_what_is_not() -> None:
    known: Known[int, str] = Known(10)
    for number in range(200):
        known.learn({number: str(number)})
        assert known.get(0) == "0"
    assert known.get(1) is None
    assert sum(known.get(number) is not None for number in range(200)) <= 2 * 10


def test_the_latest_stay_and_a_value_that_is_replaced_is_not_held_on_to() -> None:
    latest: Latest[str, bytearray] = Latest(4)
    first, second = bytearray(1), bytearray(2)
    alone = sys.getrefcount(first)
    latest.learn({"branch": first, "a": bytearray(), "b": bytearray(), "c": bytearray()})
    latest.learn({"branch": second})
    assert sys.getrefcount(first) == alone
    latest.learn({"d": bytearray()})
    assert latest.get("branch") is second
    assert latest.get("a") is None
