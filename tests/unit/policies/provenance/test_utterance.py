"""A shadow stands for its sentence character by character, so what is ruled out on it is not in the sentence."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.provenance import lexicon
from policies.provenance.mood import VALUE, has_value, imperative, is_order, may_open
from policies.provenance.utterance import expression, utterance
from tests.unit.policies.guards.texts import hostile

WORDS = expression(r"\b\w+\b")
BLANKS = expression(r"\s+")
DIGITS = expression(r"\d+")

tokens = st.sampled_from(
    [
        *("send", "Pay", "DELETE", "order", "file", "see", "then", "instead", "please", "now", "Before", "you", "2nd"),
        *(
            ",",
            ";",
            ":",
            "(",
            ")",
            " - ",
            "-",
            '"',
            "'",
            "`",
            "<",
            "[",
            ".",
            "@x",
            "#7",
            "A",
            "AB",
            "14:10",
            "é",
            "日本",
        ),
        *("it", "the", "Bob", "a.b", "x_1", "\n", "\t", "\x1c", "\u00a0", "\u2003", " ", "\u0130", "\u017f", "\u212a"),
    ]
)
sentences = st.lists(st.one_of(tokens, st.sampled_from(sorted(lexicon.BASES))), max_size=16).map(" ".join)


@given(st.one_of(hostile, sentences))
def test_words_blanks_and_digits_stand_in_the_shadow_where_they_stand_in_the_sentence(said: str) -> None:
    heard = utterance(said)
    assert len(heard.shadow) == len(heard.lower) == len(said)
    for pattern, plain in ((WORDS, r"\w+"), (BLANKS, r"\s+"), (DIGITS, r"\d+")):
        assert [m.span() for m in pattern.finditer(heard.shadow)] == [m.span() for m in re.finditer(plain, said)]


@given(hostile)
def test_the_words_are_those_of_the_sentence(said: str) -> None:
    assert utterance(said).words == set(re.findall(r"\w+", said.lower()))


@given(sentences)
def test_no_imperative_is_ruled_out_before_it_is_looked_at(said: str) -> None:
    assert may_open(said) or not imperative(said)


def test_an_order_may_open_after_a_line_break_as_after_a_blank() -> None:
    assert is_order(utterance("When that is done,\nthen send the file to Bob"))


@given(
    st.one_of(hostile, sentences, st.text("ab1_-.@#: /é5", max_size=60), st.from_regex(VALUE).map(lambda x: x[:80])),
    st.integers(0, 40),
    st.integers(0, 80),
)
def test_a_value_stands_where_the_expression_for_values_finds_one(text: str, start: int, end: int) -> None:
    start = min(start, len(text))
    assert has_value(text, start, end) == (VALUE.search(text, start, end) is not None)


@pytest.mark.parametrize("number", [1, 24, 25, 5_000])
def test_asking_often_hides_no_request_and_costs_no_more(number: int) -> None:
    """The work of a sentence is bounded: what asks for more things than anybody would is a request."""
    said = utterance("please " * number + "send it to Bob")
    assert is_order(said)
    assert not is_order(utterance("the report of the week is attached " * number))
