"""What a content is called: under its scope's key alone, beside the others of its scope."""

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from storage.scopes import Scope
from storage.seal import Sealer
from storage.secret import Secret

KEY = bytes(range(32))


def scope(number: int) -> Scope:
    return Scope(number, KEY, Sealer(Secret(KEY)))


@given(st.binary(), st.binary(), st.integers(1, 1 << 40))
def test_a_content_goes_by_its_name_and_no_other_does(plain: bytes, other: bytes, number: int) -> None:
    named = scope(number)
    assert len(named.cid(plain)) == 16
    assert named.is_named(plain, named.cid(plain))
    assert named.is_named(other, named.cid(plain)) == (plain == other)
    assert named.cid(plain)[:4] == named.cid(other)[:4] == scope(number).cid(b"")[:4]


@given(st.binary(), st.binary(), st.integers(0, 1 << 40))
def test_a_name_of_before_which_is_a_hash_alone_still_holds(plain: bytes, other: bytes, number: int) -> None:
    before = blake3(plain, key=KEY).digest(length=16)
    assert scope(number).is_named(plain, before)
    assert scope(number).is_named(other, before) == (plain == other)
    assert scope(0).cid(plain) == before


@given(st.integers(1, 1 << 31), st.integers(1, 1 << 31), st.binary())
def test_names_of_older_scopes_come_first(one: int, two: int, plain: bytes) -> None:
    assert (scope(one).cid(plain)[:4] < scope(two).cid(plain)[:4]) == (one < two)
