"""The view: what one gateway recorded, read by another process than the one that writes it.

Every connection is read-only: the process that keeps the directory goes on to write and checkpoint alone. What it
records after the view was opened may be missing from it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self, final

from storage.contents import Vault
from storage.critiques import CritiqueReads
from storage.days import Days
from storage.files import ReadFiles
from storage.holds import HoldReads
from storage.labels import LabelReads
from storage.ledger import LedgerReads
from storage.reads import Reads
from storage.scopes import KeyReads
from storage.seal import load_seal_key


@final
class StoreView(Reads):
    """A context manager. Reads are safe from any thread; there are no writes."""

    def __init__(self, path: Path, last: Mapping[str, int]) -> None:
        """`last`: how far each day goes, by whoever writes. Raises `FileNotFoundError` and key file errors."""
        key, readers = load_seal_key(path), ReadFiles()
        days = Days(path)
        days.publish(last)
        super().__init__(days, Vault(key, KeyReads(path, key, readers)), readers)
        ledger = LedgerReads(path, readers)
        self.labels = LabelReads(ledger)
        self.holds = HoldReads(ledger, key)
        self.critiques = CritiqueReads(ledger, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._readers.close()
