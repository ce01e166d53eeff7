"""Spaces never change what a text is known by, and nothing else is taken for one."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.fingerprint import fingerprint, text_digest
from policies.vocabulary.steps import Part

TEXTS = st.text(
    st.one_of(
        st.sampled_from(" \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2003\u200b\x00"), st.characters(exclude_categories=["Cs"])
    )
)


def known(text: str) -> bytes:
    return fingerprint([Part(kind="model_text", text=text)])


@given(TEXTS)
def test_a_text_is_known_by_its_words(text: str) -> None:
    words = " ".join(text.split()).encode("utf-8", "replace")
    assert text_digest(text) == blake2b(words, digest_size=16).digest()
    assert known(text) == known("".join(text.split()))


@pytest.mark.parametrize("text", ["a\u200bb", "a\x00b", "a_b"])
def test_what_only_looks_like_a_space_is_none(text: str) -> None:
    assert known(text) != known("ab")
    assert text_digest(text) != text_digest("a b")
