from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.audit import merkle
from storage.audit.errors import ProofInvalid

# The vectors that Certificate Transparency's implementations share.
ENTRIES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(each)
    for each in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]


class Listed:
    """A tree over leaf hashes in a list, straight from the definition in RFC 6962."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves

    def node(self, level: int, index: int) -> bytes:
        found = self.leaves[index << level : (index + 1) << level]
        assert len(found) == 1 << level
        return defined(found)


def defined(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + defined(leaves[:k]) + defined(leaves[k:])).digest()


def tree_of(size: int) -> Listed:
    return Listed([merkle.leaf_hash(str(index).encode()) for index in range(size)])


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, 300))
    return draw(st.integers(0, size - 1)), size


def test_roots_are_those_of_certificate_transparency() -> None:
    tree = Listed([merkle.leaf_hash(entry) for entry in ENTRIES])
    assert [merkle.root(tree, size) for size in range(1, 9)] == ROOTS
    assert merkle.root(tree, 0) == sha256(b"").digest()


def test_proofs_are_those_of_certificate_transparency() -> None:
    tree = Listed([merkle.leaf_hash(entry) for entry in ENTRIES])
    assert [each.hex() for each in merkle.inclusion_proof(tree, 0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [each.hex() for each in merkle.consistency_proof(tree, 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(0, 300))
def test_a_root_is_what_the_definition_says(size: int) -> None:
    tree = tree_of(size)
    assert merkle.root(tree, size) == defined(tree.leaves)


@settings(max_examples=50)
@given(places())
def test_every_entry_can_be_proved_and_no_other_passes_for_it(place: tuple[int, int]) -> None:
    index, size = place
    tree = tree_of(size)
    root, proof = merkle.root(tree, size), merkle.inclusion_proof(tree, index, size)
    merkle.verify_inclusion(tree.leaves[index], index, size, proof, root)
    for leaf, at, of, path in (
        (merkle.leaf_hash(b"other"), index, size, proof),
        (tree.leaves[index], size, size, proof),
        (tree.leaves[index], index, size, [*proof, root]),
        *([(tree.leaves[index], index, size, proof[:-1])] if proof else []),
        *([(tree.leaves[index], index ^ 1, size, proof)] if proof else []),
    ):
        with pytest.raises(ProofInvalid):
            merkle.verify_inclusion(leaf, at, of, path, root)


@settings(max_examples=50)
@given(places())
def test_growth_can_be_proved_and_no_other_history_passes_for_it(place: tuple[int, int]) -> None:
    old, new = place
    tree = tree_of(new)
    before, after = merkle.root(tree, old), merkle.root(tree, new)
    proof = merkle.consistency_proof(tree, old, new)
    merkle.verify_consistency(old, new, before, after, proof)
    other = merkle.leaf_hash(b"other")
    for first, second, path in (
        (before, after, [*proof, other]),
        (other, after, proof),
        *([(before, other, proof), (before, after, proof[:-1])] if old else []),
    ):
        with pytest.raises(ProofInvalid):
            merkle.verify_consistency(old, new, first, second, path)


def test_a_tree_does_not_shrink() -> None:
    root = ROOTS[0]
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(2, 1, root, root, [])
    with pytest.raises(ValueError, match="does not extend"):
        merkle.consistency_proof(tree_of(2), 2, 1)
