"""Power losses beneath SQLite, drawn from a seed: what the ledger acknowledged is there, in order, and it goes on."""

import shutil
from pathlib import Path
from random import Random

from policies.vocabulary.audit import ApiKeyRevoked, Receipt, receipt_of
from storage.ledger import Ledger
from tests.unit.storage.sqlite_disk import Recording, Remains, recorded

Acknowledged = list[tuple[int, Receipt]]
"""Receipts, each with the number of calls that had been made when it was given."""


class Life:
    """A ledger's life on a recorded disk: entries in groups, some let go, the file closed and opened again."""

    def __init__(self, folder: Path, random: Random) -> None:
        folder.mkdir()
        self.acknowledged: Acknowledged = []
        self.released: list[tuple[int, int]] = []
        """Up to which entry the ledger was told to let go, with the number of calls made before."""
        with recorded(folder) as recording:
            self.recording: Recording = recording
            for _ in range(3):
                self._live(folder, random)

    def _live(self, folder: Path, random: Random) -> None:
        ledger = Ledger(folder)
        try:
            for _ in range(random.randrange(2, 12)):
                batch = [ApiKeyRevoked(actor="owner", key=f"key_{n}") for n in range(random.choice([1, 3, 40, 250]))]
                receipts = ledger.write([], entries=batch)
                self.acknowledged += [(len(self.recording.calls), each) for each in receipts]
                if random.random() < 0.2:
                    self.released.append((len(self.recording.calls), ledger.next_seq // 256 * 256))
                    ledger.release(ledger.next_seq // 256 * 256)
                if random.random() < 0.2:
                    ledger._file.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            ledger.close()


def campaign(folder: Path, *, losses: int, seed: int) -> int:
    """Lose power `losses` times, at calls drawn from one life; the number of acknowledged entries looked at."""
    random = Random(seed)
    life = Life(folder / "life", random)
    calls = life.recording.calls
    moments = sorted(random.randrange(len(calls) + 1) for _ in range(losses))
    remains, done, looked = Remains({}), 0, 0
    for number, moment in enumerate(moments):
        for call in calls[done:moment]:
            remains.apply(call)
        done = moment
        found = folder / f"found{number}"
        found.mkdir()
        remains.lay_out(found, random)
        looked += _check(found, life, moment)
        shutil.rmtree(found)
    shutil.rmtree(folder / "life")
    return looked


def _check(found: Path, life: Life, moment: int) -> int:
    """Everything acknowledged before the moment stands in its place, unless it was let go; the next entry follows."""
    ledger = Ledger(found)
    try:
        first = ledger.first_kept
        assert first <= max((until for at, until in life.released if at <= moment), default=0)
        lines = ledger.entries(first, 1 << 20).lines
        promised = [receipt for at, receipt in life.acknowledged if at <= moment]
        for receipt in promised:
            if receipt.index >= first:
                assert receipt_of(lines[receipt.index - first], receipt.index) == receipt
        assert ledger.next_seq == first + len(lines)
        assert ledger.read("PRAGMA integrity_check") == [("ok",)]
        (after,) = ledger.write([], entries=[ApiKeyRevoked(actor="owner", key="key_after")])[-1:]
        assert after.index >= first + len(lines)
        return len(promised)
    finally:
        ledger.close()
