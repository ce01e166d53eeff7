"""Deriving a tree anew from its entries, and holding every tile on disk against it."""

from collections.abc import Callable
from typing import Final, final

from storage.audit import merkle, tiles
from storage.audit.archive import Archive, Unreadable
from storage.audit.canonical import read_canonical
from storage.audit.checkpoint import Checkpoint
from storage.audit.edge import Edge
from storage.audit.errors import LogDamaged, LogTooNew, NoteMalformed, NotSigned, SignatureInvalid
from storage.audit.findings import Flaws
from storage.audit.handover import read_handover
from storage.audit.keychain import Keychain
from storage.audit.tiles import WIDTH, Place

VERSION: Final = 1
"""The newest version of entries that is understood."""

Progress = Callable[[int, int], None]
"""Told how many entries were checked, and of how many."""


@final
class Derivation:
    """One pass over the entries of a log, a bundle at a time."""

    def __init__(self, files: Archive, head: Checkpoint, keys: Keychain, flaws: Flaws) -> None:
        self._files = files
        self._head = head
        self._keys = keys
        self._flaws = flaws
        self._edge = Edge()
        self.claims: list[tuple[str, Checkpoint]] = []
        """What entries say the log was before them, each with the place that says so."""

    @property
    def size(self) -> int:
        """How many entries were read."""
        return self._edge.size

    def run(self, progress: Progress) -> None:
        """Read all entries, or those before the first bundle that cannot be read. Raises `LogTooNew`."""
        size = self._head.size
        while self._edge.size < size:
            width = min(WIDTH, size - self._edge.size)
            entries = self._bundle(Place(level=0, index=self._edge.size // WIDTH, width=width, entries=True))
            if entries is None:
                return
            self._look_at(entries)
            for place, data in self._edge.grow(entries):
                self._compare(place, data)
            progress(self._edge.size, size)
        for place, data in self._edge.partials():
            self._compare(place, data)
        if self._edge.root() != self._head.root:
            self._flaws.add(
                "checkpoint", "its root hash is not the one over the entries: entries or checkpoint were changed"
            )

    def _bundle(self, place: Place) -> list[bytes] | None:
        """The entries of a bundle; None where they cannot be had."""
        first = place.index * WIDTH
        data = self._stored(place, tiles.LARGEST, first)
        if data is None:
            return None
        try:
            entries = tiles.unbundled(data)
        except LogDamaged:
            self._flaws.add(place.path, "it ends within an entry; nothing from here on can be checked", first)
            return None
        if len(entries) != place.width:
            self._flaws.add(
                place.path,
                f"it holds {len(entries)} entries, expected {place.width}; nothing from here on can be checked",
                first,
            )
            return None
        return entries

    def _look_at(self, entries: list[bytes]) -> None:
        """Whether entries say what they must; of a bundle the first that does not is named."""
        wrong = None
        for index, entry in enumerate(entries, self._edge.size):
            wrong = wrong or _mistake(index, entry)
            self._follow(index, entry)
        if wrong is not None:
            index, what = wrong
            self._flaws.add(f"entry {index}", what, index)

    def _follow(self, index: int, entry: bytes) -> None:
        place = f"entry {index}"
        try:
            handover = read_handover(entry)
            if handover is None:
                return
            self._keys.follow(handover)
        except (NoteMalformed, SignatureInvalid, NotSigned) as error:
            self._flaws.add(place, f"it hands the log over to another key, and that does not hold: {error}", index)
            return
        if handover.prior.size > index:
            self._flaws.add(place, "it speaks of a log longer than it was", index)
        else:
            self.claims.append((place, handover.prior))

    def _compare(self, place: Place, derived: bytes) -> None:
        """Hold a tile on disk against what the entries give. Bundles were read already."""
        if place.entries:
            return
        first = place.index * WIDTH << 8 * place.level
        stored = self._stored(place, WIDTH * merkle.HASH, first)
        if stored is None or stored == derived:
            return
        if len(stored) != len(derived):
            self._flaws.add(place.path, f"it is {len(stored)} bytes, expected {len(derived)}", first)
            return
        at = next(
            at
            for at in range(0, len(derived), merkle.HASH)
            if stored[at : at + merkle.HASH] != derived[at : at + merkle.HASH]
        )
        entry = first + (at // merkle.HASH << 8 * place.level)
        self._flaws.add(
            place.path, f"its hash {at // merkle.HASH} is not that of what it covers, entry {entry} on", entry
        )

    def _stored(self, place: Place, limit: int, first: int) -> bytes | None:
        """A file's bytes, cut to size where a full one took a partial one's place meanwhile; None without any."""
        whole = Place(level=place.level, index=place.index, width=WIDTH, entries=place.entries)
        try:
            try:
                return self._files.read(place.path, limit)
            except FileNotFoundError:
                if place == whole:
                    raise
                return _cut(self._files.read(whole.path, limit), place)
        except FileNotFoundError:
            self._flaws.add(place.path, "it is missing", first)
        except Unreadable as error:
            self._flaws.add(place.path, str(error), first)
        return None


def _cut(data: bytes, place: Place) -> bytes:
    """The first part of a full file, as wide as a partial one. A bundle that is damaged is left as it is."""
    if not place.entries:
        return data[: place.width * merkle.HASH]
    try:
        return b"".join(map(tiles.framed, tiles.unbundled(data)[: place.width]))
    except LogDamaged:
        return data


def _short(value: object) -> str:
    return f"{value!r}"[:40]


def _mistake(index: int, entry: bytes) -> tuple[int, str] | None:
    """What is wrong with an entry by itself. Raises `LogTooNew`."""
    found = read_canonical(entry)
    if found is None:
        return index, "it is not a JSON object in its canonical form (RFC 8785)"
    version, number = found.get("v"), found.get("seq")
    if type(version) is int and version > VERSION:
        raise LogTooNew(index, version)
    if type(number) is not int or number != index:
        return index, f"it says it is number {_short(number)}: entries were removed, added or moved"
    return None
