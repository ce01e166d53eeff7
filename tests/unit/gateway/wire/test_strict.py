"""What parsers read in different ways is found wherever it stands, and nothing else is taken for it."""

import pytest

from gateway.wire.strict import ambiguity, repetition


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"a": 1, "a": 2}', "a name that stands twice in one object"),
        (b'[{"b": {"a": 1, "\\u0061": 2}}]', "a name that stands twice in one object"),
        (b'{"a": [NaN]}', "the number NaN"),
        (b'{"a": "\\ud800"}', "a lone surrogate"),
        (b'[["\\udc00x"]]', "a lone surrogate"),
        (b'[{"\\uD800": 1}]', "a lone surrogate"),
        (b'{"a": "\\ud83d\\ude00"}', None),
        (b'{"a": 1, "b": {"a": 2}}', None),
        (b'{"a": 1', None),
    ],
)
def test_what_parsers_disagree_on_is_named(body: bytes, what: str | None) -> None:
    assert ambiguity(body) == what


@pytest.mark.parametrize(
    ("data", "value", "twice"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}, True),
        (b'{"a": "\xff", "a": 2}', {"a": 2}, True),
        (b'{"a": "x\\": \xff"}', {"a": 'x": ?'}, False),
        (b'{"a": {"a": 1}}', {"a": {"a": 1}}, False),
    ],
    ids=["twice", "twice beside bytes that are no text", "once beside bytes that are no text", "one in the other"],
)
def test_a_name_given_twice_is_found_even_where_the_bytes_are_no_text(
    data: bytes, value: object, *, twice: bool
) -> None:
    assert (repetition(data, value) is not None) is twice
