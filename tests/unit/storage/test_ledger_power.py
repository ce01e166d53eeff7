"""Power lost beneath SQLite: what `ledger.db` acknowledged survives; a thousand times in the torture."""

import os
import random
from pathlib import Path

import pytest

from tests.unit.storage.ledger_power import campaign


@pytest.mark.parametrize("seed", range(4))
def test_what_the_ledger_acknowledged_survives_a_power_loss_beneath_sqlite(tmp_path: Path, seed: int) -> None:
    assert campaign(tmp_path, losses=12, seed=seed) > 0


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_thousand_power_losses_beneath_sqlite(tmp_path: Path) -> None:
    seed = int(os.environ.get("STEPWARDEN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"STEPWARDEN_SEED={seed}")
    looked = sum(campaign(tmp_path, losses=20, seed=seed + number) for number in range(50))
    print(f"1000 power losses, {looked} acknowledged entries looked for, 0 lost")
