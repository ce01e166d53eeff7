"""Snapshot: a published log as it is at one moment, while its writer goes on. Reads only.

Full tiles never change and stay, so they are read when they are asked for. The few partial ones are read at once,
because a log that grows removes them.
"""

from collections.abc import Iterator
from typing import Final, Self, final

from storage.audit import merkle, tiles
from storage.audit.archive import Archive
from storage.audit.checkpoint import Checkpoint, read_checkpoint
from storage.audit.directory import CHECKPOINT, VKEYS
from storage.audit.errors import LogDamaged
from storage.audit.note import LARGEST, read_note
from storage.audit.proof import TlogProof
from storage.audit.stored import StoredTree
from storage.audit.tiles import WIDTH, Place

_TRIES: Final = 100
"""Each try is spoilt only by a checkpoint that is published in between."""


@final
class Snapshot:
    """The files under one checkpoint; an `Archive` of exactly these."""

    def __init__(self, files: Archive, kept: dict[str, bytes]) -> None:
        """Use `Snapshot.of`."""
        self._files = files
        self._kept = kept
        self.head: Final[Checkpoint] = read_checkpoint(read_note(kept[CHECKPOINT]).text)

    @classmethod
    def of(cls, files: Archive) -> Self:
        """The newest checkpoint of a log and all it covers. Raises `LogDamaged`, `NoteMalformed` or `Unreadable`."""
        for _ in range(_TRIES):
            try:
                note = files.read(CHECKPOINT, LARGEST)
                paths = [place.path for place in tiles.partials(read_checkpoint(read_note(note).text).size)]
                kept = {path: files.read(path, tiles.LARGEST) for path in paths}
                return cls(files, {CHECKPOINT: note, VKEYS: files.read(VKEYS, LARGEST), **kept})
            except FileNotFoundError:
                continue
        raise LogDamaged("files that its checkpoint covers are missing")

    @property
    def size(self) -> int:
        """Entries under the checkpoint."""
        return self.head.size

    @property
    def note(self) -> bytes:
        """The checkpoint as it was signed."""
        return self._kept[CHECKPOINT]

    @property
    def vkeys(self) -> list[str]:
        """Every key that ever signed, oldest first."""
        return self._kept[VKEYS].decode(errors="replace").splitlines()

    def names(self) -> Iterator[str]:
        """Every file: checkpoint and keys, then tiles level by level, then entries."""
        yield from (CHECKPOINT, VKEYS)
        for level in range(tiles.levels(self.size)):
            yield from (place.path for place in self._places(level, entries=False))
        yield from (place.path for place in self._places(0, entries=True))

    def read(self, path: str, limit: int = tiles.LARGEST) -> bytes:
        """All bytes of a file, as `Archive.read` gives them."""
        kept = self._kept.get(path)
        return self._files.read(path, limit) if kept is None else kept

    def receipt(self, index: int) -> bytes:
        """The `.tlog-proof` of an entry with this checkpoint. Raises `ValueError` or `LogDamaged`."""
        hashes = merkle.inclusion_proof(StoredTree(self.read, self.size), index, self.size)
        return TlogProof(index=index, hashes=tuple(hashes), checkpoint=self.note).encode()

    def _places(self, level: int, *, entries: bool) -> Iterator[Place]:
        full, rest = tiles.full(self.size, level), tiles.rest(self.size, level)
        for index in range(full):
            yield Place(level=level, index=index, width=WIDTH, entries=entries)
        if rest:
            yield Place(level=level, index=full, width=rest, entries=entries)
