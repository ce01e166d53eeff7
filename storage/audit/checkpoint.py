"""Checkpoints (C2SP tlog-checkpoint): what a log says it holds, in three lines."""

import msgspec

from storage.audit.encoding import from_base64, from_decimal, to_base64
from storage.audit.errors import NoteMalformed
from storage.audit.merkle import HASH

_LINES = 3


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of a log."""

    origin: str
    """Which log."""

    size: int
    """How many entries."""

    root: bytes
    """The root over them, 32 bytes."""

    def text(self) -> bytes:
        """The text of the note a log signs."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n".encode()


def read_checkpoint(text: bytes) -> Checkpoint:
    """A checkpoint from the text of a note; lines of extension are passed over. Raises `NoteMalformed`."""
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        raise NoteMalformed("a checkpoint that is not UTF-8") from None
    if lines.pop() or len(lines) < _LINES or not all(lines):
        raise NoteMalformed("a checkpoint is three lines or more: origin, size, root hash")
    origin, size, root = lines[:_LINES]
    return Checkpoint(
        origin=origin,
        size=from_decimal(size, "the size in a checkpoint"),
        root=from_base64(root, "the root hash in a checkpoint", HASH),
    )
