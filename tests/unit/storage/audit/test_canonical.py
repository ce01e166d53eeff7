import json
import math
import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.audit.canonical import canonical, read_canonical

NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
"""IEEE 754 bits and their text: appendix B of RFC 8785."""

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("bits", NUMBERS)
def test_numbers_are_written_as_in_the_standards_table(bits: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(value).decode() == NUMBERS[bits]


def test_the_standards_example() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\nA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_names_are_sorted_by_their_utf_16_units() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    found = json.loads(canonical(dict.fromkeys(names)), object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    assert found == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_a_canonical_text_reads_back_as_what_it_says(value: dict[str, object]) -> None:
    try:
        data = canonical(value)
    except UnicodeEncodeError:
        return  # a lone surrogate has no UTF-8
    assert read_canonical(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0}',
        b'{"a":9007199254740993}',
        b'{"a":12345678901234567890123}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        '{"\ufb33":1,"\U0001f600":2}'.encode(),
        b"[1]",
        b"1",
        b"",
        b"{",
        b'{"a":"\xff"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_any_other_spelling_is_not_canonical(data: bytes) -> None:
    assert read_canonical(data) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53 + 1, b"bytes", object()])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|form"):
        canonical({"a": value})


def test_the_fast_way_and_the_exact_way_agree_on_plain_entries() -> None:
    value = {"seq": 7, "type": "request.accepted", "text": 'a"\\\x00\x1f\x7f\n', "list": [1, None, True, {}]}
    assert msgspec.json.encode(value, order="sorted") == canonical(value)
