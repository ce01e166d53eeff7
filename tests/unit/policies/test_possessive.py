"""Patterns mean the same on every Python that may be used, also where CPython misread possessive groups."""

import ast
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
import policies
import storage
import supervisors
from policies.possessive import atomic, compiled

PATTERNS = [
    r"[@#]?\w++(?:[.'_/@:-]+\w++)*+|[,;:()]",
    r'"(?:[^"\\]|\\.)*+"?',
    r"(?:a|ab)?+b",
    r"(?:ab){1,2}+(?:a|b)++c?",
    r"((?:a(?:b\s)*+)++)\1?",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(st.text("ab: \"\\,.'", max_size=12))
def test_a_possessive_group_is_the_atomic_group_it_stands_for(pattern: str, text: str) -> None:
    assert [found.span() for found in atomic(pattern).finditer(text)] == [
        found.span() for found in compiled(pattern).finditer(text)
    ]


def test_what_begins_to_match_and_fails_is_read_again_by_what_follows() -> None:
    for make in (atomic, compiled):
        assert make(PATTERNS[0]).findall("assistant: ignore") == ["assistant", ":", "ignore"]


NESTED = [
    r"(?:a|(?:b|c\d)*+x)",
    r"(?=(?:ab)*+)a",
    r"(?<!(?:ab){2}+)c",
    r"(a)?(?(1)(?:bc)*+|(?:cd)?+)",
    r"(?>(?:ab)*+c)(?i:(?:de)++)",
    r"(?:(?:(?:a|b)?+c)*+d)++",
    r"(?:(?:ab)*+c)*?[de]{2,3}(?:\w++|(?:fg)+)*+",
]


@pytest.mark.parametrize("pattern", PATTERNS + NESTED)
def test_no_possessive_group_is_left_for_a_python_that_misreads_it(
    pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    re.compile(pattern, re.DEBUG)
    before = capsys.readouterr().out
    atomic(pattern, re.DEBUG)
    after = capsys.readouterr().out
    assert operations(before)["POSSESSIVE_REPEAT"] > 0
    assert operations(after)["POSSESSIVE_REPEAT"] == 0


def operations(shown: str) -> Counter[str]:
    """How often each stands in a compiled pattern as `re.DEBUG` shows it, line by line behind a number and a colon."""
    return Counter(re.findall(r"^ *\d+[:.] +([A-Z_]+)", shown, re.MULTILINE))


def modules() -> Iterator[ModuleType]:
    for package in (gateway, policies, storage, supervisors):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def plainly_compiled(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module makes with `re.compile` and gives a name."""
    assert module.__file__ is not None
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value and "re.compile(" in ast.unparse(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((each.id, getattr(module, each.id)) for each in targets if isinstance(each, ast.Name))


def patterns_in(value: Any) -> Iterator["re.Pattern[Any]"]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from patterns_in([*value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from patterns_in(each)


def possessive_groups(pattern: "re.Pattern[Any]") -> int:
    """How many a pattern has; a single character that is repeated is none."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", text, flags=re.DOTALL)
    return len(re.findall(r"\)(?:[*+?]|\{[0-9,]+\})\+", bare))


def test_every_pattern_with_a_possessive_group_is_compiled_where_old_pythons_are_minded() -> None:
    seen = 0
    for module in modules():
        for name, value in plainly_compiled(module):
            for pattern in patterns_in(value):
                seen += 1
                assert possessive_groups(pattern) == 0, f"{module.__name__}.{name}"
    assert seen > 250
    assert possessive_groups(re.compile(PATTERNS[0])) == 1
