"""Tools are chosen by name and tag."""

import fnmatch
import time

from hypothesis import given
from hypothesis import strategies as st

from policies.tools import Tools, name_matches


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=8))
def test_a_star_stands_for_any_run_of_characters(pattern: str, name: str) -> None:
    assert name_matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


def test_all_else_stands_for_itself() -> None:
    assert name_matches("a[b]?", "a[b]?")
    assert not name_matches("a[b]?", "abc")


def test_many_stars_stay_fast() -> None:
    began = time.perf_counter()
    assert not name_matches("*a" * 2000 + "*b", "a" * 100_000)
    assert time.perf_counter() - began < 1


def test_any_tag_or_any_name_is_enough() -> None:
    tools = Tools(tags=("outbound",), names=("send_*",))
    assert tools.cover("post", frozenset({"outbound", "write"}))
    assert tools.cover("send_mail", frozenset())
    assert not tools.cover("read", frozenset({"read"}))
    assert not tools.cover(None, frozenset())
    assert not Tools()
