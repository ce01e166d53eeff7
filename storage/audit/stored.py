"""A tree as it stands in tiles on disk."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, final

from storage.audit import merkle, tiles
from storage.audit.errors import LogDamaged
from storage.audit.tiles import Place

_REMEMBERED: Final = 64
"""Tiles of 8 KB at most: those above level 0 of four million entries."""


@final
class StoredTree:
    """The hashes of a tree of `size` entries. Reads each tile once; made for one question and thrown away."""

    def __init__(self, read: Callable[[str], bytes], size: int) -> None:
        """`read` gives a file of the log by its path and raises `FileNotFoundError`."""
        self._read = read
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def node(self, level: int, index: int) -> bytes:
        """The root over the entries `[index << level, (index + 1) << level)`. Raises `LogDamaged`."""
        high, low = divmod(level, 8)
        first = index << low
        hashes = self._tile(high, first // tiles.WIDTH)
        at = first % tiles.WIDTH
        return tiles.tile_root(hashes[at : at + (1 << low)])

    def _tile(self, level: int, index: int) -> list[bytes]:
        found = self._tiles.get((level, index))
        if found is None:
            found = self._tiles[level, index] = self._load(level, index)
        return found

    def _load(self, level: int, index: int) -> list[bytes]:
        width = tiles.WIDTH if index < tiles.full(self._size, level) else tiles.rest(self._size, level)
        # A partial tile may be gone by now: the full one took its place.
        for tried in dict.fromkeys((width, tiles.WIDTH)):
            path = Place(level=level, index=index, width=tried, entries=False).path
            try:
                data = self._read(path)
            except FileNotFoundError:
                continue
            if len(data) != tried * merkle.HASH:
                raise LogDamaged(f"{path} is {len(data)} bytes, expected {tried * merkle.HASH}")
            return tiles.hashes_of(data)
        raise LogDamaged(f"{Place(level=level, index=index, width=width, entries=False).path} is missing")


@final
class UpperTiles:
    """Reads files and remembers the tiles that many proofs need: all but full ones of level 0. Safe from any thread.

    So a proof out of a million entries costs one read, which may have to come from the disk itself, instead of five.
    For files under a published checkpoint only: those never change.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._remembered = lru_cache(maxsize=_REMEMBERED)(read)

    def read(self, path: str) -> bytes:
        """All bytes of a file. Raises as the reader behind it does."""
        is_full_leaf_tile = path.startswith("tile/0/") and ".p/" not in path
        return self._read(path) if is_full_leaf_tile else self._remembered(path)


def stored_entry(read: Callable[[str], bytes], index: int, size: int) -> bytes:
    """Entry `index` of a log of `size` entries, from its bundle. Raises `LogDamaged`."""
    bundle, at = divmod(index, tiles.WIDTH)
    width = tiles.WIDTH if bundle < tiles.full(size, 0) else tiles.rest(size, 0)
    for tried in dict.fromkeys((width, tiles.WIDTH)):
        try:
            entries = tiles.unbundled(read(Place(level=0, index=bundle, width=tried, entries=True).path))
        except FileNotFoundError:
            continue
        if len(entries) == tried:
            return entries[at]
    raise LogDamaged(f"the bundle of entry {index} is missing or short")
