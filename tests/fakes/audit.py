"""An audit log as its files hold it, read and verified without the gateway that wrote it."""

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import msgspec

from policies.vocabulary.audit import Receipt
from storage.audit.archive import Folder
from storage.audit.checkpoint import read_checkpoint
from storage.audit.findings import Flaws
from storage.audit.merkle import leaf_hash
from storage.audit.note import read_note
from storage.audit.stored import stored_entry
from storage.audit.verify import verify
from storage.seal_check import SealsChecked, check_seals


def entries_of(data: Path) -> list[dict[str, Any]]:
    """Every published entry of a data directory, as JSON values."""
    return [msgspec.json.decode(entry) for entry in lines_of(data)]


def lines_of(data: Path) -> list[bytes]:
    """Every published entry, byte for byte."""
    files = Folder(data / "audit")
    size = read_checkpoint(read_note(files.read("checkpoint", 1 << 20)).text).size

    def read(path: str) -> bytes:
        return files.read(path, 1 << 25)

    return [stored_entry(read, index, size) for index in range(size)]


def verified(data: Path) -> SealsChecked | None:
    """Verify the log of a data directory and the record beside it; fails where anything does not hold."""
    files = Folder(data / "audit")
    report = verify(files, None, progress=quiet)
    assert report.holds, [str(flaw) for flaw in report.flaws]
    assert report.head is not None
    flaws = Flaws()
    checked = check_seals(data, files, report.head.size, flaws, quiet)
    assert not flaws.found, [str(flaw) for flaw in flaws.found]
    return checked


def header_of(entry: bytes, index: int) -> bytes:
    """The receipt a caller gets for an entry, made with code of its own."""
    return f"index={index}; hash={b64encode(leaf_hash(entry)).decode()}".encode()


def receipt_in(header: bytes) -> Receipt:
    """The receipt in a `stepwarden-receipt` header."""
    index, _, leaf = header.decode().partition("; hash=")
    return Receipt(int(index.removeprefix("index=")), b64decode(leaf))


def assert_holds(lines: list[bytes], receipts: list[Receipt]) -> None:
    """Every entry that was acknowledged stands where its receipt says."""
    for receipt in receipts:
        assert leaf_hash(lines[receipt.index]) == receipt.leaf_hash, receipt.index


def quiet(done: int, total: int) -> None:
    """No progress bar."""
    del done, total
