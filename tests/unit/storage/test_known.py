"""What is remembered of a file is bounded, and what is used stays."""

import sys

from storage.known import Known


def test_what_is_used_again_outlives_what_is_not() -> None:
    known: Known[int, str] = Known(10)
    for number in range(200):
        known.put(number, str(number))
        assert known.get(0) == "0"
    assert known.get(1) is None
    assert sum(known.get(number) is not None for number in range(200)) <= 2 * 10


def test_weights_bound_what_is_held() -> None:
    known: Known[int, bytes] = Known(1000)
    for number in range(100):
        known.put(number, bytes(100), 100)
    assert sum(known.get(number) is not None for number in range(100)) <= 2 * 10 + 1


def test_a_value_that_is_replaced_is_not_held_on_to() -> None:
    known: Known[str, bytearray] = Known(4)
    first, second = bytearray(1), bytearray(2)
    alone = sys.getrefcount(first)
    known.put("branch", first)
    for number in range(4):
        known.put(str(number), bytearray())
    known.put("branch", second)
    assert known.get("branch") is second
    assert sys.getrefcount(first) == alone
