import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.half_json import closing

MEMBERS = b'"type":"error","error":{"message":"m"}'
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=3), st.integers(0, 1), st.integers(0), st.sampled_from([None, 1]))
def test_an_object_cut_anywhere_can_be_closed_as_our_error(
    value: dict[str, object], only_ascii: int, cut: int, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=only_ascii == 1, indent=indent).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:  # a lone surrogate is not on any wire as bytes
        return
    half = text[: 1 + cut % len(text)]
    tail = closing(half, MEMBERS)
    assert tail is not None
    if half == text:
        assert tail == b""
    else:
        whole = json.loads(half + tail)
        assert (whole["type"], whole["error"]) == ("error", {"message": "m"})


@pytest.mark.parametrize("text", [b"[1", b"[DO", b"garbage", b'"x', b"{" + b" " * 70_000])
def test_what_is_no_object_or_too_long_is_left_alone(text: bytes) -> None:
    assert closing(text, MEMBERS) is None


def test_nothing_yet_becomes_the_error_itself() -> None:
    assert json.loads(closing(b" ", MEMBERS) or b"")["type"] == "error"


@given(st.binary())
def test_any_bytes_are_scanned_without_an_error(data: bytes) -> None:
    closing(data, MEMBERS)
    closing(b"{" + data, MEMBERS)
