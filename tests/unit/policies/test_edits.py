"""Redaction and rewriting of ranges."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.edits import NOTICE, Mark, applied, edits_of
from policies.trail import utf8
from policies.vocabulary.steps import Part, StepKind


def edited(text: str, *marks: Mark, kind: StepKind = "tool_result") -> str:
    step = Part(kind=kind, text=text)
    return applied(text, edits_of(step, marks))


def mark(text: str, part: str, **fields: Any) -> Mark:
    start = utf8(text).index(utf8(part))
    return Mark(**{"start": start, "end": start + len(utf8(part)), "label": "key"} | fields)


def test_a_marked_range_is_replaced_by_its_label() -> None:
    text = "é the key is abc, not abd"
    assert edited(text, mark(text, "abc")) == "é the key is [redacted:key], not abd"


def test_a_rewritten_range_is_replaced_by_a_notice_that_asks_for_nothing() -> None:
    text = "fine. do as I say. fine."
    assert edited(text, mark(text, "do as I say.", change="rewrite")) == f"fine. {NOTICE} fine."


def test_overlapping_marks_become_one_edit_named_by_the_highest_score() -> None:
    text = "0123456789"
    marks = [Mark(start=1, end=4, label="a", score=75), Mark(start=3, end=6, label="b", score=90)]
    assert edited(text, *marks) == "0[redacted:b]6789"
    assert edited(text, *reversed(marks)) == "0[redacted:b]6789"


def test_a_rewrite_wins_over_a_redaction_it_overlaps() -> None:
    text = "0123456789"
    marks = [Mark(start=1, end=4, label="a", score=90), Mark(start=3, end=6, label="b", change="rewrite", score=50)]
    assert edited(text, *marks) == f"0{NOTICE}6789"


def test_marks_that_only_touch_stay_apart() -> None:
    assert (
        edited("abcd", Mark(start=0, end=2, label="a"), Mark(start=2, end=4, label="b")) == "[redacted:a][redacted:b]"
    )


@pytest.mark.parametrize(
    ("label", "shown"), [("GitHub PAT", "github-pat"), ("", "text"), ("<b>\n", "b"), ("a" * 99, "a" * 64)]
)
def test_labels_are_plain_words(label: str, shown: str) -> None:
    assert edited("abc", Mark(start=0, end=3, label=label)) == f"[redacted:{shown}]"


def test_a_range_that_cuts_a_character_takes_all_of_it() -> None:
    assert edited("aéb", Mark(start=2, end=3, label="x")) == "a[redacted:x]b"


def test_marks_outside_the_text_change_nothing() -> None:
    assert edited("abc", Mark(start=2, end=9, label="x"), Mark(start=2, end=2, label="x")) == "abc"


def test_arguments_stay_json_whatever_is_marked() -> None:
    text = '{"a": 4111111111111111, "b":"x\\u00e9secret\\n", "c":[1,{"d":"e"}]}'
    assert json.loads(edited(text, mark(text, "1111111"), kind="tool_call"))["a"] == "[redacted:key]"
    assert json.loads(edited(text, mark(text, "secret"), kind="tool_call"))["b"] == "xé[redacted:key]\n"
    assert json.loads(edited(text, mark(text, "e9sec"), kind="tool_call"))["b"] == "x[redacted:key]ret\n"
    assert json.loads(edited(text, mark(text, 't\\n", "c":[1'), kind="tool_call")) == {
        "a": 4111111111111111,
        "b": "xésecre[redacted:key]",
        "[redacted:key]": ["[redacted:key]", {"d": "e"}],
    }


def test_arguments_that_are_not_json_are_edited_as_text() -> None:
    text = "{key: abc"
    assert edited(text, mark(text, "abc"), kind="tool_call") == "{key: [redacted:key]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
spans = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=6)


@given(json_values, st.booleans(), spans)
def test_no_marks_make_json_into_anything_else(value: Any, ascii_only: Any, pairs: list[tuple[int, int]]) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    marks = [Mark(start=min(pair), end=max(pair), label="x") for pair in pairs]
    json.loads(edited(text, *marks, kind="tool_call"))


@given(st.text(), spans)
def test_edits_are_ascending_disjoint_and_cover_every_marked_byte_of_text(
    text: str, pairs: list[tuple[int, int]]
) -> None:
    size = len(utf8(text))
    marks = [Mark(start=min(pair), end=max(pair), label="x") for pair in pairs]
    edits = edits_of(Part(kind="tool_result", text=text), marks)
    assert all(one.end <= other.start for one, other in pairwise(edits))
    for each in marks:
        if each.start < each.end <= size:
            assert any(edit.start <= each.start and each.end <= edit.end for edit in edits)
    assert applied(text, edits).count("[redacted:x]") >= len(edits)


@given(json_values, st.text(alphabet="qwxyz", min_size=4, max_size=8))
def test_no_marked_string_survives_in_arguments(value: Any, secret: str) -> None:
    text = json.dumps({"before": value, "at": f"a {secret} b"})
    marks = [mark(text, secret)]
    left = json.loads(edited(text, *marks, kind="tool_call"))
    assert secret not in left["at"] or secret in json.dumps(value)
