"""The `pattern` guard."""

import base64
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.guards.interface import SCANNED_BYTES, UNSCANNED, BadGuard
from policies.guards.pattern import MOST_RANGES, MOST_TRIED, PatternGuard, PatternRule, PatternSpec
from policies.trail import Scene, utf8
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import Part


def guard(*rules: dict[str, Any], **fields: Any) -> PatternGuard:
    return PatternGuard(PatternSpec(rules=tuple(PatternRule(**rule) for rule in rules), **fields))


def seen(built: PatternGuard, text: str) -> list[Hit]:
    return list(built.examine(Scene(step=Part(kind="user_input", text=text))))


def texts(built: PatternGuard, text: str) -> list[tuple[str, str]]:
    data = utf8(text)
    return [
        (each.label, data[each.start : each.end].decode("utf-8", "surrogatepass"))
        for hit in seen(built, text)
        for each in hit.evidence
    ]


NUMBERS = guard({"id": "number", "pattern": "[0-9]{3,}"}, {"id": "word", "pattern": "stop", "score": 50})


def test_each_rule_reports_its_own_ranges_label_and_score() -> None:
    hits = seen(NUMBERS, "12 345 stop 6789")
    assert [(hit.score, hit.state, len(hit.evidence)) for hit in hits] == [(75, "violation", 2), (50, "unsure", 1)]
    assert texts(NUMBERS, "12 345 stop 6789") == [("number", "345"), ("number", "6789"), ("word", "stop")]


def test_ranges_count_bytes_of_utf8() -> None:
    assert texts(NUMBERS, "é\U0001f600 345 \ud800 678") == [("number", "345"), ("number", "678")]


def test_an_unmatched_text_is_no_hit() -> None:
    assert seen(NUMBERS, "") == seen(NUMBERS, "nothing") == []


def test_a_rule_with_keywords_needs_one_of_them_in_any_case() -> None:
    built = guard({"id": "iban", "pattern": "[0-9]{4}", "keywords": ("Account", "a.c")})
    assert texts(built, "ACCOUNT 1234") == [("iban", "1234")]
    assert texts(built, "see a.c 1234") == [("iban", "1234")]
    assert texts(built, "see abc 1234") == []


def test_what_an_allow_expression_is_found_in_is_no_match() -> None:
    built = guard({"id": "mail", "pattern": "[a-z]+@[a-z.]+", "allow": ("@example[.]com$",)})
    assert texts(built, "a@example.com b@evil.example") == [("mail", "b@evil.example")]


def test_case_and_line_flags_hold_in_the_set_and_alone() -> None:
    rules = ({"id": "one", "pattern": "^a.b$"}, {"id": "two", "pattern": "zz"})
    assert texts(guard(*rules), "x\nA\nB") == []
    flags = ("ignore_case", "dot_all", "multi_line")
    assert texts(guard(*rules, flags=flags), "x\nA\nB\nZZ") == [("one", "A\nB"), ("two", "ZZ")]
    assert texts(guard({"id": "one", "pattern": "abc", "ignore_case": True}), "xABC") == [("one", "ABC")]


def test_encoded_text_is_read_too_and_the_whole_encoded_run_is_the_range() -> None:
    secret = "the code is 987654 for today"
    run = base64.b64encode(secret.encode()).decode()
    assert texts(NUMBERS, f"look: {run} end")[0][0] == "number"
    assert texts(NUMBERS, f"look: {run} end")[0][1].strip() in run


def test_a_range_is_reported_once_however_many_readings_show_it() -> None:
    assert texts(NUMBERS, "é 345 %41%42") == [("number", "345")]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"id": "a", "pattern": "(?<=x)y"}], "no"),
        ([{"id": "a", "pattern": "("}], "rule `a`"),
        ([{"id": "a", "pattern": "x*"}], "empty text"),
        ([{"id": "a", "pattern": "(?:[a-z]{1,99}x){1,90}"}], "RE2"),
        ([{"id": "a", "pattern": "x", "allow": ("[",)}], "allow"),
        ([{"id": "a", "pattern": "x"}, {"id": "a", "pattern": "y"}], "two rules"),
    ],
)
def test_a_pattern_that_cannot_run_fast_is_refused_by_name(rules: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(BadGuard, match=said):
        guard(*rules)


def test_a_refused_pattern_writes_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadGuard):
        guard({"id": "a", "pattern": "(?<=x)y"})
    assert capfd.readouterr() == ("", "")


