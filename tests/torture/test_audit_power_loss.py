"""A thousand power losses below the tile files: nothing that was signed is taken back, and the log heals."""

import os
import random

import pytest

from tests.unit.storage.audit.power import campaign


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_thousand_power_losses_take_nothing_back() -> None:
    seed = int(os.environ.get("STEPWARDEN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"STEPWARDEN_SEED={seed}")
    for number in range(334):
        campaign(seed + number)  # three losses each
