"""Entries of a published log, decoded whatever their type: an export outlives the types it was written with."""

from collections.abc import Iterator
from typing import Any

import msgspec

from storage.audit import tiles
from storage.audit.snapshot import Snapshot
from storage.audit.tiles import place_of

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class LogEntry(msgspec.Struct, frozen=True):
    """One entry."""

    index: int
    said: dict[str, Any]
    """Its fields, as they stand in the log."""

    line: bytes
    """The exact bytes that are hashed; one line, for canonical JSON has no line breaks."""

    @property
    def type(self) -> str:
        """Its type."""
        return str(self.said.get("type", ""))

    @property
    def ts(self) -> str:
        """When it was sequenced: RFC 3339, which sorts as text."""
        return str(self.said.get("ts", ""))

    def text(self, name: str) -> str:
        """A field as text; empty where there is none."""
        value = self.said.get(name)
        return "" if value is None else str(value)


def bundled(path: str, data: bytes) -> list[LogEntry]:
    """The entries of a file of the log; none where it holds none."""
    place = place_of(path)
    if place is None or not place.entries:
        return []
    first = place.index * tiles.WIDTH
    return [LogEntry(index, _decode(line), line) for index, line in enumerate(tiles.unbundled(data), first)]


def every_entry(snapshot: Snapshot) -> Iterator[LogEntry]:
    """All entries in order, a bundle in memory at a time."""
    for path in snapshot.names():
        if path.startswith("tile/entries/"):
            yield from bundled(path, snapshot.read(path))
