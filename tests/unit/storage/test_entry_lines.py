"""A line is the canonical form of its entry with its place and time, whatever the entry and whoever spells JSON."""

import json
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.vocabulary import audit
from policies.vocabulary.audit import ConfigActivated, Entry, EntryTooLong, RequestAccepted, RetentionApplied
from storage.audit.canonical import canonical, read_canonical
from storage.entry_lines import encoded

TS = "2026-11-29T13:24:05.123456789Z"


def entry_types() -> list[type[Entry]]:
    found = [each for each in vars(audit).values() if isinstance(each, type) and issubclass(each, Entry)]
    return [each for each in found if each is not Entry and not each.__name__.startswith("_")]


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of the type of a field."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        return st.lists(values(inner[0]), max_size=3).map(tuple) if inner[-1] is ... else st.tuples(*map(values, inner))
    if get_origin(kind) is dict:
        return st.dictionaries(*map(values, get_args(kind)), max_size=4)
    if get_args(kind):
        return st.one_of(*map(values, get_args(kind)))
    return {
        str: st.text(st.characters(codec="utf-8"), max_size=12),
        int: st.integers(-(2**53), 2**53),
        bool: st.booleans(),
        NoneType: st.none(),
    }[kind]


def entries_of(kind: type[Entry]) -> st.SearchStrategy[Entry]:
    fields = msgspec.structs.fields(kind)
    required = {field.name: values(field.type) for field in fields if field.required}
    optional = {field.name: values(field.type) for field in fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: kind(**given))


@given(st.lists(st.one_of(*map(entries_of, entry_types())), min_size=1, max_size=8), st.integers(0, 2**53 - 8))
def test_lines_are_what_the_general_encoder_makes_of_entries(entries: list[Entry], first: int) -> None:
    made = encoded(entries, first, TS)
    said = [{**msgspec.to_builtins(entry), "seq": first + at, "ts": TS, "v": 1} for at, entry in enumerate(entries)]
    # Clauses are named by us, in ASCII: only there do RFC 8785 and an order by code points agree on keys.
    ascii_only = [all(map(str.isascii, each.get("clauses", ()))) for each in said]
    assert [line for line, plain in zip(made, ascii_only, strict=True) if plain] == [
        canonical(each) for each, plain in zip(said, ascii_only, strict=True) if plain
    ]
    assert [json.loads(line) for line in made] == json.loads(json.dumps(said))


def test_a_line_says_all_that_an_entry_does_and_nothing_it_leaves_out() -> None:
    given = ConfigActivated(actor="gateway", tenant="a", config="c", enforce=True, clauses={"p/b": "2", "p/a": "1"})
    expected = (
        b'{"actor":"gateway","clauses":{"p/a":"1","p/b":"2"},"config":"c","enforce":true,"seq":7,"tenant":"a",'
        b'"ts":"2026-11-29T13:24:05.123456789Z","type":"config.activated","v":1}'
    )
    assert encoded([given], 7, TS) == [expected]
    assert read_canonical(expected) is not None


def test_a_line_has_no_end_of_line_within() -> None:
    entries = [RequestAccepted(actor="a\nb\r\u2028", exchange="E", provider="p", operation="chat")] * 3
    lines = encoded(entries, 0, TS)
    assert [json.loads(line)["actor"] for line in lines] == ["a\nb\r\u2028"] * 3


def test_one_that_is_too_long_is_named() -> None:
    long = RetentionApplied(actor="gateway", before="20260101", files=("f" * 65_535,))
    with pytest.raises(EntryTooLong, match=r"`retention.applied` has 65\d{3} bytes"):
        encoded([long], 0, TS)
