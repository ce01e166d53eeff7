"""Tools are chosen by name and tag."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.tools import Tools, name_matches, tool_matches, within
from policies.trail import UNTAGGED, Trail


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=8))
def test_a_star_stands_for_any_run_of_characters(pattern: str, name: str) -> None:
    assert name_matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


def test_all_else_stands_for_itself() -> None:
    assert name_matches("a[b]?", "a[b]?")
    assert not name_matches("a[b]?", "abc")


def test_many_stars_stay_fast() -> None:
    began = time.process_time()
    assert not name_matches("*a" * 2000 + "*b", "a" * 100_000)
    assert time.process_time() - began < 1


def test_any_tag_or_any_name_is_enough() -> None:
    tools = Tools(tags=("outbound",), names=("send_*",))
    assert tools.cover("post", frozenset({"outbound", "write"}))
    assert tools.cover("send_mail", frozenset())
    assert not tools.cover("read", frozenset({"read"}))
    assert not tools.cover(None, frozenset())
    assert not Tools()


@pytest.mark.parametrize("tool", ["launch_now", "s.launch_now", "mcp__s__launch_now", "a/b:launch_now", "s.launch.now"])
def test_a_name_means_the_tool_of_every_server(tool: str) -> None:
    assert tool_matches("launch*", tool)
    assert Tools(names=("launch*",)).cover(tool, frozenset())


@pytest.mark.parametrize("tool", ["relaunch", "s.relaunch", "s_launch", "launch.s", "mcp__launch__s", "s."])
def test_a_name_means_no_part_of_a_word_and_no_server(tool: str) -> None:
    assert not tool_matches("launch", tool)


def test_a_name_with_a_server_means_that_server_wherever_it_is_mounted() -> None:
    assert tool_matches("mail.send", "mail.send")
    assert tool_matches("mail.send", "mcp__x__mail.send")
    assert not tool_matches("mail.send", "chat.send")


@given(st.text(alphabet="ab._:/*", max_size=12), st.text(alphabet="ab._:/", max_size=12))
def test_a_longer_name_never_means_fewer(pattern: str, tool: str) -> None:
    if tool and tool_matches(pattern, tool):
        assert tool_matches(pattern, f"server.{tool}")


def test_a_name_of_separators_costs_little() -> None:
    began = time.process_time()
    assert len(list(within("." * 100_000 + "launch"))) <= 16
    assert tool_matches("launch", "." * 100_000 + "launch")
    assert time.process_time() - began < 1


def test_a_namesake_of_a_tagged_tool_may_do_as_much_and_is_not_known_to_read() -> None:
    trail = Trail(tags={"pay": frozenset({"money", "read"}), "bank.pay": frozenset({"outbound"})})
    assert trail.tags_of("pay") == {"money", "read"}
    assert trail.tags_of("bank.pay") == {"outbound"}
    assert trail.tags_of("mcp__bank__pay") == {"money", "write"}
    assert trail.tags_of("bank.paying") == UNTAGGED
