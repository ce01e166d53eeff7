"""Where the values of a TOML text stand."""

import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policies.toml_lines import Path, line_at, lines_of

TEXT = '''[policy]
id = "a"   # c [x]
[[clause]]
id = "one"
text = """
a = 1
""quoted""
"""
guards = [
  { kind = "pattern", rules = [
     { id = "x", pattern = 'a[b]=}' },
     { id = "y", pattern = "q\\"]" } ] },
  { kind = "z" }
]
action = [[1.5, 2], [3]]
tools.names = ["a", "b"]
when = 1979-05-27 07:32:00
"odd key" = 1

[[clause.example]]
expect = "ok"
[[clause.example]]
expect = "v"
[clause.tools-of]
tags = ["x"]
[[clause]]
id = "two"
[[clause.example]]
expect = "w"
'''


def paths(value: Any, path: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in paths(each, (*path, key)))]


def test_every_value_has_the_line_it_begins_on() -> None:
    lines = lines_of(TEXT)
    assert lines["clause", 0, "guards", 0, "rules", 1, "pattern"] == 12
    assert lines["clause", 0, "guards", 1] == 13
    assert lines["clause", 0, "action", 1, 0] == 15
    assert lines["clause", 0, "tools", "names", 1] == 16
    assert lines["clause", 0, "odd key"] == 18
    assert lines["clause", 0, "example", 1, "expect"] == 23
    assert lines["clause", 1, "id"] == 27
    assert lines["clause", 1, "example", 0, "expect"] == 29


def test_all_paths_of_a_document_are_found_and_no_others() -> None:
    assert set(lines_of(TEXT)) == set(paths(tomllib.loads(TEXT))) - {()}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c = 1",
        "a = []",
        "a = [[], [[]]]",
        "a = { b = { c = [1, { d = 2 }] } }",
        "a = '''x\n''''",
        'a = """x"""""',
    ],
)
def test_small_documents_too(text: str) -> None:
    assert set(lines_of(text)) == set(paths(tomllib.loads(text))) - {()}


def test_a_path_without_a_line_takes_that_of_what_is_around_it() -> None:
    lines = lines_of("[a]\nb = 1\n")
    assert line_at(lines, ("a", "b", "c", 3)) == 2
    assert line_at(lines, ("a", "missing")) == 1
    assert line_at(lines, ("elsewhere",)) is None


@given(st.text())
@example("[")
@example("a = 1\n[[")
def test_no_text_raises(text: str) -> None:
    assert all(line >= 1 for line in lines_of(text).values())
