"""The leaves of a call's arguments."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.arguments import DEEPEST, MOST_LEAVES, Leaf, Ruler, fragments, leaves, named
from policies.trail import utf8

scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text()
documents: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


def flat(value: Any, pointer: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        items = [(key.replace("~", "~0").replace("/", "~1"), inner) for key, inner in value.items()]
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return [(pointer, value)]
    return [leaf for key, inner in items for leaf in flat(inner, f"{pointer}/{key}")]


@given(document=documents, indent=st.sampled_from([None, 2]), ascii_only=st.booleans())
def test_every_scalar_is_a_leaf_at_its_pointer(*, document: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    found = leaves(text)
    assert [(leaf.pointer, leaf.value) for leaf in found] == flat(document)


@given(document=documents, ascii_only=st.booleans())
def test_a_leaf_range_holds_exactly_its_json_token(*, document: Any, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    for leaf in leaves(text):
        token = utf8(text)[leaf.start : leaf.end].decode("utf-8", "surrogatepass")
        assert json.loads(token) == leaf.value


@given(st.text() | st.text(alphabet='{}[],:"\\u01dea ntrue'))
def test_any_text_gives_ascending_disjoint_ranges(text: str) -> None:
    at = 0
    for leaf in leaves(text):
        assert at <= leaf.start < leaf.end <= len(utf8(text))
        at = leaf.end


@pytest.mark.parametrize("text", ["rm -rf /", "[1,", '{"a":1]', "1 2", '{"a" 1}', '"\\x"', '{"a":"b', "{]", "[,]", "]"])
def test_text_that_is_not_json_is_one_opaque_leaf(text: str) -> None:
    assert list(leaves(text)) == [Leaf("", text, 0, len(utf8(text)), opaque=True)]


@pytest.mark.parametrize("text", ["", " \n", "{}", "[]", '{"a":[]}'])
def test_nothing_given_is_no_leaf(text: str) -> None:
    assert list(leaves(text)) == []


def test_both_of_two_equal_keys_are_seen() -> None:
    assert [leaf.value for leaf in leaves('{"to":"a","to":"b"}')] == ["a", "b"]


def test_what_forgiving_clients_read_is_read() -> None:
    values = [leaf.value for leaf in leaves('{"a":"two\nlines","b":Infinity,"c":-Infinity}')]
    assert values == ["two\nlines", float("inf"), float("-inf")]


def test_a_lone_surrogate_is_kept() -> None:
    assert [leaf.value for leaf in leaves('["\\ud800","\ud800"]')] == ["\ud800", "\ud800"]


def test_a_number_of_a_million_digits_is_a_float() -> None:
    assert [leaf.value for leaf in leaves("9" * 1_000_000)] == [float("inf")]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 300_000 + "1" + "]" * 300_000,
        "[1," * 100_000 + "1" + "]" * 100_000,
        '{"' + "k" * 5000 + '":[' + "1," * 100_000 + "1]}",
        "[" + "1," * 100_000 + "1]",
    ],
)
def test_beyond_the_bounds_the_rest_stays_together(text: str) -> None:
    found = leaves(text)
    assert len(found) <= MOST_LEAVES + 1
    assert found[-1].opaque
    assert sum(len(leaf.pointer) for leaf in found) < 4 * len(text)
    assert found[-1].end >= len(text) - DEEPEST - 1


def test_a_name_means_the_nearest_key_and_a_pointer_what_is_below_it() -> None:
    found = leaves('{"mail":{"To":["a","b"],"cc":"c"},"body":"d"}')
    assert [leaf.value for leaf in named(found, frozenset({"to"}))] == ["a", "b"]
    assert [leaf.value for leaf in named(found, frozenset({"/mail"}))] == ["a", "b", "c"]
    assert [leaf.value for leaf in named(found, frozenset({"/mail/To/1", "body"}))] == ["b", "d"]
    assert named(found, frozenset({"/ma"})) == []


def test_an_opaque_leaf_answers_to_every_name() -> None:
    assert named(leaves("not json"), frozenset({"to"})) == list(leaves("not json"))


@given(value=st.text(min_size=1), ascii_only=st.booleans(), data=st.data())
def test_a_ruler_finds_the_bytes_of_any_characters(*, value: str, ascii_only: bool, data: st.DataObject) -> None:
    text = json.dumps({"a": value}, ensure_ascii=ascii_only)
    (leaf,) = leaves(text)
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, len(value)))
    first, last = Ruler(utf8(text), leaf).span(start, end)
    piece = utf8(text)[first:last].decode("utf-8", "surrogatepass")
    assert json.loads(f'"{piece}"') == value[start:end]


@given(st.text(min_size=1))
def test_a_ruler_measures_text_that_is_not_json(value: str) -> None:
    text = f"rm {value}"
    for leaf in leaves(text):
        start, end = Ruler(utf8(text), leaf).span(3, len(text))
        assert utf8(text)[start:end] == utf8(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"command": "rm -rf /', [("/command", "rm -rf /")]),
        ('{"a": "x\\n\\u00', [("/a", "x\n")]),
        ('{"a": "b\\"c", "d": 1, e "f": "g"', [("/a", 'b"c'), ("/f", "g")]),
        ('say "hello" twice', [("", "hello")]),
        ("nothing quoted", []),
    ],
)
def test_half_a_json_text_still_tells_its_texts_by_name(text: str, expected: list[tuple[str, str]]) -> None:
    (leaf,) = leaves(text)
    found = fragments(leaf, utf8(text))
    assert [(each.pointer, each.value) for each in found if each.value not in ("d", "e")] == expected


@given(st.text() | st.text(alphabet='{}[],:"\\u01de '))
def test_fragments_of_any_text_lie_inside_it(text: str) -> None:
    for leaf in leaves(text):
        at = leaf.start
        for each in fragments(leaf, utf8(text)):
            assert at <= each.start < each.end <= leaf.end
            at = each.end
            start, end = Ruler(utf8(text), each).span(0, len(str(each.value)))
            assert each.start <= start <= end <= each.end