def test_rules_too_large_for_one_set_are_all_still_run() -> None:
    rules = [
        {"id": f"r{at}", "pattern": rf"(?i)[\w.-]{{0,50}}key{at}=.{{0,40}}[0-9a-f]{{16,64}}", "score": 90}
        for at in range(120)
    ]
    built = guard(*rules)
    assert [label for label, _ in texts(built, "key7=0123456789abcdef0")] == ["r7"]
    assert [label for label, _ in texts(built, "KEY119=0123456789abcdef0")] == ["r119"]


def test_beyond_the_most_ranges_the_last_one_reaches_to_the_end() -> None:
    text = "123 " * (MOST_RANGES + 50)
    (hit,) = seen(guard({"id": "n", "pattern": "123"}), text)
    assert len(hit.evidence) == MOST_RANGES
    assert hit.evidence[-1].end == len(text)


def test_more_matches_than_can_be_held_against_allow_are_an_unscanned_tail() -> None:
    built = guard({"id": "n", "pattern": "[0-9]{3}", "allow": ("123",)})
    text = "123 " * (MOST_TRIED + 5) + "999"
    (hit,) = seen(built, text)
    assert (hit.state, hit.score, hit.evidence[0].label) == ("unsure", 50, UNSCANNED)
    assert hit.evidence[0].end == len(text)


def test_what_lies_behind_the_scanned_bytes_is_said_to_be_unscanned() -> None:
    text = "x" * SCANNED_BYTES + "345"
    (hit,) = seen(NUMBERS, text)
    assert (hit.score, hit.evidence[0].label) == (50, UNSCANNED)
    assert (hit.evidence[0].start, hit.evidence[0].end) == (SCANNED_BYTES, SCANNED_BYTES + 3)


@given(st.text(alphabet="ab1 \né", max_size=400), st.integers(0, 3))
def test_matches_are_those_of_one_search_over_the_whole_text(filling: str, copies: int) -> None:
    text = "-" * (32 << 10) * copies + filling + "a1b" + filling
    built = guard({"id": "p", "pattern": "a[^b]{0,20}b|1+"})
    expected = [found[0] for found in re.finditer("a[^b]{0,20}b|1+", text)]
    if len(expected) < MOST_RANGES:
        assert [text for _, text in texts(built, text)] == expected


@given(st.integers(0, 80))
def test_a_match_across_the_edge_of_a_search_is_whole(before: int) -> None:
    text = "-" * ((32 << 10) - before) + "a" + "x" * 60 + "b" + "-" * 100
    built = guard({"id": "p", "pattern": "ax{0,100}b?|x"})
    assert texts(built, text) == [("p", "a" + "x" * 60 + "b")]


@given(st.text())
def test_no_text_raises_and_every_range_lies_inside_it(text: str) -> None:
    built = guard({"id": "any", "pattern": "[^a-y]+"}, {"id": "dot", "pattern": "(?s)..", "score": 25})
    size = len(utf8(text))
    assert all(0 <= each.start < each.end <= size for hit in seen(built, text) for each in hit.evidence)


def test_a_pattern_that_looks_far_ahead_of_each_match_stays_linear() -> None:
    built = guard({"id": "p", "pattern": "x[^y]*y|x"}, {"id": "q", "pattern": "(x+x+)+y"})
    started = time.process_time()
    seen(built, "x" * SCANNED_BYTES)
    assert time.process_time() - started < 1.5


def test_the_window_is_the_longest_match_that_is_promised() -> None:
    assert NUMBERS.window == 256
    assert guard({"id": "a", "pattern": "x"}, max_match=9).window == 9
