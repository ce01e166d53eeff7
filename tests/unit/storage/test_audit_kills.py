"""Killed at any moment, a process loses no acknowledged entry, and its log verifies; 1,000 times in the torture."""

import os
import random
from pathlib import Path

import pytest

from tests.unit.storage.audit_kills import campaign


def test_a_few_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    campaign(tmp_path / "data", kills=4, seed=20261129)


@pytest.mark.torture
@pytest.mark.timeout(7200)
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seed = int(os.environ.get("STEPWARDEN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"STEPWARDEN_SEED={seed}")
    for part in range(50):  # a fresh directory every 20, or verifying would take all the time
        campaign(tmp_path / f"data{part}", kills=20, seed=seed + part)
