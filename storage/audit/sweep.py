"""Sweeping: what a crash left beyond the tree, and partial files that a full one took the place of."""

from collections.abc import Iterator

from storage.audit import tiles
from storage.audit.disk import Disk

_GROUP = 1000
"""Tiles in a folder."""

_PARTIAL = ".p"


def sweep(disk: Disk, size: int) -> None:
    """Remove what does not belong to a tree of `size` entries. Raises `OSError`.

    Looks at the folder the last tile of each level stands in, the one before it and those behind it: a log grows in
    one place.
    """
    for kind in disk.listdir("tile"):
        level = 0 if kind == tiles.ENTRIES else int(kind)
        for index, path in _newest(disk, kind, tiles.full(size, level)):
            if path.endswith(_PARTIAL):
                _sweep_partials(disk, path, _kept(size, level, index))
            elif index >= tiles.full(size, level):
                disk.unlink(path)


def remove_partials(disk: Disk, folder: str) -> None:
    """Remove a tile's folder of partial ones. Raises `OSError`."""
    _sweep_partials(disk, folder, 0)


def _sweep_partials(disk: Disk, folder: str, kept: int) -> None:
    names = disk.listdir(folder)
    gone = [name for name in names if int(name) > kept]
    for name in gone:
        disk.unlink(f"{folder}/{name}")
    if names and len(gone) == len(names):
        disk.rmdir(folder)


def _kept(size: int, level: int, index: int) -> int:
    """The widest partial tile at this place that is kept; 0 where none is."""
    return tiles.rest(size, level) if index == tiles.full(size, level) else 0


def _newest(disk: Disk, kind: str, last: int) -> Iterator[tuple[int, str]]:
    """Files and folders of partial ones from the folder before that of tile `last` on."""
    first = group = max(0, last // _GROUP - 1)
    while True:
        folder = f"tile/{kind}/{tiles.numbered(group * _GROUP)}".rpartition("/")[0]
        names = disk.listdir(folder)
        if not names and group > first + 1:
            return
        for name in names:
            if not name.startswith("x"):
                yield group * _GROUP + int(name.removesuffix(_PARTIAL)), f"{folder}/{name}"
        group += 1
