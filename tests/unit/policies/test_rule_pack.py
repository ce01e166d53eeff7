"""Rule packs: the format of gitleaks as its rules mean it, and the rules this package ships."""

import re
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.rule_pack import MOST, RulePack, entropy, load
from policies.trail import utf8
from policies.views.linear import BadPattern

DATA = files("policies.guards") / "data"
SHIPPED = {name: (DATA / name).read_text(encoding="utf-8") for name in ("gitleaks.toml", "providers.toml")}
OWN: list[dict[str, Any]] = tomllib.loads(SHIPPED["providers.toml"])["rules"]


def found(pack: str, text: str) -> list[tuple[str, str]]:
    data = utf8(text)
    return [(each.rule, data[each.start : each.end].decode()) for each in RulePack(load(pack)).find(data)]


KEY = r"""
[[rules]]
id = "key"
regex = '''\bkey=(\w{4,})'''
keywords = ["KEY="]
"""


def test_the_secret_is_what_the_first_group_took_and_else_the_match() -> None:
    assert found(KEY, "a key=abcd b") == [("key", "abcd")]
    assert found(KEY.replace("(", "(?:"), "a key=abcd b") == [("key", "key=abcd")]
    assert found(KEY.replace(r"(\w{4,})", r"(x)?(\w{4,})"), "key=abcd") == [("key", "abcd")]


def test_a_named_group_is_the_secret() -> None:
    rule = KEY.replace(r"(\w{4,})", r"(\w)(\w{3,})") + "secretGroup = 2"
    assert found(rule, "key=abcd") == [("key", "bcd")]


def test_without_its_keyword_a_rule_is_not_tried() -> None:
    assert found(KEY.replace('"KEY="', '"elsewhere"'), "key=abcd") == []
    assert found(KEY.replace('"KEY="', '"elsewhere"'), "key=abcd ElseWhere") == [("key", "abcd")]


def test_a_secret_has_more_entropy_than_its_rule_asks() -> None:
    assert found(KEY + "entropy = 1", "key=aabb key=aabc") == [("key", "aabc")]


@pytest.mark.parametrize(("data", "bits"), [(b"", 0), (b"aaaa", 0), (b"abab", 1), (b"abcd", 2), (bytes(range(256)), 8)])
def test_entropy_is_counted_in_bits_a_byte(data: bytes, bits: float) -> None:
    assert entropy(data) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("allowlist", "left"),
    [
        ("regexes = ['^test']", ["real1"]),
        ("regexes = ['^key=test']\nregexTarget = 'match'", ["real1"]),
        ("regexes = ['comment']\nregexTarget = 'line'", ["test1"]),
        ("stopwords = ['EAL']", ["test1"]),
        ("stopwords = ['eal']\nregexes = ['^test']", []),
        ("stopwords = ['eal']\nregexes = ['^test']\ncondition = 'AND'", ["test1", "real1"]),
        ("paths = ['x']", ["test1", "real1"]),
        ("paths = ['x']\nregexes = ['^test']\ncondition = 'AND'", ["test1", "real1"]),
    ],
)
def test_what_an_allowlist_names_is_no_secret(allowlist: str, left: list[str]) -> None:
    pack = f"{KEY}[[rules.allowlists]]\n{allowlist}"
    assert [secret for _, secret in found(pack, "key=test1\nkey=real1 # comment")] == left


def test_the_allowlist_of_a_pack_holds_for_it_and_those_behind() -> None:
    first = "[allowlist]\nregexes = ['^test']\n[[rules]]\nid = 'a'\nregex = 'a(test)'\nkeywords = []"
    assert [rule.id for rule in load(first, KEY)] == ["a", "key"]
    assert RulePack(load(first, KEY)).find(b"atest key=test key=else")[0].start == len("atest key=test key=")


def test_a_later_rule_replaces_that_of_its_name_and_rules_for_paths_are_left_out() -> None:
    other = KEY.replace("key=(", "key:(")
    assert [(each.start, each.end) for each in RulePack(load(KEY, other)).find(b"key=abcd key:efgh KEY=")] == [(13, 17)]
    assert load(KEY + 'path = "x"') == []


def test_secrets_without_end_are_reported_to_the_end_of_the_text() -> None:
    text = utf8("key=abcd " * (MOST + 10))
    secrets = RulePack(load(KEY)).find(text)
    assert len(secrets) == MOST
    assert secrets[-1].end == len(text)


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(BadPattern):
        load("[[rules]]\nid = 'a'\nregex = '(?=a)'")


def test_the_shipped_rules_are_the_ones_of_gitleaks_and_our_own() -> None:
    theirs, ours = load(SHIPPED["gitleaks.toml"]), load(SHIPPED["providers.toml"])
    assert (len(theirs), len(ours)) == (217, len(OWN))
    assert {rule.score for rule in theirs + ours} == {60, 75, 90}
    assert "MIT License" in (DATA / "gitleaks.LICENSE.txt").read_text(encoding="utf-8")


BY_CONTEXT = {"jwk-private-key"}
"""Rules whose keyword stands around what they match, on purpose."""

ONE_LINE = st.characters(min_codepoint=32, max_codepoint=126)


@pytest.mark.parametrize("rule", [rule for rule in OWN if rule["id"] not in BY_CONTEXT], ids=lambda rule: rule["id"])
@settings(max_examples=2, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_no_keyword_hides_what_its_rule_would_match(rule: dict[str, Any], data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(rule["regex"]), alphabet=ONE_LINE))
    (read,) = load("[[rules]]\nid = 'a'\nentropy = 0\n" + f"regex = '''{rule['regex']}'''\n")
    assert list(read.find(utf8(text)))
    assert any(keyword.lower() in text.lower() for keyword in rule.get("keywords", [""]))


@given(
    st.lists(st.sampled_from(["^ab", "(?i)B$", "a|c", "^$", "b+c", r"\."]), min_size=1), st.text("abcABC.", max_size=8)
)
def test_an_allowlist_allows_what_any_of_its_expressions_matches(regexes: list[str], text: str) -> None:
    pack = "\n".join(
        [
            "[[rules]]",
            'id = "any"',
            "regex = '.+'",
            "[[rules.allowlists]]",
            "regexes = [" + ", ".join(f"'{regex}'" for regex in regexes) + "]",
        ]
    )
    allowed = any(re.search(regex, text) for regex in regexes)
    assert bool(RulePack(load(pack)).find(text.encode())) == (bool(text) and not allowed)
