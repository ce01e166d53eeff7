"""Tiles: where the hashes and entries of a tree stand in files (C2SP tlog-tiles).

A tile holds 256 hashes of a level; level `L` hashes are the roots of full tiles of level `L - 1`. What does not fill
a tile yet is a partial tile of width 1 to 255. A bundle holds the entries under a tile of level 0.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from storage.audit import merkle
from storage.audit.errors import EntryTooLong, LogDamaged

WIDTH: Final = 256
"""Hashes in a full tile, entries in a full bundle."""

LONGEST: Final = 65_535
"""Bytes of the longest entry: lengths are 16 bits."""

LARGEST: Final = WIDTH * (2 + LONGEST)
"""Bytes of the largest bundle, each entry behind its length; no tile has as many."""

ENTRIES: Final = "entries"
"""What stands in a bundle's path where a tile's has its level."""

_PATH = re.compile(r"tile/(entries|0|[1-5]?[0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


class Place(msgspec.Struct, frozen=True):
    """Which tile or bundle a file is."""

    level: int
    """0 to 63; 0 for a bundle."""

    index: int
    """From 0, within its level."""

    width: int
    """Hashes or entries in it: 256, or 1 to 255 where it is partial."""

    entries: bool
    """A bundle of entries, not a tile of hashes."""

    @property
    def path(self) -> str:
        """Relative to the log's directory."""
        kind = ENTRIES if self.entries else str(self.level)
        stem = f"tile/{kind}/{numbered(self.index)}"
        return stem if self.width == WIDTH else f"{stem}.p/{self.width}"


def numbered(index: int) -> str:
    """`1234067` as `x001/x234/067`."""
    text = f"{index % 1000:03d}"
    while index := index // 1000:
        text = f"x{index % 1000:03d}/{text}"
    return text


def place_of(path: str) -> Place | None:
    """What a path names, None where it is no tile's or bundle's, spelt exactly as it must be."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    kind, digits, width = found.groups()
    place = Place(
        level=0 if kind == ENTRIES else int(kind),
        index=int(re.sub(r"[x/]", "", digits)),
        width=WIDTH if width is None else int(width),
        entries=kind == ENTRIES,
    )
    return place if place.path == path and (width is None or place.width < WIDTH) else None


def full(size: int, level: int) -> int:
    """How many full tiles of a level a tree of `size` entries has."""
    return size >> 8 * (level + 1)


def rest(size: int, level: int) -> int:
    """The width of the partial tile of a level, 0 where there is none."""
    return (size >> 8 * level) & 255


def levels(size: int) -> int:
    """How many levels of tiles a tree of `size` entries has."""
    return (size.bit_length() + 7) // 8


def partials(size: int) -> list[Place]:
    """The partial bundle and tiles of a tree of `size` entries."""
    found = [
        Place(level=level, index=full(size, level), width=width, entries=False)
        for level in range(levels(size))
        if (width := rest(size, level))
    ]
    bundle = [Place(level=0, index=full(size, 0), width=width, entries=True)] if (width := rest(size, 0)) else []
    return [*bundle, *found]


def framed(entry: bytes) -> bytes:
    """An entry as it stands in a bundle. Raises `EntryTooLong`."""
    return framed_each([entry])[0]


def framed_each(entries: Sequence[bytes]) -> list[bytes]:
    """The same for each of several."""
    longest = max(map(len, entries), default=0)
    if longest > LONGEST:
        raise EntryTooLong(longest)
    return [len(entry).to_bytes(2, "big") + entry for entry in entries]


def unbundled(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises `LogDamaged` where it ends within an entry."""
    found: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            raise LogDamaged("a bundle ends within an entry")
        found.append(data[start:at])
    return found


def hashes_of(data: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [data[at : at + merkle.HASH] for at in range(0, len(data), merkle.HASH)]


def tile_root(hashes: list[bytes]) -> bytes:
    """The root over a full tile."""
    while len(hashes) > 1:
        hashes = merkle.pair_up(hashes)
    return hashes[0]
