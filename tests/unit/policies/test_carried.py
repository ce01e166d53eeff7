"""A value is data where a session saw it before, or where it decodes to text."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.carried import Memory, Origin, decode, opaque
from policies.trail import Trail, utf8
from policies.vocabulary.steps import Part, StepKind

RESULT = "Naïve note: the door code of room 12 is 4711-0815, ask ann@corp.example"
TRAIL = Trail(
    parts=(Part(kind="user_input", text="book room 12 for team-2024-alpha"), Part(kind="tool_result", text=RESULT))
)


@given(st.text(alphabet="abcXYZ 0123.,-", min_size=12, max_size=200))
def test_encoded_text_is_decoded(text: str) -> None:
    assert decode(text.encode().hex()) == text
    encoded = base64.b64encode(text.encode()).decode()
    if any(map(str.isupper, encoded)) and any(map(str.islower, encoded)):
        assert decode(encoded) == text
        assert decode(base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")) == text


@pytest.mark.parametrize(
    "value", ["", "hello", "README", "2024-05-06", "dQw4w9WgXcQ", "d41d8cd98f00b204e9800998ecf8427e", "a" * 40]
)
def test_ids_words_and_digests_are_no_text_in_disguise(value: str) -> None:
    assert decode(value) is None


@given(st.binary(min_size=48, max_size=200))
def test_long_random_values_are_opaque(data: bytes) -> None:
    assert opaque(base64.b64encode(data).decode()) or len(set(data)) < 24


@pytest.mark.parametrize("value", ["short", "a" * 200, "the quick brown fox " * 10, "d41d8cd98f00b204e9800998ecf8427e"])
def test_ids_and_prose_are_not_opaque(value: str) -> None:
    assert not opaque(value)


@pytest.mark.parametrize(
    "value",
    [
        "4711-0815",
        "the door code of room 12",
        "code:4711-0815;x",
        "ann@corp.example",
        base64.b64encode(b"code 4711-0815").decode(),
    ],
)
def test_a_value_is_traced_to_the_result_it_comes_from(value: str) -> None:
    origin = Memory(TRAIL).origin(value)
    assert origin is not None
    assert origin.source == 1
    assert utf8(RESULT)[origin.start : origin.end].decode() in RESULT


@pytest.mark.parametrize("value", ["team-2024-alpha", "door", "elsewhere-123", "4711", ""])
def test_what_the_user_said_or_nobody_saw_is_no_data(value: str) -> None:
    assert Memory(TRAIL).origin(value) is None


VALUE = "order-7741-99"


def memory(*said: tuple[StepKind, str]) -> Memory:
    return Memory(Trail(parts=tuple(Part(kind=kind, text=text) for kind, text in said)))


def test_a_value_comes_from_the_bytes_of_the_result_that_holds_it() -> None:
    seen = memory(("user_input", "Fetch it."), ("tool_result", f"Über: {VALUE}."))
    assert seen.origin(VALUE) == Origin(source=1, start=7, end=7 + len(VALUE))


def test_of_several_results_the_newest_counts() -> None:
    found = memory(("tool_result", VALUE), ("retrieval", VALUE), ("tool_result", "Nothing.")).origin(VALUE)
    assert found is not None
    assert found.source == 1


@pytest.mark.parametrize("kind", ["user_input", "instructions", "tool_definitions"])
def test_what_the_model_was_told_anyway_is_carried_from_nowhere(kind: StepKind) -> None:
    assert memory((kind, f"Use {VALUE}."), ("tool_result", VALUE)).origin(VALUE) is None
    assert memory(("model_text", f"Use {VALUE}."), ("tool_result", VALUE)).origin(VALUE) is not None


def test_a_mebibyte_of_results_is_searched_and_no_more() -> None:
    room = 1 << 20
    assert memory(("tool_result", VALUE), ("tool_result", "." * (room - 1))).origin(VALUE) is not None
    assert memory(("tool_result", VALUE), ("tool_result", "." * room)).origin(VALUE) is None


@given(st.text())
def test_any_value_is_looked_up_without_failing(value: str) -> None:
    Memory(TRAIL).origin(value)
    opaque(value)
