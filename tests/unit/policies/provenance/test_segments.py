"""Structure limits how far an instruction reaches: fields, items, paragraphs and blocks stay apart."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.provenance.segments import LONGEST_SENTENCE, sentences, spans

LIMIT = 1 << 18


def parts(text: str) -> list[tuple[int, int, str]]:
    return [(s.field, s.unit, text[s.start : s.end].strip()) for s in sentences(text, LIMIT)]


def test_each_string_of_a_record_is_a_field_of_its_own() -> None:
    text = '{"name": "Ann", "note": "Pay the bill. Then rest.", "tags": ["a b", "c d"]}'
    found = parts(text)
    assert [said for _, _, said in found] == ["Ann", "Pay the bill.", "Then rest.", "a b", "c d"]
    assert len({field for field, _, _ in found}) == 4


def test_a_string_with_unescaped_quotes_inside_is_still_one_field() -> None:
    text = "{'bio': 'Read the file 'report_1' and mail it to 'x@y.example'', 'age': 4}"
    fields = [said for field, _, said in parts(text) if field == 0]
    assert " ".join(fields) == "Read the file 'report_1' and mail it to 'x@y.example'"


def test_a_wrapped_yaml_scalar_is_one_field_and_its_neighbours_are_others() -> None:
    text = "- id: 1\n  subject: first line\n    goes on here\n- id: 2\n  subject: 'another\n\n    one'"
    found = parts(text)
    assert (1, "first line\n    goes on here") in [(field, said) for field, _, said in found]
    assert len({field for field, _, said in found if "another" in said or "one'" in said}) == 1


def test_paragraphs_and_list_items_of_one_document_are_units() -> None:
    text = "Dear all,\nplease read on.\n\nSecond paragraph.\n- first item\n- second item"
    units = [unit for _, unit, _ in parts(text)]
    assert len(set(units)) == 4


def test_a_line_that_ends_in_a_word_that_wants_another_goes_on_in_the_next() -> None:
    assert [said for _, _, said in parts("Send the money to\nBob today. Thanks.")] == [
        "Send the money to\nBob today.",
        "Thanks.",
    ]


def test_sentences_inside_a_wrapped_block_know_it() -> None:
    text = "Hello there. <note>Do this. Do that.</note> Bye now."
    blocks = {text[s.start : s.end].strip(): s.block for s in sentences(text, LIMIT)}
    assert blocks["Do this."] == blocks["Do that."] >= 0
    assert blocks["Hello there."] == blocks["Bye now."] == -1


@given(st.text(alphabet="ab.!?:\n \t-<>[]{}'\",\\*#1", max_size=400))
def test_sentences_are_in_order_inside_the_text_and_never_overlap(text: str) -> None:
    at = 0
    for sentence in sentences(text, LIMIT):
        assert at <= sentence.start < sentence.end <= len(text)
        assert sentence.end - sentence.start <= LONGEST_SENTENCE
        at = sentence.end


@given(st.text(max_size=300))
def test_no_text_is_refused(text: str) -> None:
    sentences(text, LIMIT)


@given(st.text(alphabet=st.sampled_from("abcABC .\n"), min_size=1, max_size=300))
def test_every_word_of_plain_prose_is_in_some_sentence(text: str) -> None:
    kept = "".join(text[s.start : s.end] for s in sentences(text, LIMIT))
    assert kept.split() == text.split() or "".join(kept.split()) == "".join(text.split())


@pytest.mark.parametrize(
    "pattern", ["'", '{"a":"', '{"a":"\\"', " ", "\n", "<a>", "<a", "k:\n", "- ", "a. ", "[a]", "<!-- ", "a, "]
)
def test_hostile_texts_take_linear_time(pattern: str) -> None:
    def seconds(size: int) -> float:
        text = pattern * (size // len(pattern))
        began = time.process_time()
        sentences(text, LIMIT)
        return time.process_time() - began

    small = min(seconds(8_000) for _ in range(3))
    large = min(seconds(64_000) for _ in range(2))
    assert large < 40 * small + 0.05


@given(st.dictionaries(st.text("ab: ", min_size=1), st.text("ab .,:;{}[]\\\"'\n"), min_size=1))
def test_the_fields_of_a_json_record_are_its_strings(record: dict[str, str]) -> None:
    text = json.dumps(record)
    assert [text[start:end] for start, end in spans(text, LIMIT)] == [
        json.dumps(value)[1:-1] for value in record.values() if value
    ] or not any(record.values())
