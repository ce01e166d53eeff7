"""Proofs that an entry is in a log, as text for a file `*.tlog-proof` (C2SP tlog-proof)."""

from typing import Final

import msgspec

from storage.audit import merkle
from storage.audit.checkpoint import read_checkpoint
from storage.audit.encoding import ascii_lines, from_base64, from_decimal, to_base64
from storage.audit.errors import NoteMalformed
from storage.audit.note import Verified, read_note
from storage.audit.trust import Trust

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_MOST_HASHES: Final = 63


class InclusionProof(msgspec.Struct, frozen=True):
    """That an entry is in a tree."""

    index: int
    size: int
    """Of the tree."""

    hashes: tuple[bytes, ...]
    """From the leaf's sibling up to the root's child."""


class TlogProof(msgspec.Struct, frozen=True):
    """That an entry is in a log that was signed, all in one file."""

    index: int
    hashes: tuple[bytes, ...]
    """From the leaf's sibling up to the root's child."""

    checkpoint: bytes
    """The signed note, byte for byte."""

    extra: bytes | None = None
    """What the application adds; nothing vouches for it."""

    def encode(self) -> bytes:
        """The text of the file."""
        extra = [] if self.extra is None else [f"extra {to_base64(self.extra)}"]
        lines = [_HEADER, *extra, f"index {self.index}", *map(to_base64, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    def verify(self, entry: bytes, trust: Trust) -> list[Verified]:
        """Check that `entry` is in a log that `trust` believes; gives who signed.

        Raises `ProofInvalid`, and what `Trust.judge` raises.
        """
        note = read_note(self.checkpoint)
        signed = trust.judge(note)
        head = read_checkpoint(note.text)
        merkle.verify_inclusion(merkle.leaf_hash(entry), self.index, head.size, self.hashes, head.root)
        return signed


def read_proof(data: bytes) -> TlogProof:
    """Take a proof apart. Raises `NoteMalformed`."""
    head, gap, checkpoint = data.partition(b"\n\n")
    lines = ascii_lines(head, "a proof that is not ASCII")
    if not gap or lines.pop(0) != _HEADER:
        raise NoteMalformed(f"a proof begins with {_HEADER} and holds a checkpoint after an empty line")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = from_base64(lines.pop(0).removeprefix("extra "), "the extra data of a proof")
    if not lines or not lines[0].startswith("index "):
        raise NoteMalformed("a proof without an index")
    index = from_decimal(lines.pop(0).removeprefix("index "), "the index of a proof")
    if len(lines) > _MOST_HASHES:
        raise NoteMalformed(f"a proof of more than {_MOST_HASHES} hashes")
    hashes = tuple(from_base64(line, "a hash of a proof", merkle.HASH) for line in lines)
    return TlogProof(index=index, hashes=hashes, checkpoint=checkpoint, extra=extra)
