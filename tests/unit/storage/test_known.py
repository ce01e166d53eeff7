"""What is remembered of a file is bounded, and what is used stays."""

import sys

from storage.known import Known, KnownBytes, Latest


def test_what_is_used_again_outlives_what_is_not() -> None:
    known: Known[int, str] = Known(10)
    for number in range(200):
        known.learn({number: str(number)})
        assert known.get(0) == "0"
    assert known.get(1) is None
    assert sum(known.get(number) is not None for number in range(200)) <= 2 * 10 + 2


def test_the_bytes_of_keys_bound_what_is_held() -> None:
    known: KnownBytes[int] = KnownBytes(1000)
    for number in range(100):
        known.put(number.to_bytes(100, "big"), number)
    assert sum(known.get(number.to_bytes(100, "big")) is not None for number in range(100)) <= 2 * 10 + 2


def test_only_the_latest_are_held_and_what_is_replaced_is_let_go() -> None:
    latest: Latest[str, bytearray] = Latest(3)
    first, second = bytearray(1), bytearray(2)
    alone = sys.getrefcount(first)
    latest.learn({"branch": first, "other": bytearray()})
    latest.learn({"branch": second})
    assert sys.getrefcount(first) == alone
    latest.learn({"third": bytearray(), "fourth": bytearray()})
    assert latest.get("branch") is second
    assert latest.get("other") is None
