"""The audit log as the control plane asks for it: entries and their proofs, and a word for who is shown what."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import final

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.audit import Entry
from storage.aliases import Aliases
from storage.audit import tiles
from storage.audit.archive import Folder, Unreadable
from storage.audit.directory import FOLDER, LogDirectory
from storage.audit.errors import LogDamaged
from storage.audit.note import Signature
from storage.audit.snapshot import Snapshot
from storage.audit.tiles import WIDTH, Place
from storage.entry_lines import rfc3339_nanoseconds
from storage.ledger import Ledger
from storage.pseudonyms import Pseudonyms
from storage.publisher import Publisher
from storage.reads import Reads
from storage.rotation import Rotated, Rotation
from storage.sequencer import Sequencer
from storage.step_seals import Sealed, sealed

_MARGIN_NS = 5_000_000_000
_NEARBY = 20_000
"""Entries that are looked through before the whole log is."""


class EntryNotFound(StepwardenError):
    """The log has no such entry."""

    status = 404

    def remedy(self) -> str:
        """Where indexes come from."""
        return "Take it from a `stepwarden-receipt` header, or ask with an exchange id; see also `audit head`."


class Line(msgspec.Struct, frozen=True):
    """What a search looks at in an entry."""

    type: str
    ts: str
    exchange: str | None = None
    rows: tuple[int, int] | None = None
    root: str = ""
    tenant: str | None = None


_read_line = msgspec.json.Decoder(Line).decode


@final
class AuditLog:
    """Safe from any thread."""

    def __init__(
        self,
        reads: Reads,
        ledger: Ledger,
        sequencer: Sequencer,
        publisher: Publisher,
        rotation: Rotation,
        names: Pseudonyms,
    ) -> None:
        self._reads = reads
        self._aliases = Aliases(ledger)
        self._folder = reads.directory / FOLDER
        self._ledger = ledger
        self._sequencer = sequencer
        self._publisher = publisher
        self._rotation = rotation
        self._names = names

    @property
    def failing(self) -> str | None:
        """Why entries are not written, or not published; it is tried again."""
        return self._sequencer.state().failing or self._publisher.state().failing

    def counters(self) -> dict[str, int]:
        """Counts for `/api/status`."""
        sequenced, published = self._sequencer.state(), self._publisher.state()
        return {
            "audit_entries": self.size,
            "audit_waiting": sequenced.waiting,
            "audit_dropped": sequenced.dropped,
            "audit_unpublished": published.unpublished,
        }

    @property
    def size(self) -> int:
        """How many entries there are, published or not."""
        return self._ledger.next_seq

    def note(self, *entries: Entry) -> None:
        """Append entries; durable on return. Raises `StorageFailed`."""
        self._ledger.write([], entries=entries)

    def alias(self, session_id: str) -> str:
        """What the log calls a session; kept from its first use on. Raises `StorageFailed`."""
        with self._ledger.lock:
            alias, named = self._aliases.of("session", session_id)
            if named:
                self._ledger.write(named, entries=())
        return alias

    def pseudonym(self, words: str) -> str:
        """What the log calls words that somebody looks for: the same each time, and nothing without `seal.key`."""
        return self._names.of("words", " ".join(words.split()).casefold()).hex()

    @property
    def directory(self) -> Path:
        """The data directory the log stands in."""
        return self._folder.parent

    @property
    def published(self) -> LogDirectory | None:
        """The log's files as they are published; None where they could not be opened yet."""
        return self._publisher.log

    def attach(self, text: bytes, cosignature: Signature) -> bool:
        """Put a witness's cosignature on the head with this text; False where a newer one took its place."""
        return self._publisher.attach(text, cosignature)

    def rotate(self, *, by: str, reason: str, actor: str) -> Rotated:
        """Hand the log over to a new key, on a person's word. Raises as `Rotation.rotate` does."""
        return self._rotation.rotate(by=by, reason=reason, actor=actor)

    def head(self) -> bytes:
        """The newest checkpoint as it is signed, over every entry there is by now. Raises `StepwardenError`."""
        self._sequencer.flush()
        return self._publisher.publish().note

    def snapshot(self) -> Snapshot:
        """The published log over every entry there is by now, as it stays while the gateway goes on writing.

        Raises `StepwardenError`.
        """
        self.head()
        try:
            return Snapshot.of(Folder(self._folder))
        except Unreadable as error:
            raise LogDamaged(f"its files cannot be read: {error}") from None

    def entry(self, index: int) -> bytes:
        """An entry's exact bytes. Raises `EntryNotFound`, `StorageFailed` or `LogDamaged`."""
        lines = self._lines(index)
        if not lines:
            raise EntryNotFound(f"the audit log has no entry {index}")
        return lines[0]

    def entries(self, before: int, limit: int) -> list[tuple[int, bytes]]:
        """At most `limit` entries below an index, with their indexes, newest first.

        Raises `StorageFailed` or `LogDamaged`.
        """
        end = min(before, self.size)
        return list(self._from(max(end - limit, 0), end))[::-1]

    def vkeys(self) -> list[str]:
        """Every key that ever signed this log, oldest first; a convenience, never a reason to trust one."""
        return self.snapshot().vkeys

    def proof(self, index: int, extra: bytes | None = None) -> bytes:
        """That an entry is in the log, as a `.tlog-proof`; published first where it was not yet.

        Raises `EntryNotFound`, `StorageFailed`, and what is wrong with the log.
        """
        if not 0 <= index < self.size:
            raise EntryNotFound(f"the audit log has no entry {index}")
        return self._published(index).receipt(index, extra).encode()

    def accepted(self, exchange_id: str, started_ns: int) -> int:
        """The index of the `request.accepted` entry of an exchange. Raises `EntryNotFound`."""

        def matches(line: Line) -> bool:
            return line.type == "request.accepted" and line.exchange == exchange_id

        return self._find(exchange_id.encode(), matches, started_ns, f"no entry says that {exchange_id} was accepted")

    def recorded(self, exchange_id: str, ended_ns: int) -> Sealed:
        """The entry that seals the record of an exchange, and its records, where all of its batch is still there.

        Raises `EntryNotFound`.
        """
        missing = f"no entry seals the record of {exchange_id} yet"
        number = self._reads.number(exchange_id)
        if number is None:
            raise EntryNotFound(missing)
        index = self._find(b'"step.recorded"', lambda line: _seals(line, number), ended_ns, missing)
        said = _read_line(self.entry(index))
        assert said.rows is not None
        return sealed(index, self._reads.sealed_rows(said.rows), number, said.root)

    def _published(self, index: int) -> LogDirectory:
        log = self._publisher.log
        return log if log is not None and index < log.checkpoint.size else self._publisher.publish()

    def _find(self, mark: bytes, matches: Callable[[Line], bool], at_ns: int, missing: str) -> int:
        """The first entry that matches: from about its time on, then anywhere, as clocks jump."""
        start = bisect_left(range(self.size), rfc3339_nanoseconds(max(at_ns - _MARGIN_NS, 0)), key=self._ts)
        for first, limit in ((start, _NEARBY), (0, self.size)):
            for index, entry in self._from(first, first + limit):
                if mark in entry and matches(_read_line(entry)):
                    return index
        raise EntryNotFound(missing)

    def _ts(self, index: int) -> str:
        return _read_line(self.entry(index)).ts

    def _from(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        while first < end and (lines := self._lines(first)[: end - first]):
            yield from enumerate(lines, first)
            first += len(lines)

    def _lines(self, index: int) -> Sequence[bytes]:
        """Entries from `index` on, some of them: out of the ledger, or to the end of a bundle that left it."""
        kept = self._ledger.entries(index, WIDTH)
        if not kept or kept.first == index:
            return kept.lines
        place = Place(level=0, index=index // WIDTH, width=WIDTH, entries=True)
        try:
            return tiles.unbundled((self._folder / place.path).read_bytes())[index % WIDTH :]
        except OSError as error:
            raise LogDamaged(f"{place.path} cannot be read: {error.strerror}") from error


def _seals(line: Line, number: int) -> bool:
    return line.type == "step.recorded" and line.rows is not None and line.rows[0] <= number <= line.rows[1]
