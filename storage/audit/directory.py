"""The log's directory: `checkpoint`, `vkeys.txt` and `tile/`, written by one process and read by anyone.

A file under the checkpoint is never touched again: what grows is written beside it and synced, files and folders,
before the checkpoint that covers it takes the place of the last. So a crash leaves the last checkpoint and all it
covers, and perhaps files beyond; those are written anew when their entries are handed over again.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, final

import msgspec

from storage.audit import merkle
from storage.audit.checkpoint import Checkpoint, read_checkpoint
from storage.audit.disk import Disk, PosixDisk
from storage.audit.edge import Edge
from storage.audit.errors import LogDamaged, LogForked, LogGapped, LogKeyWrong, NotSigned
from storage.audit.handover import hand_over, read_handovers
from storage.audit.note import Note, Signature, Signer, Verifier, read_note
from storage.audit.proof import InclusionProof, TlogProof
from storage.audit.stored import StoredTree, UpperTiles, stored_entry
from storage.audit.sweep import remove_partials, sweep
from storage.audit.tiles import WIDTH, Place

FOLDER = "audit"
"""Where a log lies in a data directory."""

CHECKPOINT = "checkpoint"
CHECKPOINT_DRAFT = "checkpoint.new"
VKEYS = "vkeys.txt"
VKEYS_DRAFT = "vkeys.txt.new"


class Published(msgspec.Struct, frozen=True):
    """A checkpoint with the note it was read from or written as."""

    checkpoint: Checkpoint
    note: Note


@final
class LogDirectory:
    """A log on disk. One thread integrates and publishes; any may ask for proofs and entries meanwhile."""

    def __init__(self, disk: Disk, *, origin: str, signers: Sequence[Signer]) -> None:
        """`signers` is the log's key, followed by the one it is being handed over to where there is one.

        Raises `LogDamaged`, `LogKeyWrong`, `NoteMalformed`, `SignatureInvalid` or `OSError`.
        """
        self._disk = disk
        self._origin = origin
        self._signers = tuple(signers)
        self._folders: set[str] = set()
        self._replaced: list[str] = []
        self._swept = False
        self._published_tiles = UpperTiles(disk.read)
        if any(signer.verifier.name != origin for signer in signers):
            raise LogKeyWrong(f"a key of {origin!r} is named otherwise")
        found = self._load()
        if found is None:
            self._edge, self._due = Edge(), [self._signers[0]]
            self._published = self._sign()
        else:
            self._published = found
            self._edge, self._due = self._resume(found), [self._signer_of(found.note)]

    @classmethod
    def open(cls, path: Path, *, origin: str, signers: Sequence[Signer]) -> Self:
        """The log in folder `path`, begun where there is none. Also raises `LogInUse`."""
        disk = PosixDisk(path)
        try:
            return cls(disk, origin=origin, signers=signers)
        except BaseException:
            disk.close()
            raise

    @property
    def size(self) -> int:
        """How many entries are integrated: in the tree and in durable files."""
        return self._edge.size

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest that was published."""
        return self._published.checkpoint

    @property
    def note(self) -> bytes:
        """The newest checkpoint as it was signed."""
        return self._published.note.encode()

    @property
    def signer(self) -> Signer:
        """The key in force: the one that signs what comes next."""
        return self._due[-1]

    def integrate(self, entries: Sequence[bytes], *, at: int | None = None) -> None:
        """Make entries part of the tree, durably. All of them or, where it raises, none: hand them over again.

        `at` is the index of the first; entries that the log holds already are compared and passed over.
        Raises `EntryTooLong`, `LogForked`, `LogGapped`, `LogKeyWrong`, `OSError`.
        """
        fresh = entries if at is None else self._not_yet(entries, at)
        if not fresh:
            return
        due = self._followed(fresh)
        edge = self._edge.copy()
        grown = list(edge.grow(fresh))
        before = {place for place, _ in self._edge.partials()}
        partials = [(place, data) for place, data in edge.partials() if place not in before]
        if not self._swept:
            sweep(self._disk, self._edge.size)
        self._swept = False  # until all of it is durable
        self._write([*grown, *partials])
        self._replaced += [folder for place, _ in grown if (folder := _partials(place)) in self._folders | _of(before)]
        self._edge, self._due, self._swept = edge, due, True

    def publish(self) -> Checkpoint:
        """Sign what is integrated and put it in the place of the last checkpoint. Raises `OSError`."""
        if self.size != self.checkpoint.size:
            self._published = self._sign()
            self._due = self._due[-1:]
            self._drop_replaced()
        return self.checkpoint

    def attach(self, text: bytes, cosignature: Signature) -> bool:
        """Put a cosignature beside the log's own, in place of an earlier one by that key; from the writing thread.

        `text` is what it was verified to sign. False, and nothing done, where that is no longer the newest checkpoint.
        Raises `OSError`.
        """
        note = self._published.note
        if note.text != text:
            return False
        key = (cosignature.name, cosignature.key_id)
        others = tuple(each for each in note.signatures if (each.name, each.key_id) != key)
        cosigned = Note(text, (*others, cosignature))
        self._replace(CHECKPOINT, CHECKPOINT_DRAFT, cosigned.encode())
        self._published = Published(self.checkpoint, cosigned)
        return True

    def hand_over(self, successor: Signer) -> str:
        """The `handover` of a `log.key_rotated` entry; once that is integrated, `successor` signs.

        `successor` is durable already, and among the signers when the log is opened again.
        """
        self._signers = (*(each for each in self._signers if each is not successor), successor)
        return hand_over(self.checkpoint, self.signer, successor)

    def prove(self, index: int, size: int | None = None) -> InclusionProof:
        """That entry `index` is in the tree of `size` entries, by default the newest checkpoint's.

        Raises `ValueError` where it is not published yet, and `LogDamaged`.
        """
        published = self.checkpoint.size
        size = published if size is None else size
        if size > published:
            raise ValueError(f"a tree of {size} entries is not published yet")
        hashes = merkle.inclusion_proof(StoredTree(self._published_tiles.read, published), index, size)
        return InclusionProof(index=index, size=size, hashes=tuple(hashes))

    def receipt(self, index: int, extra: bytes | None = None) -> TlogProof:
        """The proof of an entry with the newest checkpoint, for a `.tlog-proof`. Raises as `prove` does."""
        published = self._published
        proof = self.prove(index, published.checkpoint.size)
        return TlogProof(index=index, hashes=proof.hashes, checkpoint=published.note.encode(), extra=extra)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """That the tree of `new` entries extends that of `old`. Raises `ValueError` or `LogDamaged`."""
        published = self.checkpoint.size
        if new > published:
            raise ValueError(f"a tree of {new} entries is not published yet")
        return tuple(merkle.consistency_proof(StoredTree(self._published_tiles.read, published), old, new))

    def entry(self, index: int) -> bytes:
        """A published entry. Raises `ValueError` where it is not published yet, and `LogDamaged`."""
        published = self.checkpoint.size
        if not 0 <= index < published:
            raise ValueError(f"no entry {index} in a log of {published}")
        return stored_entry(self._disk.read, index, published)

    def close(self) -> None:
        """Give the folder free. Idempotent."""
        self._disk.close()

    def _load(self) -> Published | None:
        try:
            data = self._disk.read(CHECKPOINT)
        except FileNotFoundError:
            if "tile" in self._disk.listdir(""):
                raise LogDamaged("`checkpoint` is missing beside the tiles it belongs to") from None
            return None
        note = read_note(data)
        checkpoint = read_checkpoint(note.text)
        if checkpoint.origin != self._origin:
            raise LogKeyWrong(f"the log is {checkpoint.origin!r}, not {self._origin!r}")
        return Published(checkpoint, note)

    def _resume(self, found: Published) -> Edge:
        edge = Edge.load(self._disk.read, found.checkpoint.size)
        if edge.root() != found.checkpoint.root:
            raise LogDamaged("its last tiles do not hash to the root in `checkpoint`")
        return edge

    def _signer_of(self, note: Note) -> Signer:
        """The last of the signers that signed: a checkpoint after a handover carries both."""
        try:
            signed = {each.verifier for each in note.verified([signer.verifier for signer in self._signers])}
        except NotSigned:
            raise LogKeyWrong(f"`checkpoint` of {self._origin!r} was signed by another key") from None
        return [signer for signer in self._signers if signer.verifier in signed][-1]

    def _not_yet(self, entries: Sequence[bytes], at: int) -> Sequence[bytes]:
        """Those beyond the tree, once the others are seen to be the same."""
        if at > self.size:
            raise LogGapped(self.size, at)
        covered = self.size - at
        tree = StoredTree(self._disk.read, self.size)
        for index, entry in enumerate(entries[:covered], at):
            if tree.node(0, index) != merkle.leaf_hash(entry):
                raise LogForked(index)
        return entries[covered:]

    def _followed(self, entries: Sequence[bytes]) -> list[Signer]:
        """The keys that the next checkpoint is signed with: the one in force, and each it is handed over to."""
        due = [*self._due]
        for handover in read_handovers(entries):
            handover.check(self._origin, due[-1].verifier)
            due.append(self._signer_named(handover.successor))
        return due

    def _signer_named(self, verifier: Verifier) -> Signer:
        for signer in self._signers:
            if signer.verifier == verifier:
                return signer
        raise LogKeyWrong(f"the log is handed over to {verifier.vkey}, which is not at hand")

    def _write(self, files: Sequence[tuple[Place, bytes]]) -> None:
        """Write files and make them durable, folders included."""
        touched: dict[str, None] = {}
        try:
            for place, data in files:
                self._make_folder(place.path.rpartition("/")[0], touched)
                self._disk.write(place.path, data)
            for place, _ in files:
                self._disk.fsync(place.path)
            for folder in touched:
                self._disk.fsync(folder)
        except BaseException:
            self._folders.clear()  # what was made may not be durable
            raise

    def _make_folder(self, folder: str, touched: dict[str, None]) -> None:
        touched[folder] = None
        if folder and folder not in self._folders:
            self._make_folder(folder.rpartition("/")[0], touched)
            self._disk.mkdir(folder)
            self._folders.add(folder)

    def _sign(self) -> Published:
        checkpoint = Checkpoint(origin=self._origin, size=self._edge.size, root=self._edge.root())
        text = checkpoint.text()
        note = Note(text, tuple(signer.sign(text) for signer in self._due))
        self._name_keys()
        self._replace(CHECKPOINT, CHECKPOINT_DRAFT, note.encode())
        return Published(checkpoint, note)

    def _name_keys(self) -> None:
        """Have every key that ever signed in `vkeys.txt`, oldest first, before it signs."""
        try:
            known = self._disk.read(VKEYS).decode().split("\n")[:-1]
        except FileNotFoundError:
            known = []
        new = [vkey for signer in self._due if (vkey := signer.verifier.vkey) not in known]
        if new:
            self._replace(VKEYS, VKEYS_DRAFT, "".join(f"{vkey}\n" for vkey in [*known, *new]).encode())

    def _replace(self, path: str, draft: str, data: bytes) -> None:
        self._disk.write(draft, data)
        self._disk.fsync(draft)
        self._disk.rename(draft, path)
        self._disk.fsync("")

    def _drop_replaced(self) -> None:
        """Remove partial files that full ones took the place of; what stays is swept later."""
        with suppress(OSError):
            for folder in dict.fromkeys(self._replaced):
                remove_partials(self._disk, folder)
                self._folders.discard(folder)
        self._replaced = []


def _partials(place: Place) -> str:
    """The folder of the partial files at a full one's place."""
    return f"{place.path}.p"


def _of(partial: set[Place]) -> set[str]:
    return {place.path.rpartition("/")[0] for place in partial if place.width < WIDTH}
