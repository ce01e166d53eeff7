"""The edge: the right side of a tree, all that is needed to let it grow. No I/O: it says which files to write."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self, final

from storage.audit import merkle, tiles
from storage.audit.errors import LogDamaged
from storage.audit.tiles import Place

Read = Callable[[str], bytes]
"""Reads a file of the log by its path. Raises `FileNotFoundError`."""


@final
class Edge:
    """The partial bundle and the partial tiles of a tree of `size` entries."""

    def __init__(self) -> None:
        self.size = 0
        self._bundle: list[bytes] = []
        self._tiles: list[list[bytes]] = []

    @classmethod
    def load(cls, read: Read, size: int) -> Self:
        """The edge as its files hold it. Raises `LogDamaged` where they are missing or do not fit."""
        edge = cls()
        edge.size = size
        edge._tiles = [[] for _ in range(tiles.levels(size))]
        for place in tiles.partials(size):
            if place.entries:
                found = tiles.unbundled(_read(read, place))[: place.width]
                edge._bundle = tiles.framed_each(found)
            else:
                edge._tiles[place.level] = tiles.hashes_of(_read(read, place)[: place.width * merkle.HASH])
        edge._check()
        return edge

    def copy(self) -> "Edge":
        """Another that grows by itself."""
        other = Edge()
        other.size, other._bundle = self.size, self._bundle.copy()
        other._tiles = [hashes.copy() for hashes in self._tiles]
        return other

    def grow(self, entries: Sequence[bytes]) -> Iterator[tuple[Place, bytes]]:
        """Take entries in; gives each bundle and tile that became full, with its bytes. Raises `EntryTooLong`."""
        at = 0
        while at < len(entries):
            taken = entries[at : at + tiles.WIDTH - len(self._bundle)]
            at += len(taken)
            self._bundle += tiles.framed_each(taken)
            self.size += len(taken)
            if not self._tiles:
                self._tiles.append([])
            self._tiles[0] += merkle.leaf_hashes(taken)
            if len(self._bundle) == tiles.WIDTH:
                index = self.size // tiles.WIDTH - 1
                yield Place(level=0, index=index, width=tiles.WIDTH, entries=True), b"".join(self._bundle)
                self._bundle = []
                yield from self._carry()

    def partials(self) -> Iterator[tuple[Place, bytes]]:
        """What is partial now, with its bytes."""
        for place in tiles.partials(self.size):
            yield place, b"".join(self._bundle if place.entries else self._tiles[place.level])

    def root(self) -> bytes:
        """The root over all entries."""
        peaks: list[bytes] = []
        for hashes in reversed(self._tiles):
            peaks += _peaks(hashes)
        return merkle.fold(peaks)

    def _carry(self) -> Iterator[tuple[Place, bytes]]:
        """Move the root of each full tile one level up."""
        for level, hashes in enumerate(self._tiles):
            if len(hashes) < tiles.WIDTH:
                return
            index = tiles.full(self.size, level) - 1
            yield Place(level=level, index=index, width=tiles.WIDTH, entries=False), b"".join(hashes)
            self._tiles[level] = []
            if level + 1 == len(self._tiles):
                self._tiles.append([])
            self._tiles[level + 1].append(tiles.tile_root(hashes))

    def _check(self) -> None:
        """Whether as many hashes and entries are here as there must be, and the entries hash to their leaves."""
        widths = [len(hashes) for hashes in self._tiles]
        if widths != [tiles.rest(self.size, level) for level in range(len(widths))]:
            raise LogDamaged("a partial tile is shorter than its name says")
        leaves = merkle.leaf_hashes(framed[2:] for framed in self._bundle)
        if self._tiles and leaves != self._tiles[0]:
            raise LogDamaged("the last entries do not hash to the last leaves")


def _read(read: Read, place: Place) -> bytes:
    """A partial file, or the full one that took its place."""
    for path in (place.path, _whole(place).path):
        try:
            return read(path)
        except FileNotFoundError:
            continue
    raise LogDamaged(f"{place.path} is missing")


def _whole(place: Place) -> Place:
    return Place(level=place.level, index=place.index, width=tiles.WIDTH, entries=place.entries)


def _peaks(hashes: list[bytes]) -> list[bytes]:
    """The roots of the complete subtrees in a partial tile, largest first."""
    found: list[bytes] = []
    at, width = 0, len(hashes)
    while at < width:
        step = 1 << ((width - at).bit_length() - 1)
        found.append(tiles.tile_root(hashes[at : at + step]))
        at += step
    return found
