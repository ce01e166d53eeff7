"""Checkup: what is wrong with the files of a data directory that no gateway runs on. Reads only, and not much."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from policies.errors import StepwardenError
from storage.audit import tiles
from storage.audit.archive import Folder, Unreadable
from storage.audit.checkpoint import read_checkpoint
from storage.audit.directory import CHECKPOINT, FOLDER
from storage.audit.edge import Edge
from storage.audit.errors import LogDamaged, LogKeyWrong, NoteMalformed, NotSigned, SignatureInvalid
from storage.audit.note import LARGEST, read_note
from storage.audit.signing_key import KEY_FILE, NEXT_KEY_FILE, load_key
from storage.errors import FileDamaged, KeysLost, LedgerLost
from storage.files import is_whole, open_as_it_is
from storage.seal import load_seal_key

_MADE: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'scope_key'"
_SEALED: Final = "SELECT 1 FROM content WHERE scope > 0 LIMIT 1"


def ailments(directory: Path) -> Iterator[StepwardenError]:
    """What would keep a gateway from starting here, from reading its contents, or from publishing its log."""
    yield from (FileDamaged(path) for path in sorted(directory.glob("*.db")) if not is_whole(path))
    for looks in (_seal_key, _ledger, refuse_lost_keys, _log):
        try:
            looks(directory)
        except StepwardenError as error:
            yield error


def _seal_key(directory: Path) -> None:
    if (directory / "seal.key").exists():  # who misses it is told by whoever looks at the folder
        load_seal_key(directory)


def _ledger(directory: Path) -> None:
    path, has_log = directory / "ledger.db", (directory / FOLDER / CHECKPOINT).exists()
    if has_log and _is_none(path, "SELECT 1 FROM audit_state"):
        raise LedgerLost(path)
    if not has_log and _finds(path, "SELECT 1 FROM audit_state WHERE first > 0"):
        raise LogDamaged("`checkpoint` is missing, and entries that were published are nowhere else")


def refuse_lost_keys(directory: Path) -> None:
    """Raise `KeysLost` where contents lie under keys that are not there.

    New keys would take the numbers of the old ones, and what is sealed under them be lost once these are put back.
    """
    path = directory / "keys.db"
    if _is_none(path, _MADE) and any(_finds(each, _SEALED) for each in directory.glob("content-*.db")):
        raise KeysLost(path)


def _is_none(path: Path, query: str) -> bool:
    """Whether a file is missing or was never filled, and is not merely damaged."""
    return not path.exists() or (is_whole(path) and not _finds(path, query))


def _finds(path: Path, query: str) -> bool:
    """Whether a file has what is looked for; False where it is none, or another release's."""
    try:
        with closing(open_as_it_is(path)) as connection:
            return connection.execute(query).fetchone() is not None
    except sqlite3.Error:
        return False


def _log(directory: Path) -> None:
    """The head, the tiles it ends with, and the key that is to sign the next."""
    folder = directory / FOLDER
    if not folder.is_dir():
        return
    read = _reader(Folder(folder))
    try:
        note = read_note(read(CHECKPOINT))
        head = read_checkpoint(note.text)
    except NoteMalformed as error:
        raise LogDamaged(f"`checkpoint` cannot be read: {error}") from None
    if Edge.load(read, head.size).root() != head.root:
        raise LogDamaged("its last tiles do not hash to the root in `checkpoint`")
    try:
        keys = [load_key(path) for name in (KEY_FILE, NEXT_KEY_FILE) if (path := directory / name).exists()]
        note.verified([key.verifier for key in keys])
    except (NotSigned, SignatureInvalid):
        raise LogKeyWrong(f"`checkpoint` of {head.origin!r} was signed by another key than `{KEY_FILE}`") from None


def _reader(files: Folder) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        try:
            return files.read(path, LARGEST if path == CHECKPOINT else tiles.LARGEST)
        except FileNotFoundError:
            if path != CHECKPOINT:
                raise
            raise LogDamaged("`checkpoint` is missing") from None
        except Unreadable as error:
            raise LogDamaged(f"{path}: {error}") from None

    return read
