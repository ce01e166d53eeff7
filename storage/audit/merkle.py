"""The Merkle tree of RFC 6962 section 2.1 (and RFC 9162): hashes, roots, proofs and their verification.

A leaf is hashed under 0x00 and a node under 0x01, so that neither can pass for the other. Hashes are 32 bytes.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

from storage.audit.errors import ProofInvalid

HASH = 32
"""Bytes of every hash."""

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree of no entries."""


# Going on from a copy of a hash that was begun costs half of what beginning one does.
_leaf = sha256(b"\x00").copy
_node = sha256(b"\x01").copy


class Tree(Protocol):
    """Stored hashes of a tree."""

    def node(self, level: int, index: int) -> bytes:
        """The root over the entries `[index << level, (index + 1) << level)`, all of which are in the tree."""
        ...


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry, 32 bytes."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The hash of each entry, in order."""
    found: list[bytes] = []
    for entry in entries:
        leaf = _leaf()
        leaf.update(entry)
        found.append(leaf.digest())
    return found


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees, 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def pair_up(hashes: Sequence[bytes]) -> list[bytes]:
    """The level above complete pairs; an odd last one is left out."""
    pairs = iter(hashes)
    found: list[bytes] = []
    for left, right in zip(pairs, pairs, strict=False):
        node = _node()
        node.update(left + right)
        found.append(node.digest())
    return found


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest (leftmost) first; `EMPTY_ROOT` over none."""
    if not peaks:
        return EMPTY_ROOT
    found = peaks[-1]
    for peak in reversed(peaks[:-1]):
        found = node_hash(peak, found)
    return found


def root(tree: Tree, size: int) -> bytes:
    """The root over the first `size` entries."""
    return _over(tree, 0, size)


def inclusion_proof(tree: Tree, index: int, size: int) -> list[bytes]:
    """Hashes from the leaf's sibling up to the root's child. Raises `ValueError` unless `0 <= index < size`."""
    if not 0 <= index < size:
        raise ValueError(f"no entry {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _largest_below(end - start)
        if index < split:
            path.append(_over(tree, split, end))
            end = split
        else:
            path.append(_over(tree, start, split))
            start = split
    return path[::-1]


def consistency_proof(tree: Tree, old: int, new: int) -> list[bytes]:
    """Hashes that show the tree of `old` entries to be the beginning of that of `new`; none from 0 or to itself."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} entries does not extend one of {old}")
    if old in {0, new}:
        return []
    path: list[bytes] = []
    start, end = 0, new
    while old != end:
        split = start + _largest_below(end - start)
        if old <= split:
            path.append(_over(tree, split, end))
            end = split
        else:
            path.append(_over(tree, start, split))
            start = split
    if start:  # otherwise it is the old root itself, which the verifier has
        path.append(_over(tree, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Whether `leaf` is entry `index` under root `expected` (RFC 9162 section 2.1.3.2). Raises `ProofInvalid`."""
    if not 0 <= index < size:
        raise ProofInvalid(f"there is no entry {index} in a tree of {size}")
    found, node, last = leaf, index, size - 1
    for step in proof:
        if last == 0:
            raise ProofInvalid("it has too many hashes")
        if node & 1 or node == last:
            found = node_hash(step, found)
            shift = _zeros(node)
            node, last = node >> shift, last >> shift
        else:
            found = node_hash(found, step)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalid("it has too few hashes")
    if found != expected:
        raise ProofInvalid(f"entry {index} is not in the tree of {size} entries under this root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Whether the new tree extends the old one (RFC 9162 section 2.1.4.2). Raises `ProofInvalid`."""
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {new} entries cannot extend one of {old}")
    if old in {0, new}:
        _verify_trivial(old, new, old_root, new_root, proof)
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise ProofInvalid("it has too few hashes")
    node, last = old - 1, new - 1
    shift = _zeros(~node)
    node, last = node >> shift, last >> shift
    first = second = path[0]
    for step in path[1:]:
        if last == 0:
            raise ProofInvalid("it has too many hashes")
        if node & 1 or node == last:
            first, second = node_hash(step, first), node_hash(step, second)
            shift = _zeros(node)
            node, last = node >> shift, last >> shift
        else:
            second = node_hash(second, step)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalid("it has too few hashes")
    if first != old_root or second != new_root:
        raise ProofInvalid(f"the tree of {new} entries does not begin with that of {old}")


def _verify_trivial(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofInvalid("it has hashes where none are needed")
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalid("the root of no entries is not that of the empty tree")
    if old == new and old_root != new_root:
        raise ProofInvalid(f"two trees of {old} entries have different roots")


def _over(tree: Tree, start: int, end: int) -> bytes:
    """The root over `[start, end)`, a range that RFC 6962 splits off: complete subtrees, largest first."""
    peaks: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(tree.node(level, start >> level))
        start += 1 << level
    return fold(peaks)


def _largest_below(width: int) -> int:
    """The largest power of two below `width`, which is at least 2."""
    return 1 << ((width - 1).bit_length() - 1)


def _zeros(number: int) -> int:
    """How many low bits are zero; none of zero itself."""
    return (number & -number).bit_length() - 1 if number else 0
